/* Tables: sorted by their headings, of many rows filtered by text, copied as a whole; a row of an arm opens it. */
const sorting = (headings, sort) => headings.forEach((heading, column) => {
  const button = made("button", {type: "button", onclick: () => sort(column)}, ...heading.childNodes);
  heading.append(button);
});
const markSorted = (headings, by) => headings.forEach((heading, column) => {
  heading.removeAttribute("aria-sort");
  if (by?.column === column) heading.setAttribute("aria-sort", by.sign > 0 ? "ascending" : "descending");
});
/* "3" and "-3": by the fourth column, upwards or downwards. */
const sortOf = (text) => (/^-?\d+$/.test(text) ? {column: Math.abs(parseInt(text, 10)), sign: text.startsWith("-") ? -1 : 1} : null);
const sortText = (by) => (by ? `${by.sign < 0 ? "-" : ""}${by.column}` : "");
const compareTexts = new Intl.Collator("en", {numeric: true}).compare;
/* Keys of two rows, place by place; what is missing (null) stands last, whichever way the rest goes. */
const compareKeys = (one, other, sign) => {
  for (let place = 0; place < Math.max(one.length, other.length); place += 1) {
    const [first, second] = [one, other].map((key) => (key.length === 1 ? key[0] : key[place] ?? null)); // told once is of all places
    if (first === second) continue;
    if (first === null || second === null) return first === null ? 1 : -1;
    if (typeof first === "number" && typeof second === "number") return sign * (first < second ? -1 : 1);
    const order = compareTexts(String(first), String(second));
    if (order) return sign * order;
  }
  return 0;
};
const armButton = (arm, ...children) => made("button", {type: "button", className: "of-arm", title: "Its runs, their curves and configuration", onclick: () => show(arm)}, ...children);
{
  const FEW = 8;
  // `< 0.001` is below 0.001, and a target that is not reached later than any time.
  const numberOf = (text) => {
    if (text.startsWith("not reached")) return Infinity;
    const found = text.replace(/−/g, "-").replace(/,(?=\d{3})/g, "").match(/^([<>] )?[+×]?(-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|∞))/);
    if (!found) return null;
    const value = Number(found[2].replace("∞", "Infinity"));
    return found[1] ? value + (found[1] === "< " ? -1 : 1) * Math.abs(value) * 1e-9 : value;
  };
  const RANGE = /^[-+−×]?\d\S* to /;
  // Times of several machines stand in one cell, in one order: the first machine decides, and where it has none the next.
  const keyOf = (text, isNumber) => {
    if (RANGE.test(text)) return text.split(" to ").map(numberOf);
    return isNumber ? text.split(" / ").map(numberOf) : [text === "–" ? null : text];
  };
  const texts = JSON.parse(one("#texts-json").textContent);

  for (const table of all("table[data-table]")) {
    const name = table.dataset.table, body = one("tbody", table), rows = all("tr", body), headings = all("thead th", table);
    const values = new Map(rows.map((row) => [row, [...row.cells].map((cell) => cell.textContent)]));
    const isNumber = headings.map((heading) => heading.classList.contains("number"));
    const box = table.closest(".scroll");
    const tools = made("div", {className: "tools"});
    const count = made("span", {}); // of the rows that a filter leaves
    count.setAttribute("role", "status");
    let filter = null;

    const update = () => {
      const by = sortOf(address.get(`${name}.sort`)), words = typed(filter?.value ?? "").split(/\s+/).filter(Boolean);
      const key = (row) => keyOf(values.get(row)[by.column], isNumber[by.column]);
      const order = by && by.column < headings.length ? [...rows].sort((one, other) => compareKeys(key(one), key(other), by.sign)) : rows;
      body.append(...order);
      markSorted(headings, by);
      rows.forEach((row) => { row.hidden = !words.every((word) => typed(values.get(row).join("\n")).includes(word)); });
      count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
    };
    const follow = () => {
      if (filter) filter.value = address.get(`${name}.text`);
      update();
    };

    sorting(headings, (column) => {
      const by = sortOf(address.get(`${name}.sort`));
      address.set(`${name}.sort`, sortText({column, sign: by?.column === column ? -by.sign : 1}));
      update();
    });
    if (rows.length > FEW) {
      filter = made("input", {type: "search", autocomplete: "off", oninput: () => { address.set(`${name}.text`, filter.value); update(); }});
      tools.append(made("label", {}, "Rows with ", filter), count);
    }
    for (const [kind, text] of Object.entries(texts[name] ?? {})) {
      const button = made("button", {type: "button"}, `Copy as ${kind}`);
      button.onclick = () => navigator.clipboard.writeText(text).then(() => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = `Copy as ${kind}`; }, 1500);
      }, () => { button.textContent = "The browser does not let a page copy: take the file below"; });
      tools.append(button);
    }
    if (tools.childNodes.length) box.before(tools);
    for (const row of rows) if (row.dataset.arm) row.cells[0].replaceChildren(armButton(row.dataset.arm, ...row.cells[0].childNodes));
    followers.push(follow);
    follow();
  }
}
