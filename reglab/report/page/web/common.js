const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);
const made = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

/* What a reader chose stands in the address, behind the place: #figure_11&arm=7b6a6bd313d9&text=baseline. So it can be shared. */
const address = {
  place: "",
  chosen: new URLSearchParams(),
  read() {
    const [place, ...rest] = location.hash.slice(1).split("&");
    this.place = place;
    if (rest.length) this.chosen = new URLSearchParams(rest.join("&"));
    return rest.length > 0;
  },
  get(name) { return this.chosen.get(name) ?? ""; },
  set(name, value) {
    if (value) this.chosen.set(name, value); else this.chosen.delete(name);
    this.write();
  },
  write() {
    const said = this.chosen.toString();
    if (location.hash !== `#${this.place}${said && `&${said}`}`) history.replaceState(null, "", `#${this.place}${said && `&${said}`}`);
  },
};
address.read();
const followers = [];
addEventListener("hashchange", () => {
  if (address.read()) followers.forEach((follow) => follow()); else address.write(); // a link within the page keeps what was chosen
});
/* What a reader typed, or looks through: no keyboard has the minus sign. */
const typed = (said) => said.toLowerCase().replaceAll("−", "-");
