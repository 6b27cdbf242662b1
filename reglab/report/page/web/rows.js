/* All runs: filtered and sorted here; of many, the first are in the table until more are asked for. */
{
  const {columns, rows, links, arms, atOnce} = JSON.parse(one("#rows-json").textContent);
  const form = one(".filter"), field = (name) => one(`[name="${name}"]`, form), body = one("#rows tbody"), further = one(".further");
  const headings = all("#rows thead th");
  const isNumber = headings.map((heading) => heading.classList.contains("number"));
  const place = Object.fromEntries(columns.map((name, index) => [name, index]));
  const CHOICES = ["text", "question", "state"];
  let matches = rows.map((_, index) => index), shown = 0, searched = null;

  // A whole number in a column of tenths has its tenth, too.
  const areTenths = columns.map((_, column) => {
    const there = rows.map((row) => row[column]).filter((value) => typeof value === "number");
    return there.some((value) => value % 1) && there.every((value) => Math.abs(value) < 1000 && Number(value.toFixed(1)) === value);
  });

  const number = (value, isOfTenths) => {
    const said = isOfTenths ? value.toFixed(1) : Number.isInteger(value) ? String(value)
      : Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
    return said.replace(/^-/, "−");
  };
  const text = (value, isOfTenths = false) => {
    if (value === null || value === "" || value.length === 0) return "–";
    if (typeof value === "number") return number(value, isOfTenths);
    return Array.isArray(value) ? value.join(", ") : String(value);
  };

  const cell = (value, column, index) => {
    const found = document.createElement(column === 0 ? "th" : "td");
    if (column === 0) found.scope = "row";
    const said = text(value, areTenths[column]);
    found.className = isNumber[column] ? "number" : said.length > 40 ? "long" : "";
    if (links[index] && columns[column] === "run") found.append(made("a", {href: links[index], rel: "noreferrer"}, said));
    else if (arms[index] && ["model", "arm"].includes(columns[column])) found.append(armButton(arms[index], said));
    else found.textContent = said;
    return found;
  };

  const showMore = () => {
    const fragment = document.createDocumentFragment();
    for (const index of matches.slice(shown, shown + atOnce)) {
      const row = fragment.appendChild(document.createElement("tr"));
      if (arms[index]) row.dataset.arm = arms[index];
      row.append(...rows[index].map((value, column) => cell(value, column, index)));
    }
    shown = Math.min(shown + atOnce, matches.length);
    body.append(fragment);
    further.hidden = shown === matches.length;
    const n = (count) => count.toLocaleString("en");
    one("#count").textContent = `${n(matches.length)} of ${n(rows.length)} run${rows.length === 1 ? "" : "s"}`
      + (shown < matches.length ? `; the first ${n(shown)} are shown` : "");
  };

  const key = (value) => {
    if (typeof value === "number") return value;
    if (value === "∞" || value === "−∞") return value === "∞" ? Infinity : -Infinity; // JSON has none
    return text(value) === "–" ? null : text(value);
  };
  const compare = ({column, sign}) => (one, other) => compareKeys([key(rows[one][column])], [key(rows[other][column])], sign);

  const update = () => {
    const words = typed(field("text").value).split(/\s+/).filter(Boolean);
    const chosen = ["question", "state"].filter((name) => field(name)?.value).map((name) => [place[name], field(name).value]);
    if (words.length) searched ??= rows.map((row) => typed(row.map((value, column) => text(value, areTenths[column])).join("\n")));
    matches = [...rows.keys()].filter((index) =>
      words.every((word) => searched[index].includes(word))
      && chosen.every(([column, value]) => [rows[index][column]].flat().map(String).includes(value)));
    const by = sortOf(address.get("sort"));
    if (by && by.column < columns.length) matches.sort(compare(by));
    markSorted(headings, by);
    body.replaceChildren();
    shown = 0;
    showMore();
  };
  const keep = () => CHOICES.forEach((name) => address.set(name, field(name)?.value ?? ""));
  const follow = () => {
    CHOICES.forEach((name) => { if (field(name)) field(name).value = address.get(name); });
    update();
  };

  sorting(headings, (column) => {
    const by = sortOf(address.get("sort"));
    address.set("sort", sortText({column, sign: by?.column === column ? -by.sign : 1}));
    update();
  });
  form.addEventListener("input", () => { keep(); update(); });
  one("button", further).addEventListener("click", showMore);
  all("[data-find], [data-question]").forEach((link) => link.addEventListener("click", () => {
    field("text").value = link.dataset.find ?? "";
    if (field("question")) field("question").value = link.dataset.question ?? "";
    if (field("state")) field("state").value = "";
    keep();
    update();
  }));
  form.hidden = false;
  followers.push(follow);
  follow();
}
