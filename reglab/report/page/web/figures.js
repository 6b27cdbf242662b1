/* Figures: drawn when they come near, and all at once before printing. A mark leads to what it stands for. */
const drawn = new Map();
const OPTIONS = {actions: false, renderer: "svg", ast: true, config: {aria: false}};
/* A drawing is one image with a name and a description, and its numbers are in a table: Vega gives roles without names to its parts. */
const silence = (drawing) => all("svg, svg *", drawing).forEach((part) => ["role", "aria-roledescription", "aria-label"].forEach((name) => part.removeAttribute(name)));
{
  const waiting = new Set(all("[data-spec]"));
  const spec = (drawing) => JSON.parse(document.getElementById(drawing.dataset.spec).textContent);
  // A figure measures its texts: the font must be there. Where a reader's browser takes none, the next of the list has its widths.
  const font = getComputedStyle(document.documentElement).getPropertyValue("--font").trim();
  const fonts = Promise.allSettled(["", "bold "].map((weight) => document.fonts.load(`${weight}1em ${font}`)));

  const failed = (drawing, error) => {
    console.error(error);
    drawing.innerHTML = '<p class="missing">This figure cannot be drawn here: open its PNG or SVG below.</p>';
  };
  const listen = (drawing, {view}) => {
    const about = (item) => item?.datum?.identity ?? "";
    view.addEventListener("click", (_, item) => about(item) && show(about(item)));
    view.addEventListener("mouseover", (_, item) => point(about(item)));
    view.addEventListener("mouseout", () => point(""));
    drawn.set(drawing, view);
    silence(drawing);
  };
  const draw = (drawing) => {
    if (!waiting.delete(drawing)) return;
    fonts.then(() => vegaEmbed(drawing, spec(drawing), OPTIONS)).then((result) => listen(drawing, result)).catch((error) => failed(drawing, error));
  };

  if (window.IntersectionObserver) {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
    }, {rootMargin: "600px"});
    waiting.forEach((drawing) => near.observe(drawing));
  } else {
    waiting.forEach(draw);
  }
  addEventListener("beforeprint", () => waiting.forEach(draw)); // done as soon as this listener returns: vegaEmbed waits for promises only
}

/* Where there is less room than a figure takes, it says that it goes on. Its place is kept: so that is known before it is drawn. */
all("figure .card").forEach((card) => card.classList.toggle("wide", card.scrollWidth > card.clientWidth + 1));

/* What stands for one arm is seen together: in every figure and every table. */
let pointed = "";
const point = (identity) => {
  if (identity === pointed) return;
  pointed = identity;
  for (const drawing of drawn.keys()) {
    for (const mark of all("path, text, line, rect", drawing)) {
      const its = mark.__data__?.datum?.identity;
      if (its !== undefined) mark.classList.toggle("other", Boolean(identity) && its !== identity);
    }
  }
  all("[data-arm]").forEach((row) => row.classList.toggle("pointed", Boolean(identity) && row.dataset.arm === identity));
};
document.addEventListener("mouseover", (event) => {
  if (event.target.closest?.(".drawing")) return;
  point(event.target.closest?.("[data-arm]")?.dataset.arm ?? "");
});
document.addEventListener("focusin", (event) => point(event.target.closest?.("[data-arm]")?.dataset.arm ?? ""));
