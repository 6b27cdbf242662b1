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
const armButton = (arm, ...children) => made("button", {type: "button", className: "of-arm", title: "Its runs, their curves and configuration", onclick: () => show(arm)}, ...children);
{
  const FEW = 8;
  const numberOf = (text) => {
    const found = text.replace(/−/g, "-").replace(/,(?=\d{3})/g, "").match(/^[+×]?(-?\d+(\.\d+)?)/);
    return found ? Number(found[1]) : null;
  };
  const texts = JSON.parse(one("#texts-json").textContent);

  for (const table of all("table[data-table]")) {
    const name = table.dataset.table, body = one("tbody", table), rows = all("tr", body), headings = all("thead th", table);
    const values = new Map(rows.map((row) => [row, [...row.cells].map((cell) => cell.textContent)]));
    const isNumber = headings.map((heading) => heading.classList.contains("number"));
    const box = table.closest(".scroll");
    const tools = made("div", {className: "tools"});
    let filter = null;

    const update = () => {
      const by = sortOf(address.get(`${name}.sort`)), words = (filter?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const key = (row) => { const text = values.get(row)[by.column]; return isNumber[by.column] ? numberOf(text) : text; };
      const order = by && by.column < headings.length ? [...rows].sort((one, other) => {
        const [first, second] = [key(one), key(other)];
        if (first === null || second === null) return (first === null) - (second === null);
        return by.sign * (typeof first === "number" ? first - second : compareTexts(first, second));
      }) : rows;
      body.append(...order);
      markSorted(headings, by);
      rows.forEach((row) => { row.hidden = !words.every((word) => values.get(row).join("\n").toLowerCase().includes(word)); });
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
      tools.append(made("label", {}, "Rows with ", filter));
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
