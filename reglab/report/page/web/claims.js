/* Claims: what a link leads to is opened; on paper all are. */
{
  const openTarget = () => {
    const target = document.getElementById(address.place);
    for (let each = target; each; each = each.parentElement) if (each.matches("details")) each.open = true;
    if (target?.matches(".claims > li")) one("details", target).open = true;
    return target;
  };
  addEventListener("hashchange", openTarget);
  if (location.hash.includes("&")) openTarget()?.scrollIntoView(); else openTarget();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details.more, details.untold").filter((details) => !details.open);
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
}
