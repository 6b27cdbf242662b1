"""The font of charts and pages: Liberation Sans, as wide as Arial, so that they are laid out alike on every machine.

vl-convert has it whole, for a chart's PNG and SVG. A page carries its own, a subset (Latin, Greek, signs), whose licence
(`fonts/OFL.txt`) asks for another name.
"""

from base64 import b64encode
from functools import cache
from importlib.resources import files

_OWN = "Reglab Sans"
FAMILY = f"{_OWN}, Liberation Sans, Arial, Helvetica, sans-serif"
"""In CSS, and as Vega takes it. All but the last have the same widths."""

_FILES = {400: "ReglabSans-Regular.woff2", 700: "ReglabSans-Bold.woff2"}
"""By weight."""


@cache
def faces() -> str:
    """The CSS that brings the page's font with it."""
    return "\n".join(_face(weight, name) for weight, name in _FILES.items())


def _face(weight: int, name: str) -> str:
    content = b64encode((files("reglab.report.charts") / "fonts" / name).read_bytes()).decode()
    return f'@font-face {{ font-family: "{_OWN}"; font-weight: {weight}; src: url(data:font/woff2;base64,{content}) format("woff2"); }}'
