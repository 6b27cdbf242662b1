/* An arm: its runs with their curves, its configuration, and the end of the log of what failed. In the address, so that it is shared. */
const {common, arms, shown} = JSON.parse(one("#arms-json").textContent);
const FEW_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A6D00", "#6B1426"];

const curves = (arm) => {
  const found = [];
  const add = (id, name, curve) => shown.lines.forEach(([key, line]) => (curve[key] ?? []).forEach((value, place) => {
    if (value !== null) found.push({id, run: name, line, at: curve.at[place], value});
  }));
  if (arm.mean) add("mean", `mean of ${arm.mean.runs[0]} runs`, arm.mean);
  for (const run of arm.runs) if (run.curve) add(run.run, run.name, run.curve);
  return found;
};

const curveSpec = (values, ends) => {
  const runs = [...new Set(values.map(({run}) => run))], lines = shown.lines.map(([, line]) => line).filter((line) => values.some((value) => value.line === line));
  const dashes = [[1, 0], [8, 3], [3, 3], [6, 2, 1, 2]];
  const many = runs.length > FEW_COLOURS.length;
  const colour = many ? {value: FEW_COLOURS[0]} : {field: "run", type: "nominal", title: null, scale: {domain: runs, range: FEW_COLOURS.slice(0, runs.length)}, legend: runs.length > 1 ? {symbolStrokeWidth: 3} : null};
  const y = {field: "value", type: "quantitative", title: shown.y, scale: {zero: false, nice: true}};
  const tooltip = [["run", "nominal"], ["line", "nominal"], ["at", "quantitative", shown.x], ["value", "quantitative", shown.y]].map(([field, type, title = field]) => ({field, type, title}));
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: "container", height: 240, autosize: {type: "fit", contains: "padding"},
    layer: [
      {
        data: {values}, mark: {type: "line", strokeWidth: 1.75, opacity: many ? 0.45 : 0.9, point: values.length < 60 ? {size: 14} : false},
        encoding: {
          x: {field: "at", type: "quantitative", title: shown.x, axis: {tickMinStep: 1, grid: false}, scale: {zero: false, nice: false}}, y, color: colour, detail: {field: "id"},
          strokeDash: {field: "line", type: "nominal", title: null, scale: {domain: lines, range: lines.map((line) => dashes[shown.lines.findIndex(([, its]) => its === line)])}, legend: {symbolStrokeColor: "#333", symbolStrokeWidth: 1.75, symbolFillColor: "transparent", symbolType: "stroke", symbolSize: 300}}, tooltip,
        },
      },
      ...(ends.length ? [{data: {values: ends}, mark: {type: "point", shape: "diamond", size: 60, strokeWidth: 2, opacity: 1}, encoding: {x: {field: "at", type: "quantitative"}, y, color: colour, tooltip}}] : []),
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
  const ends = !shown.lines.some(([line]) => line === "clean") || values.some(({line}) => line === "training, clean") ? [] : arm.runs.filter((run) => run.curve && run.clean !== undefined)
    .map((run) => ({run: run.name, line: "training, clean, at the end", at: run.curve.at.at(-1), value: run.clean}));
  if (values.length) {
    const drawing = made("div", {className: "drawing"});
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `Learning curves of ${arm.label}: ${shown.y} by ${shown.x}`);
    told.append(made("div", {className: "card"}, drawing));
    if (shown.note) told.append(made("p", {className: "quiet"}, shown.note + (ends.length ? "; ◇ is the clean one, measured at the end." : ".")));
    vegaEmbed(drawing, curveSpec(values, ends), OPTIONS).then(() => silence(drawing)).catch(console.error);
  } else told.append(made("p", {className: "quiet"}, `No ${shown.x}s are kept of these runs: there is no curve.`));

  const said = (value) => (value === undefined || value === null ? "–" : shown.places === null ? String(Number(value.toPrecision(5))) : value.toFixed(shown.places));
  const last = (run, line) => said(run.curve?.[line]?.findLast((value) => value !== null));
  const columns = arm.runs.some((run) => run.curve) ? shown.columns : [];
  told.append(table("Its runs", [shown.first, "state", "run", ...columns.map(([, heading]) => heading), ...(shown.clean ? [shown.clean] : [])],
    arm.runs.map((run) => [String(run.seed), run.state, run.run, ...columns.map(([line]) => last(run, line)), ...(shown.clean ? [said(run.clean)] : [])])));
  for (const run of arm.runs.filter((run) => run.reason || run.log)) {
    told.append(made("h3", {}, `${run.name[0].toUpperCase()}${run.name.slice(1)}: ${run.state}`), made("p", {}, run.reason ?? ""));
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
