"""Figures for a paper: as wide as its column, with letters of its size. Panels give way, and letters do not."""

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import vl_convert

from reglab.errors import UserError

POINTS = {"pt": 1.0, "in": 72.27, "cm": 28.4528, "mm": 2.84528}
"""TeX points of each unit of length."""

_SHORTEST, _LONGEST = 50.0, 2000.0
"""In points: what is not between them is no width of a column or a page."""

_LETTERS = 11.0
"""What most letters of a figure have, in its own units."""

_COLUMNS = (None, 3, 2, 1)
"""Of a legend, in the order in which they are tried."""

_LEAST = 0.18
"""Of the width that panels have on a page: narrower ones show nothing."""

_BIG_POINTS = 72 / 72.27
"""A PDF counts in points of 1/72 inch."""


def length(text: str) -> float:
    """A length such as 345pt, 6.5in or 84mm, in TeX points."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(pt|in|cm|mm)\s*", text)
    points = float(found[1]) * POINTS[found[2]] if found else 0.0
    if not _SHORTEST <= points <= _LONGEST:
        raise UserError(f"--width {text}: must be a length such as 345pt, 6.5in, 8.4cm or 84mm, of a page at most")
    return points


def pdf(spec: str, width: float, letters: float) -> bytes:
    """A figure, without its title, which is the caption's, `width` TeX points wide and with letters of so many points.

    Raises UserError where its panels do not fit beside each other.
    """
    drawn = json.loads(spec)
    drawn.pop("title", None)
    zoom = letters / _LETTERS
    for columns in _COLUMNS:  # a legend in a line may be wider than all panels
        laid_out = _with_legend_in(columns, drawn)
        if fitting := _fitted(laid_out, width / zoom):
            return bytes(vl_convert.svg_to_pdf(_sized(vl_convert.vegalite_to_svg(json.dumps(fitting)), width * _BIG_POINTS)))
    raise UserError(
        f"--width {width:g}pt is too narrow for this figure with letters of {letters:g} points: "
        f"make it {zoom * _width(_narrowed(laid_out, _LEAST)) + 1:.0f}pt or more, or --letters smaller"
    )


def _with_legend_in(columns: int | None, spec: dict[str, Any]) -> dict[str, Any]:
    """The drawing with the entries of its legends in so many columns below their title; None for as it is, all in a line."""
    if columns is None:
        return spec
    config = spec.get("config", {})
    return spec | {"config": config | {"legend": config.get("legend", {}) | {"columns": columns, "titleOrient": "top"}}}


def _fitted(spec: dict[str, Any], wanted: float) -> dict[str, Any] | None:
    """The drawing with panels that make it `wanted` wide as a whole; None where they would be too narrow to be read."""
    share, fitting = 1.0, spec
    found = _width(fitting)
    for _ in range(6):  # letters and gaps keep their width: so it takes some steps
        if abs(found - wanted) < 0.5:
            break
        share = max(share + (wanted - found) / sum(_of_row(spec)), _LEAST / 2)
        fitting = _narrowed(spec, share)
        found = _width(fitting)
    return fitting if share >= _LEAST and found <= 1.02 * wanted else None


def _sized(svg: str, width: float) -> str:
    """The same drawing, so wide as a whole: its own units stay, and a PDF's point is one of them."""
    root = ElementTree.fromstring(svg)
    factor = width / float(root.attrib["width"])
    for side in ("width", "height"):
        root.set(side, f"{factor * float(root.attrib[side]):.3f}")
    return ElementTree.tostring(root, encoding="unicode")


def _width(spec: dict[str, Any]) -> float:
    return float(ElementTree.fromstring(vl_convert.vegalite_to_svg(json.dumps(spec))).attrib["width"])


def _of_row(spec: dict[str, Any]) -> Iterator[float]:
    """The widths of the panels that stand beside each other, of the first row of them."""
    if "vconcat" in spec:
        yield from _of_row(spec["vconcat"][0])
    elif "hconcat" in spec:
        for part in spec["hconcat"]:
            yield from _of_row(part)
    else:
        yield _own_width(spec)


def _own_width(spec: dict[str, Any]) -> float:
    if isinstance(spec.get("width"), int | float):
        return float(spec["width"])
    return max((_own_width(layer) for layer in spec.get("layer", ())), default=0.0)


def _narrowed(part: Any, share: float) -> Any:
    """With every panel so much of its width, and what is put at its right end."""
    if isinstance(part, list):
        return [_narrowed(each, share) for each in part]
    if not isinstance(part, dict):
        return part
    found = {key: value if key in ("data", "datasets", "config") else _narrowed(value, share) for key, value in part.items()}
    if isinstance(found.get("width"), int | float) and ("layer" in part or "mark" in part):
        found["width"] = share * found["width"]
    for channel in ("x", "x2"):
        if isinstance((place := found.get(channel)), dict) and isinstance(place.get("value"), int | float):
            found[channel] = place | {"value": share * place["value"]}
    return found
