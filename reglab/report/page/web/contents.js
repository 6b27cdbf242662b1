/* Contents: open where they stand beside the text, and marked where the reader is. */
{
  const contents = one(".contents details");
  const wide = matchMedia("(min-width: 84rem)");
  const fit = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  if (window.IntersectionObserver) {
    const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
    const reading = new IntersectionObserver((entries) => {
      for (const {target, isIntersecting} of entries) {
        if (!isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(target.id)?.setAttribute("aria-current", "true");
      }
    }, {rootMargin: "-15% 0px -80% 0px"});
    all("main > section").forEach((section) => reading.observe(section));
  }
}
