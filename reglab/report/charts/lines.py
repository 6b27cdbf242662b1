"""Figures of lines: a measure against the levels of a column, a line for each level of another, a panel for each of a third."""

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from reglab.report.charts.style import (
    QUIET,
    TEXT,
    WIDTH,
    Drawn,
    accuracy_domain,
    by_machine,
    cut,
    highest,
    medians,
    once,
    plain,
    shown_on,
    styled,
    ticks,
    told_all,
    wrapped,
)
from reglab.report.studies.colours import colours
from reglab.report.studies.columns import REST, Column, Level, brief, meets, typed
from reglab.report.studies.design import FigureData
from reglab.report.studies.measures import POINTS, TO_TARGET, Kind, Target
from reglab.report.studies.study import Study

_LETTER = 5.4
"""Points that a letter of an axis' title takes."""

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2), (12, 4))


def draw(table: pd.DataFrame, figure: FigureData, study: Study, subtitle: str) -> Drawn:
    """A figure with an `x`. Of a tidy table of the arms of a question."""
    columns = study.design.by_name
    x, lines = columns[str(figure.x)], columns[figure.lines or str(figure.x)]
    panels = columns[figure.panels] if figure.panels else None
    table = table[table[x.name].map(_is_level)]
    for column in (lines, panels):
        if column and not column.is_factor:
            table = table[table[column.name].map(_is_level)]
    table = table.assign(x=table[x.name], level=table[lines.name].map(lambda level: brief(plain(level))))
    across, levels = Across.over(x, table), Levels.of(lines, table, are_places=figure.lines is None)
    everywhere = pd.Series([bool(figure.everywhere) and _meets(row, figure, study) for row in table.to_dict("records")], index=table.index)
    there: list[Level] = [None]
    if panels:
        there = sorted({plain(level) for level in table[~everywhere][panels.name]} or {None}, key=panels.place)
    measures = [study.measure(name) for name in figure.y]
    is_apart = not levels.are_places and len(levels.order) > 1 and any(has_whiskers(table, kind.column) for kind in measures)
    levels = replace(levels, is_apart=is_apart)
    is_timed = any(kind.is_time for kind in measures)

    def is_here(rows: pd.DataFrame, level: Level) -> "pd.Series[bool]":
        """Which of them a panel shows."""
        if panels is None:
            return rows["n"] >= 0
        return rows[panels.name].map(lambda each: plain(each) == level) | everywhere[rows.index]

    def compares(rows: pd.DataFrame) -> bool:
        """Whether any panel has two of their arms on one line, or at one value of the axis."""
        of_panels = (rows[is_here(rows, level)] for level in there)
        return any(_have_any_in_common(each, [] if levels.are_places else ["x", "level"]) for each in of_panels)

    pooled, where = once(table), []
    if is_timed:
        shown = shown_on(table, compares)
        table, where = shown.table, shown.where
    parts, times = by_machine(table), sum(kind.is_time for kind in measures)
    is_stacked = panels is not None or (len(parts) > 1 and times > 1)
    rows: list[list[alt.LayerChart]] = []
    beside = len(there) if panels else len(figure.y) + (len(parts) - 1) * times if not is_stacked else len(figure.y)
    width = 0.75 * WIDTH if beside == 1 else WIDTH / beside - (0 if panels else 25)
    for kind in measures:
        for machine, part in parts if kind.is_time else [("", pooled)]:
            upright = _upright(kind, part, study.target, machine, 170 if is_stacked and len(figure.y) > 1 else 240)
            row = []
            for number, level in enumerate(there):
                heading = panels.say(level) if panels and not rows and level is not None else ""
                row.append(_lines(part[is_here(part, level)], across, upright, levels, width, heading, is_first=number == 0))
            rows.append(row)
    if not panels and not (is_stacked and len(rows) > 1):
        rows = [[panel for row in rows for panel in row]]
    elif not panels:
        rows = _by_machine(rows, measures, len(parts))
    said = [subtitle]
    said += medians(table) if TO_TARGET in figure.y else []
    said += ["lines stand a little apart at each value"] * is_apart
    notes = [*where, *cut(table, [kind.column for kind in measures if kind.is_time])]
    return _panels(figure.title, ["; ".join(said), *wrapped("; ".join(notes))], rows)


