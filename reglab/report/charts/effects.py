"""The figure of effects: each comparison with its interval, every pair of runs, and the range in which it is claimed to lie."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import pandas as pd

from reglab.report.charts.style import FAINT, QUIET, TEXT, Drawn, row_axis, row_step, styled
from reglab.report.comparisons.parts import MOST, Part
from reglab.report.writing.numbers import MINUS

ROW = 30
_LINE = 62
"""Characters of a comparison that stand on one line."""

_AXES = {
    "points": ("percentage points", 0.0),
    "ratio": ("ratio of times, on a logarithmic scale", 1.0),
    "share": ("% of the cases", 50.0),
    "percent": ("%", None),
    "seconds": ("seconds", None),
    "number": ("in the metric's own unit", 0.0),
    "mean": ("in the metric's own unit", None),
}
"""What each unit is called, and where there is no difference."""

HOLDS, OPEN, FAILS, COMPARED = "holds", "open", "fails", "compared"
_LOOKS = {HOLDS: ("#009E73", "circle"), OPEN: ("#666666", "diamond"), FAILS: ("#D55E00", "square"), COMPARED: ("#0072B2", "circle")}
"""Of a comparison by what came of it; the last of one of which nothing is claimed."""


@dataclass(frozen=True)
class Effect:
    """One row: a part, what it is called, and the arm or the claim that it leads to."""

    label: str
    part: Part
    is_claimed: bool = True
    leads_to: str = ""

    @property
    def came_out(self) -> str:
        """What the interval says of what was claimed, in the word by which the legend knows it."""
        if not self.is_claimed:
            return COMPARED
        return OPEN if self.part.holds is None else HOLDS if self.part.holds else FAILS


def draw(effects: Sequence[Effect], title: str, subtitle: str) -> Drawn:
    """A panel for each unit, a row for each effect; what is drawn in none of them is neither in the legend nor explained."""
    effects = _told_apart(effects)
    units = dict.fromkeys(effect.part.unit for effect in effects)
    groups = [[effect for effect in effects if effect.part.unit == unit] for unit in units]
    shown = [look for look in _LOOKS if any(effect.came_out == look for effect in effects)]
    panels = [_panel(group, shown, is_first=not place) for place, group in enumerate(groups)]
    notes = [_sizes([effect.part for effect in effects])]
    notes.append("shaded: where it is claimed to lie" if any(e.is_claimed for e in effects) else "")
    notes.append("a share holds where it lies there, and its interval above one half" if any(map(_is_almost_every, effects)) else "")
    notes.append("an interval that ends at the frame goes on beyond it" if any(map(_is_cut, groups)) else "")
    lines = [subtitle, "; ".join(filter(None, notes))]
    said = [line for line in lines if line]
    return styled(alt.vconcat(*panels, spacing=22), title, said, color="independent", shape="independent", x="independent")


def _sizes(parts: Sequence[Part]) -> str:
    """What is drawn large, and what small: nothing where there are neither intervals nor several pairs."""
    paired = {part.over for part in parts if len(part.each) > 1}
    large = "estimate with its interval" if any(part.low is not None for part in parts) else "estimate"
    small = "each round" if paired == {"rounds"} else "each pair of runs of one seed" + ", or of a round" * ("rounds" in paired)
    return f"large: {large}; small: {small}" if paired else ""


def _is_almost_every(effect: Effect) -> bool:
    """Whether a share is claimed to be larger than what its interval must lie above."""
    return effect.is_claimed and effect.part.unit == "share" and effect.part.claimed.low > MOST.low


def _told_apart(effects: Sequence[Effect]) -> list[Effect]:
    """Of one comparison with two ranges that are claimed, each says its own."""
    twins = Counter(effect.label for effect in effects)
    return [
        replace(effect, label=f"{effect.label}, claimed {_claimed(effect.part)}") if twins[effect.label] > 1 else effect
        for effect in effects
    ]


def _claimed(part: Part) -> str:
    low, high = (f"{limit:g}".replace("-", MINUS) for limit in (part.claimed.low, part.claimed.high))
    if math.inf in (part.claimed.high, -part.claimed.low):
        return f"above {low}" if math.isfinite(part.claimed.low) else f"below {high}"
    return f"{low} to {high}"


def _panel(effects: Sequence[Effect], shown: Sequence[str], is_first: bool) -> alt.LayerChart:
    unit = effects[0].part.unit
    scale_by = 100.0 if unit == "share" else 1.0
    rows = [_row(effect, scale_by) for effect in effects]
    names, nothing = [row["row"] for row in rows], _AXES[unit][1]
    low, high = _domain(effects)
    for row, effect in zip(rows, effects, strict=True):
        claimed = effect.part.claimed
        row["from"] = max(scale_by * claimed.low, low) if effect.is_claimed and claimed.low < math.inf else None
        row["until"] = min(scale_by * claimed.high, high) if effect.is_claimed else None
        row["low"], row["high"] = (None if row[side] is None else min(max(row[side], low), high) for side in ("low", "high"))
    table = pd.DataFrame(rows)
    base = alt.Chart(width=520, height={"step": row_step(names, ROW)})
    scale = alt.Scale(domain=[low, high], nice=False, **({"type": "log"} if unit == "ratio" else {"zero": False}))
    axis = alt.Axis(tickCount=6, domain=False, format=",.3~g", grid=True)
    x = alt.X("value:Q", title=_AXES[unit][0], scale=scale, axis=axis)
    y = alt.Y("row:N", sort=names, title=None, axis=row_axis(names, 420, labelPadding=10, labelFontSize=11))
    legend = alt.Legend(title=None) if is_first and shown != [COMPARED] else None
    colour = alt.Color("came_out:N", scale=alt.Scale(domain=shown, range=[_LOOKS[each][0] for each in shown]), legend=legend)
    shape = alt.Shape("came_out:N", scale=alt.Scale(domain=shown, range=[_LOOKS[each][1] for each in shown]), legend=legend)
    layers: list[alt.Chart] = [base.mark_rule(color=FAINT).encode(x=alt.value(0), x2=alt.value(520), y=y)]
    if table["from"].notna().any():
        claimed_band = base.transform_filter("isValid(datum.from) && datum.from < datum.until").mark_bar(
            color="#cfe8dd", height={"band": 0.78}
        )
        layers.append(claimed_band.encode(x=alt.X("from:Q", scale=scale, axis=axis, title=_AXES[unit][0]), x2="until:Q", y=y))
    if nothing is not None and low <= nothing <= high:
        at = alt.Chart(pd.DataFrame([{"value": nothing}])).mark_rule(color=QUIET, strokeDash=[4, 3])
        layers.append(at.encode(x=alt.X("value:Q", scale=scale, axis=axis, title=_AXES[unit][0])))
    if pairs := list(_pairs(effects, low, high)):
        dots = alt.Chart(pd.DataFrame(pairs)).mark_point(shape="stroke", angle=90, size=90, color=TEXT, opacity=0.55, strokeWidth=1.2)
        layers.append(dots.encode(x=x, y=y))
    tooltip = [alt.Tooltip("what:N", title="comparison"), alt.Tooltip("said:N", title="estimate (interval)"), alt.Tooltip("n:Q")]
    layers.append(
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2.5)
        .encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=colour)
    )
    layers.append(base.mark_point(size=110, filled=True, opacity=1).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    layers.append(base.mark_text(align="left", dx=8, color=TEXT, fontSize=11).encode(x=alt.value(520), y=y, text="text:N"))
    return alt.LayerChart(data=table, layer=layers)


def _row(effect: Effect, scale_by: float) -> dict[str, Any]:
    part = effect.part
    return {
        "row": "\n".join(textwrap.wrap(effect.label, _LINE)) or effect.label,
        "what": effect.label,
        "value": None if part.estimate is None else scale_by * part.estimate,
        "low": None if part.low is None else scale_by * part.low,
        "high": None if part.high is None else scale_by * part.high,
        "n": part.n,
        "came_out": effect.came_out,
        "said": part.in_words(),
        "text": part.amount(),
        "identity": effect.leads_to,
    }


def _is_cut(effects: Sequence[Effect]) -> bool:
    """Whether an interval goes on beyond the frame of its panel."""
    low, high = _domain(effects)
    factor = 100 if effects[0].part.unit == "share" else 1
    bounds = [factor * bound for effect in effects for bound in (effect.part.low, effect.part.high) if bound is not None]
    return any(bound < low or high < bound for bound in bounds)


def _pairs(effects: Sequence[Effect], low: float, high: float) -> Iterator[Mapping[str, Any]]:
    for effect in effects:
        row = "\n".join(textwrap.wrap(effect.label, _LINE)) or effect.label
        yield from ({"row": row, "value": value, "identity": effect.leads_to} for value in effect.part.each if low <= value <= high)


def _domain(effects: Sequence[Effect]) -> tuple[float, float]:
    """Of everything drawn, no difference and the limits that are claimed among it, with room at both sides; shares from 0 to 100.

    An interval of two seeds may be a hundred times as wide as what it is about: of points what is drawn ends somewhere.
    """
    unit = effects[0].part.unit
    if unit == "share":
        return 0.0, 100.0
    nothing = _AXES[unit][1]
    limits = [limit for effect in effects if effect.is_claimed for limit in (effect.part.claimed.low, effect.part.claimed.high)]
    middle = [value for effect in effects for value in (effect.part.estimate, *effect.part.each, nothing, *limits)]
    ends = [bound for effect in effects for bound in (effect.part.low, effect.part.high)]
    known = [value for value in middle if value is not None and math.isfinite(value)]
    drawn = known + [value for value in ends if value is not None and math.isfinite(value)]
    low, high = min(drawn), max(drawn)
    if unit == "ratio":
        return low / 1.08, high * 1.08
    if unit == "points":
        reach = max(2 * max(map(abs, known)), 1.0)
        low, high = max(low, -reach), min(high, reach)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room
