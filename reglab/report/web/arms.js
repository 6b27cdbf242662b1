/* An arm: its runs with their curves, its configuration, and the end of the log of what failed. In the address, so that it is shared. */
const {common, arms} = JSON.parse(one("#arms-json").textContent);
const LINES = [["test", "test"], ["val", "held-out"], ["train", "training, running"], ["clean", "training, clean"]];
const FEW_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A6D00", "#6B1426"];

const curves = (arm) => {
  const found = [];
  const add = (name, curve) => LINES.forEach(([key, line]) => (curve[key] ?? []).forEach((value, place) => {
    if (value !== null) found.push({run: name, line, epoch: curve.epoch[place], accuracy: value});
  }));
  if (arm.mean) add(`mean of ${arm.mean.runs[0]} runs`, arm.mean);
  for (const run of arm.runs) if (run.curve) add(`seed ${run.seed}`, run.curve);
  return found;
};

const curveSpec = (values, ends) => {
  const runs = [...new Set(values.map(({run}) => run))], lines = LINES.map(([, line]) => line).filter((line) => values.some((value) => value.line === line));
  const dashes = {test: [1, 0], "held-out": [8, 3], "training, running": [3, 3], "training, clean": [6, 2, 1, 2]};
  const many = runs.length > FEW_COLOURS.length;
  const colour = many ? {value: FEW_COLOURS[0]} : {field: "run", type: "nominal", title: null, scale: {domain: runs, range: FEW_COLOURS.slice(0, runs.length)}, legend: runs.length > 1 ? {symbolStrokeWidth: 3} : null};
  const y = {field: "accuracy", type: "quantitative", title: "accuracy, %", scale: {zero: false, nice: true}};
  const tooltip = ["run", "line", "epoch", "accuracy"].map((field) => ({field, type: field === "epoch" || field === "accuracy" ? "quantitative" : "nominal"}));
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: "container", height: 240, autosize: {type: "fit", contains: "padding"},
    layer: [
      {
        data: {values}, mark: {type: "line", strokeWidth: 1.75, opacity: many ? 0.45 : 0.9, point: values.length < 60 ? {size: 14} : false},
        encoding: {
          x: {field: "epoch", type: "quantitative", title: "epoch", axis: {tickMinStep: 1, grid: false}, scale: {zero: false, nice: false}}, y, color: colour, detail: {field: "run"},
          strokeDash: {field: "line", type: "nominal", title: null, scale: {domain: lines, range: lines.map((line) => dashes[line])}, legend: {symbolStrokeColor: "#333", symbolStrokeWidth: 1.75, symbolFillColor: "transparent", symbolType: "stroke", symbolSize: 300}}, tooltip,
        },
      },
      ...(ends.length ? [{data: {values: ends}, mark: {type: "point", shape: "diamond", size: 60, strokeWidth: 2, opacity: 1}, encoding: {x: {field: "epoch", type: "quantitative"}, y, color: colour, tooltip}}] : []),
    ],
    config: {
      font: getComputedStyle(document.body).fontFamily, background: "white", view: {stroke: null}, legend: {orient: "top", labelColor: "#333", labelFontSize: 11, columns: 4, labelLimit: 0},
      axis: {domainColor: "#bbb", tickColor: "#bbb", gridColor: "#e8e8e8", labelColor: "#333", titleColor: "#333", titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 11},
    },
  };
};

const table = (caption, headings, rows) => {
  const head = made("thead", {}, made("tr", {}, ...headings.map((text) => made("th", {scope: "col"}, text))));
  const body = made("tbody", {}, ...rows.map(([first, ...rest]) => made("tr", {}, made("th", {scope: "row"}, first), ...rest.map((text) => made("td", {}, text)))));
  const scroll = made("div", {className: "scroll", tabIndex: 0}, made("table", {}, made("caption", {}, caption), head, body));
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", caption);
  return scroll;
};

const panel = one("#arm");
let cameFrom = null;

const tell = (identity) => {
  const arm = arms[identity], told = one(".told", panel);
  one("#arm-title").textContent = arm.label;
  told.replaceChildren();
  const values = curves(arm);
  const ends = values.some(({line}) => line === "training, clean") ? [] : arm.runs.filter((run) => run.curve && run.clean !== undefined)
    .map((run) => ({run: `seed ${run.seed}`, line: "training, clean, at the end", epoch: run.curve.epoch.at(-1), accuracy: run.clean}));
  if (values.length) {
    const drawing = made("div", {className: "drawing"});
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `Learning curves of ${arm.label}: accuracy by epoch`);
    told.append(made("div", {className: "card"}, drawing), made("p", {className: "quiet"},
      "Running training accuracy is of an epoch’s own batches, augmented and with dropout" + (ends.length ? "; ◇ is the clean one, measured at the end." : ".")));
    vegaEmbed(drawing, curveSpec(values, ends), OPTIONS).then(() => silence(drawing)).catch(console.error);
  } else told.append(made("p", {className: "quiet"}, "No epochs are kept of these runs: there is no curve."));

  const percent = (value) => (value === undefined || value === null ? "–" : value.toFixed(1));
  const last = (run, line) => percent(run.curve?.[line]?.findLast((value) => value !== null));
  const withCurves = arm.runs.some((run) => run.curve);
  told.append(table("Its runs", ["seed", "state", "run", ...(withCurves ? ["test, %", "training (running), %"] : []), "training (clean), %"],
    arm.runs.map((run) => [String(run.seed), run.state, run.run, ...(withCurves ? [last(run, "test"), last(run, "train")] : []), percent(run.clean)])));
  for (const run of arm.runs.filter((run) => run.reason || run.log)) {
    told.append(made("h3", {}, `Seed ${run.seed}: ${run.state}`), made("p", {}, run.reason ?? ""));
    if (run.log) told.append(made("pre", {tabIndex: 0}, run.log.join("\n")));
  }
  const own = Object.entries(arm.own), shared = Object.entries(common);
  if (own.length) told.append(table("Its configuration, where arms differ", ["key", "value"], own));
  if (shared.length) told.append(made("details", {className: "list"}, made("summary", {}, `${shared.length} keys that all arms share`), table("Of all arms", ["key", "value"], shared)));
};

/* Opens what a mark or a row stands for: an arm here, a claim at its place. */
const show = (identity) => {
  if (identity.startsWith("claim-")) { location.hash = identity; return; }
  if (!Object.hasOwn(arms, identity)) return;
  cameFrom = document.activeElement;
  panel.hidden = false;
  tell(identity);
  address.set("arm", identity);
  one("#arm-title").focus({preventScroll: true});
  panel.scrollTop = 0;
};
const hide = () => {
  if (panel.hidden) return;
  panel.hidden = true;
  address.set("arm", "");
  if (cameFrom?.isConnected) cameFrom.focus({preventScroll: true});
};
one(".close", panel).addEventListener("click", hide);
addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-arm]");
  if (row && !event.target.closest("a, button") && getSelection().isCollapsed) show(row.dataset.arm);
});
const followArm = () => { if (address.get("arm")) show(address.get("arm")); else hide(); };
followers.push(followArm);
followArm();