def _have_any_in_common(arms: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Whether two arms are alike in any of these columns; without any, whether there are two."""
    groups = [arms] if not columns else [alike for name in columns for _, alike in arms.groupby(name)]
    return any(alike["identity"].nunique() > 1 for alike in groups)


def _by_machine(rows: list[list[alt.LayerChart]], measures: Sequence[Kind], machines: int) -> list[list[alt.LayerChart]]:
    """What no machine has to do with in a row of its own, then the times of each machine beside each other."""
    pooled: list[alt.LayerChart] = []
    timed: list[list[alt.LayerChart]] = [[] for _ in range(machines)]
    left = iter(rows)
    for kind in measures:
        if not kind.is_time:
            pooled += next(left)
        else:
            for place in range(machines):
                timed[place] += next(left)
    return [row for row in (pooled, *timed) if row]


def _is_level(level: Any) -> bool:
    return plain(level) is not None


def _meets(row: Mapping[Any, Any], figure: FigureData, study: Study) -> bool:
    return meets({name: plain(row[name]) for name in figure.everywhere or {}}, figure.everywhere or {}, study.base)


@dataclass(frozen=True)
class Look:
    """How one level is told from the others."""

    level: str
    colour: str
    shape: str
    dash: Sequence[int]


@dataclass(frozen=True)
class Levels:
    """What has a line each, in the order of the legend."""

    title: str | None
    looks: Sequence[Look]
    are_places: bool = False
    """Whether they are the values of the horizontal axis: one line through all of them, and no legend."""
    is_apart: bool = False
    """Whether they stand a little apart at each value, in all panels: where any has whiskers, which would cover each other."""

    @classmethod
    def of(cls, column: Column, table: pd.DataFrame, are_places: bool = False) -> "Levels":
        """Those of a column. A level has its colour from the study, shape and dash from its place among all that are known."""
        there = sorted(table[column.name].unique(), key=lambda level: column.place(plain(level)))
        texts = list(dict.fromkeys([*(column.colours or {}), *(brief(plain(level)) for level in there)]))
        texts = [text for text in texts if text != REST]
        own = dict(zip(texts, colours([typed(text) for text in texts]), strict=True))
        looks = [
            Look(
                text,
                column.colour(typed(text)) or own[text],
                _SHAPES[0 if are_places else place % len(_SHAPES)],  # the axis tells them apart: a shape of its own would ask for a legend
                _DASHES[place % len(_DASHES)],
            )
            for place, text in enumerate(texts)
        ]
        return cls(None if column.kind == "levels" else column.title, looks, are_places).among(table)

    def among(self, table: pd.DataFrame) -> "Levels":
        """Those that the table has; they look as they did."""
        there = set(table["level"])
        return replace(self, looks=[look for look in self.looks if look.level in there])

    @property
    def order(self) -> list[str]:
        """The levels in the order of the legend."""
        return [look.level for look in self.looks]

    @property
    def colour(self) -> alt.Color:
        """How a mark is coloured by its level."""
        return alt.Color("level:N", scale=self._scale([look.colour for look in self.looks]), **self._said)

    @property
    def shape(self) -> alt.Shape:
        """How a point is shaped by its level."""
        return alt.Shape("level:N", scale=self._scale([look.shape for look in self.looks]), **self._said)

    @property
    def dash(self) -> alt.StrokeDash:
        """How a line is dashed by its level."""
        return alt.StrokeDash("level:N", scale=self._scale([list(look.dash) for look in self.looks]), **self._said)

    @property
    def _said(self) -> dict[str, Any]:
        return {"legend": None} if self.are_places or len(self.looks) == 1 else {"title": self.title}

    def _scale(self, values: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=self.order, range=values)


_CLOSEST = 0.04
"""Part of an axis that two of its places are apart at least."""

_PLACES: dict[str, tuple[Callable[[float], float], str]] = {
    "linear": (float, "datum.value"),
    "log": (math.log2, "pow(2, datum.value)"),
    "sqrt": (math.sqrt, "datum.value * datum.value"),
}
"""Where the values of an axis stand, and a place turned back into the value, as a Vega expression."""


@dataclass(frozen=True)
class Across:
    """The horizontal axis: a column, and where its levels stand; numbers by their scale, texts one after the other.

    So do numbers of which the study gives no scale, and that would stand upon each other, as 0, 0.01 and 1 do.
    """

    title: str
    place: Mapping[Level, float]
    labels: str
    """Of a place, as a Vega expression."""

    @classmethod
    def over(cls, column: Column, table: pd.DataFrame) -> "Across":
        """With a place for each level that the table has: the same in each panel of a figure."""
        levels = sorted({plain(level) for level in table[column.name]}, key=column.place)
        if not any(isinstance(level, str | bool) for level in levels):
            place, back = _PLACES[column.scale or "linear"]
            found = cls(column.title, {level: place(level) for level in levels}, f"format({back}, '.3~g')")  # type: ignore[arg-type]
            if column.scale or found.is_legible:
                return found
        return cls(column.title, {level: float(at) for at, level in enumerate(levels)}, f"{json.dumps([*map(brief, levels)])}[datum.value]")

    @property
    def gap(self) -> float:
        """The smallest distance between two places."""
        places = sorted(self.place.values())
        return min((after - before for before, after in pairwise(places)), default=1.0)

    @property
    def is_legible(self) -> bool:
        """Whether there is room for a text at each place."""
        return self.gap >= _CLOSEST * (max(self.place.values()) - min(self.place.values()))

    @property
    def axis(self) -> alt.X:
        """The axis as the chart has it: a mark and a text at each level."""
        room, places = 0.4 * self.gap, sorted(self.place.values())
        return alt.X(
            "at:Q",
            title=self.title,
            scale=alt.Scale(domain=[places[0] - room, places[-1] + room], nice=False, zero=False),
            axis=alt.Axis(values=places, labelExpr=self.labels, grid=False, labelOverlap=False),
        )


@dataclass(frozen=True)
class Upright:
    """The vertical axis: a column of the table, its range and the values that it names."""

    field: str
    title: list[str]
    domain: Sequence[float]
    ticks: Sequence[float]
    height: float = 240
    never_at: float | None = None
    """Where runs that never reached the target are brief, above everything else."""
    ends: bool = False
    """Whether an interval ends at the frame."""
    most: float | None = None
    """Up to where one is drawn, below the frame."""


def _upright(kind: Kind, table: pd.DataFrame, target: Target, machine: str, height: float) -> Upright:
    if kind.unit == POINTS:
        return _points(table, kind)
    if not kind.is_time:
        return _numbers(table, kind)
    if kind.column == "time_to_target_seconds":
        return _reaching(table, target, machine, height)
    top = highest(table, kind.column)
    return Upright(kind.column, _on(f"{kind.words}, s", machine, height), [0, 1.08 * top], ticks(top), height, most=top)


def _points(table: pd.DataFrame, kind: Kind) -> Upright:
    low, high = accuracy_domain(table, [kind.column], lowest=-100 if kind.column == "gap" else 0)
    step = next(step for step in (1, 2, 5, 10, 20) if high - low <= 7 * step or step == 20)
    marked = [float(tick) for tick in range(math.ceil(low / step) * step, math.floor(high) + 1, step)] or [low]
    top = max(high, marked[-1] + 0.03 * (high - low))  # a label at the very top would push up its panel's title
    return Upright(kind.column, [f"{kind.words}, {'points' if kind.column == 'gap' else '%'}"], [low, top], marked, ends=True)


def _numbers(table: pd.DataFrame, kind: Kind) -> Upright:
    """From below the lowest to above the highest that is drawn, wherever these are."""
    drawn = table[[kind.column, f"{kind.column}_low", f"{kind.column}_high"]].stack().to_numpy(dtype=float)
    low, high = (float(drawn.min()), float(drawn.max())) if drawn.size else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    low, high = low - room, high + room
    unit = 10.0 ** math.floor(math.log10(high - low))
    step = next(unit * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5) if (high - low) / (unit * factor) <= 5)
    marked = [round(step * count, 12) for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Upright(kind.column, [kind.words], [low, high], marked)


def _reaching(table: pd.DataFrame, target: Target, machine: str, height: float) -> Upright:
    title, field, top = f"time to {target.words}, s", "time_to_target_seconds", highest(table, "time_to_target_seconds")
    if table[field].isna().all():
        height = min(height, 110)
        return Upright(field, _on(title, machine, height), [1.06, 1.32], [], height, never_at=1.18)
    if (table["reached"].fillna(0) == table["timed"]).all():
        return Upright(field, _on(title, machine, height), [0, 1.08 * top], ticks(top), height, most=top)
    return Upright(field, _on(title, machine, height), [0, 1.32 * top], ticks(top), height, never_at=1.18 * top, most=top)


def _on(title: str, machine: str, height: float) -> list[str]:
    """What an axis is called, in lines no longer than its panel is high."""
    most = int(height / _LETTER)
    return [*textwrap.wrap(title, most), *(textwrap.wrap(f"on {machine}", most) if machine else [])]


def _lines(
    table: pd.DataFrame, across: Across, upright: Upright, levels: Levels, width: float, title: str = "", is_first: bool = True
) -> alt.LayerChart:
    """One panel. The table has the columns `x` (a value of the axis) and `level` beside those of the measure."""
    table = _placed(table, across, levels, upright)
    base = alt.Chart().encode(x=across.axis)  # the layers have the panel's table: to name one with its own, Altair writes that out
    measured = base.transform_filter("isValid(datum.value)")
    points = measured.mark_point(size=70, filled=True, opacity=1).encode(
        y=_up(upright, "value", is_first), color=levels.colour, shape=levels.shape, tooltip=_tooltip(upright)
    )
    lines = measured.mark_line(strokeWidth=1.75, opacity=0.8, color=QUIET).encode(
        y=_up(upright, "value", is_first), **({} if levels.are_places else {"color": levels.colour, "strokeDash": levels.dash})
    )
    whiskers = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=1.5)
        .encode(y=_up(upright, "low", is_first), y2="high:Q", color=levels.colour)
    )
    layers = [lines, whiskers, *_open(base, upright, levels, is_first), points, *_never(base, upright, levels, is_first)]
    heading = alt.Title(title, fontSize=12, fontWeight="normal", anchor="middle", offset=6)
    return alt.LayerChart(data=table, layer=layers, width=width, height=upright.height, title=heading)


def has_whiskers(table: pd.DataFrame, field: str) -> bool:
    """Whether any value has an interval."""
    return bool(table[f"{field}_low"].notna().any())


def _placed(table: pd.DataFrame, across: Across, levels: Levels, upright: Upright) -> pd.DataFrame:
    """What a panel draws: `at` on the horizontal axis, `value`, `low` and `high` on the other."""
    beside = table["level"].map(levels.order.index).astype(float) - (len(levels.order) - 1) / 2
    shift = beside * (across.gap if levels.is_apart else 0)
    beside *= 0 if levels.are_places else across.gap
    places = table["x"].map(lambda level: across.place[plain(level)])
    found = pd.DataFrame({"model": table["model"], "level": table["level"], "at": places + shift / 16, "n": table["n"]})
    found["identity"], found["said"] = (
        table["identity"],
        told_all(table, upright.field, "timed" if upright.field.endswith("seconds") else "n"),
    )
    found["never_at"] = places + beside * min(0.16, 0.85 / len(levels.order))
    bounds = table[[f"{upright.field}_low", f"{upright.field}_high"]].astype(float)
    if upright.ends:
        bounds = bounds.clip(*upright.domain)
    elif upright.most is not None:
        bounds = bounds.clip(upper=upright.most)
    found["value"], (found["low"], found["high"]) = table[upright.field].astype(float), (bounds[name] for name in bounds)
    return found.assign(reached=table["reached"], timed=table["timed"], missed=table["timed"] - table["reached"].fillna(0))


def _up(upright: Upright, column: str, is_first: bool) -> alt.Y:
    """The vertical axis; of panels beside each other only the first has labels."""
    if not is_first:
        axis = alt.Axis(labels=False, ticks=False, domain=False, **_marks(upright))
    else:
        axis = alt.Axis(minExtent=40, domain=False, tickSize=0, labelPadding=6, **_marks(upright))
    scale = alt.Scale(domain=upright.domain, nice=False, zero=False)
    return alt.Y(f"{column}:Q", title=upright.title if is_first else None, scale=scale, axis=axis)


def _marks(upright: Upright) -> dict[str, Any]:
    if upright.never_at is None:
        return {"values": upright.ticks, "format": ",.6~g"}
    above = upright.never_at * (1 - 1e-3)  # where a drawing is read, a number may come out one unit of its last place away
    label = f"datum.value > {above:.6g} ? 'not reached' : format(datum.value, ',.6~g')"
    return {"values": [*upright.ticks, upright.never_at], "labelExpr": label}


def _tooltip(upright: Upright) -> list[alt.Tooltip]:
    found = [alt.Tooltip("model:N"), alt.Tooltip("said:N", title=" ".join(upright.title))]
    if upright.field == "time_to_target_seconds":
        return [*found, alt.Tooltip("reached:Q", title="runs that reached it"), alt.Tooltip("timed:Q", title="of")]
    return [*found, alt.Tooltip("n:Q", title="runs")]


def _open(base: alt.Chart, upright: Upright, levels: Levels, is_first: bool) -> list[alt.Chart]:
    """Whiskers of medians whose interval has no upper end, because too few runs reached the target to give it one."""
    without_end = base.transform_filter("isValid(datum.value) && isValid(datum.low) && !isValid(datum.high)")
    y = _up(upright, "value", is_first)
    return [
        without_end.mark_rule(strokeWidth=1.5).encode(y=_up(upright, "low", is_first), y2="value:Q", color=levels.colour),
        without_end.mark_rule(strokeWidth=1, y2Offset=-13).encode(y=y, y2="value:Q", color=levels.colour),
        without_end.mark_point(shape="triangle-up", size=18, filled=True, opacity=1, yOffset=-13).encode(y=y, color=levels.colour),
    ]


def _never(base: alt.Chart, upright: Upright, levels: Levels, is_first: bool) -> list[alt.Chart]:
    """Runs that never reached the target, counted at the top of the panel."""
    if upright.never_at is None:
        return []
    band = alt.Chart(pd.DataFrame([{"from": 0.9 * upright.never_at, "to": upright.domain[1]}])).mark_rect(color="#f3f3f3")
    y = _up(upright, "never", is_first)
    marked = base.transform_filter("datum.missed > 0").transform_calculate(never=str(upright.never_at)).encode(x="never_at:Q")
    return [
        band.encode(y=_up(upright, "from", is_first), y2="to:Q"),
        marked.mark_point(size=60, filled=False, opacity=1, strokeWidth=1.5).encode(
            y=y, color=levels.colour, shape=levels.shape, tooltip=_tooltip(upright)
        ),
        marked.mark_text(dy=-13, fontSize=11, color=TEXT).encode(y=y, text="missed:Q"),
    ]


def _panels(title: str, subtitle: list[str], rows: Sequence[Sequence[alt.LayerChart]]) -> Drawn:
    """Panels beside and below each other, as one figure."""
    beside = [alt.hconcat(*row, spacing=14) for row in rows]
    chart = beside[0] if len(beside) == 1 else alt.vconcat(*beside, spacing=16)
    return styled(chart, title, subtitle, color="shared", shape="shared", strokeDash="shared")
