"""Figures, each one Vega-Lite chart from one tidy table.

Every drawing takes `tables.tidy`'s table of the arms of one question, the study's base, the target accuracy (a fraction), a
title and a subtitle. What stands for one thing has one colour in all figures: an arm, a number of layers, AGC. The colours
of arms are Okabe and Ito's, ordered levels get darker as they rise; shape, dash and position say the same once more, so that
it survives a black-and-white print. Whiskers are 95 % intervals; one that is open ends in an arrow.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from reglab.arms import FINAL_ARMS
from reglab.report.factors import Factors
from reglab.report.font import FAMILY
from reglab.report.tables import short_machines

PALETTE = ("#999999", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
"""The six final models, in their order."""
OTHER = "#444444"
"""For what has no colour of its own."""

AGC = "#D55E00"
BATCHNORM = ("#999999", "#4DAF6A", "#2F6C8F", "#3B0F56")
"""0 to 3 layers."""
DROPOUT = ("#999999", "#E69F00", "#C8501E", "#6B1426")
"""0 to 3 layers."""
ASYMMETRIC = "#0072B2"
PROBABILITY = {0.0: "#999999", 0.1: "#F0C04A", 0.2: "#E69F00", 0.5: "#C8501E", 0.8: "#6B1426"}
CUTOUT = {0: "#56B4E9", 2: "#0072B2", 4: "#005A8D", 8: "#003F63", 16: "#001F33"}
"""Copies a batch. The first two are final models."""

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2), (12, 4))

_TEXT = "#333333"
_QUIET = "#666666"
_FAINT = "#e8e8e8"
_SCALE = 2  # PNG pixels a point
_WIDTH = 900
"""Of all panels beside each other, in points: with axes a little less than the page."""

_MOST_ARMS = 60
"""In a figure that has a row for each: the others are in its table."""

Drawn = alt.HConcatChart | alt.VConcatChart


# Lines: a measure against an ordered factor, a line for each level of another.


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

    @classmethod
    def of(cls, title: str | None, colours: dict[str, str]) -> "Levels":
        """Levels with their colours. A level's shape and dash are those of its place."""
        looks = [
            Look(level, colour, _SHAPES[place % len(_SHAPES)], _DASHES[place % len(_DASHES)])
            for place, (level, colour) in enumerate(colours.items())
        ]
        return cls(title, looks)

    def among(self, table: pd.DataFrame) -> "Levels":
        """Those that the table has; they look as they did."""
        there = set(table["level"])
        return replace(self, looks=[look for look in self.looks if look.level in there])

    @property
    def order(self) -> list[str]:
        return [look.level for look in self.looks]

    @property
    def colour(self) -> alt.Color:
        return alt.Color("level:N", scale=self._scale([look.colour for look in self.looks]), **self._said)

    @property
    def shape(self) -> alt.Shape:
        return alt.Shape("level:N", scale=self._scale([look.shape for look in self.looks]), **self._said)

    @property
    def dash(self) -> alt.StrokeDash:
        return alt.StrokeDash("level:N", scale=self._scale([list(look.dash) for look in self.looks]), **self._said)

    @property
    def _said(self) -> dict[str, Any]:
        return {"legend": None} if self.are_places or len(self.looks) == 1 else {"title": self.title}

    def _scale(self, values: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=self.order, range=values)


@dataclass(frozen=True)
class Across:
    """The horizontal axis: a factor, and where its values stand. `back` turns a place into the value, as a Vega expression."""

    title: str
    place: Callable[[float], float] = float
    back: str = "datum.value"
    places: Sequence[float] = ()

    def over(self, table: pd.DataFrame) -> "Across":
        """With a place for each value that the column `x` has: the same in each panel of a figure."""
        return replace(self, places=sorted({self.place(value) for value in table["x"]}))

    @property
    def gap(self) -> float:
        """The smallest distance between two places."""
        return min((after - before for before, after in pairwise(self.places)), default=1.0)

    @property
    def axis(self) -> alt.X:
        room = 0.4 * self.gap
        return alt.X(
            "at:Q",
            title=self.title,
            scale=alt.Scale(domain=[self.places[0] - room, self.places[-1] + room], nice=False, zero=False),
            axis=alt.Axis(values=self.places, labelExpr=f"format({self.back}, '.3~g')", grid=False, labelOverlap=False),
        )


LAYERS = Across("BN layers")
DROPOUT_LAYERS = Across("dropout layers")
DROPPING = Across("dropout probability")
THRESHOLD = Across("clip threshold", math.log2, "pow(2, datum.value)")
IMAGES = Across("cutout images a batch", math.sqrt, "datum.value * datum.value")


@dataclass(frozen=True)
class Upright:
    """The vertical axis: a column of the table, its range and the values that it names."""

    field: str
    title: list[str]
    domain: Sequence[float]
    ticks: Sequence[float]
    height: float = 240
    never_at: float | None = None
    """Where runs that never reached the target are shown, above everything else."""


def _accuracies(table: pd.DataFrame) -> Upright:
    low, high = _accuracy_domain(table, ["test_accuracy"])
    step = next(step for step in (1, 2, 5, 10, 20) if high - low <= 7 * step or step == 20)
    ticks = [float(tick) for tick in range(math.ceil(low / step) * step, math.floor(high) + 1, step)]
    top = max(high, ticks[-1] + 0.03 * (high - low))  # a label at the very top would push up its panel's title
    return Upright("test_accuracy", ["test accuracy, %"], [low, top], ticks)


def _training(table: pd.DataFrame, machine: str = "", height: float = 240) -> Upright:
    highest = _highest(table, "train_seconds")
    return Upright("train_seconds", _on(["training time, s"], machine), [0, 1.08 * highest], _ticks(highest), height)


def _reaching(table: pd.DataFrame, target: float, machine: str = "", height: float = 240) -> Upright:
    title, highest = f"time to {target * 100:g} % training accuracy, s", _highest(table, "time_to_target_seconds")
    if table["time_to_target_seconds"].isna().all():
        lines = _on([f"time to {target * 100:g} %", "training accuracy, s"], machine)
        return Upright("time_to_target_seconds", lines, [1.06, 1.32], [], height, never_at=1.18)
    if (table["reached"].fillna(0) == table["timed"]).all():
        return Upright("time_to_target_seconds", _on([title], machine), [0, 1.08 * highest], _ticks(highest), height)
    return Upright("time_to_target_seconds", _on([title], machine), [0, 1.32 * highest], _ticks(highest), height, never_at=1.18 * highest)


def _on(lines: list[str], machine: str) -> list[str]:
    return [*lines, *(textwrap.wrap(f"on {machine}", 40) if machine else [])]


def _highest(table: pd.DataFrame, field: str) -> float:
    """The largest value or bound of a column of times; 1 where there is none."""
    times = table[[field, f"{field}_high"]].to_numpy(dtype=float)
    highest = float(times[times > 0].max(initial=0))
    return highest or 1.0


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 up to the highest, five or six of them at most."""
    unit = 10.0 ** math.floor(math.log10(highest))
    step = next(unit * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5) if highest / (unit * factor) <= 5)
    return [round(step * count, 10) for count in range(int(highest / step + 1e-9) + 1)]


def _lines(
    table: pd.DataFrame, across: Across, upright: Upright, levels: Levels, width: float, title: str = "", is_first: bool = True
) -> alt.LayerChart:
    """One panel. The table has the columns `x` (a value of the axis) and `level` beside those of the measure.

    Levels stand a little apart at each value, so that whiskers do not cover each other.
    """
    table = _placed(table, across, levels, upright)
    base = alt.Chart(table).encode(x=across.axis)
    measured = base.transform_filter("isValid(datum.value)")
    points = measured.mark_point(size=70, filled=True, opacity=1).encode(
        y=_up(upright, "value", is_first), color=levels.colour, shape=levels.shape, tooltip=_tooltip(upright)
    )
    lines = measured.mark_line(strokeWidth=1.75, opacity=0.8, color=_QUIET).encode(
        y=_up(upright, "value", is_first), **({} if levels.are_places else {"color": levels.colour, "strokeDash": levels.dash})
    )
    whiskers = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=1.5)
        .encode(y=_up(upright, "low", is_first), y2="high:Q", color=levels.colour)
    )
    layers = [lines, whiskers, *_open(base, upright, levels, is_first), points, *_never(base, upright, levels, is_first)]
    return alt.LayerChart(layer=layers).properties(
        width=width, height=upright.height, title=alt.Title(title, fontSize=12, fontWeight="normal", anchor="middle", offset=6)
    )


def _placed(table: pd.DataFrame, across: Across, levels: Levels, upright: Upright) -> pd.DataFrame:
    """What a panel draws: `at` on the horizontal axis, `value`, `low` and `high` on the other."""
    shift = table["level"].map(levels.order.index).astype(float) - (len(levels.order) - 1) / 2
    shift *= 0 if levels.are_places else across.gap
    places = table["x"].map(across.place)
    found = pd.DataFrame({"model": table["model"], "level": table["level"], "at": places + shift / 16, "n": table["n"]})
    found["never_at"] = places + shift * min(0.16, 0.85 / len(levels.order))
    bounds = table[[f"{upright.field}_low", f"{upright.field}_high"]].astype(float)
    if upright.field.endswith("accuracy"):
        bounds = bounds.clip(*upright.domain)
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
        return {"values": upright.ticks}
    label = f"datum.value == {upright.never_at} ? 'not reached' : format(datum.value, ',')"
    return {"values": [*upright.ticks, upright.never_at], "labelExpr": label}


def _tooltip(upright: Upright) -> list[alt.Tooltip]:
    found = [alt.Tooltip("model:N"), alt.Tooltip("value:Q", title=" ".join(upright.title), format=",.2f")]
    found += [alt.Tooltip("low:Q", title="from", format=",.2f"), alt.Tooltip("high:Q", title="to", format=",.2f")]
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
        marked.mark_text(dy=-13, fontSize=11, color=_TEXT).encode(y=y, text="missed:Q"),
    ]


def _panels(title: str, subtitle: str, *rows: Sequence[alt.LayerChart]) -> Drawn:
    """Panels beside and below each other, as one figure."""
    beside = [alt.hconcat(*row, spacing=14) for row in rows]
    chart = beside[0] if len(beside) == 1 else alt.vconcat(*beside, spacing=16)
    return _styled(chart.resolve_scale(color="shared", shape="shared", strokeDash="shared"), title, subtitle)


def _styled(chart: Drawn, title: str, subtitle: str) -> Drawn:
    return (
        chart.properties(title=alt.Title(title, subtitle=subtitle, anchor="start", offset=14))
        .configure(font=FAMILY, background="white")
        .configure_view(stroke=None)
        .configure_axis(
            domainColor="#bbbbbb",
            tickColor="#bbbbbb",
            gridColor=_FAINT,
            labelColor=_TEXT,
            titleColor=_TEXT,
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11,
        )
        .configure_title(color=_TEXT, fontSize=14, subtitleColor=_QUIET, subtitleFontSize=11)
        .configure_legend(
            labelColor=_TEXT,
            titleColor=_TEXT,
            titleFontWeight="normal",
            orient="top",
            titleOrient="left",
            labelFontSize=11,
            titleFontSize=11,
            symbolSize=80,
            symbolOpacity=1,
            symbolStrokeWidth=0,  # a dashed outline would only fray a filled symbol
            offset=10,
        )
    )


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """An arm a row, of a table that has a row for each machine: accuracies are pooled over machines."""
    return table.drop_duplicates("identity")


def _best(table: pd.DataFrame, subtitle: str) -> tuple[pd.DataFrame, str]:
    """The rows of the first arms of a table that begins with the best, where it has many; and a subtitle that says so."""
    arms = table["model"].unique()
    if len(arms) <= _MOST_ARMS:
        return table, subtitle
    return table[table["model"].isin(arms[:_MOST_ARMS])], f"{subtitle}; the best {_MOST_ARMS} of {len(arms):,} arms"


def _by_machine(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The arms timed on each machine, with its name where there are several."""
    timed = table[table["machine"].notna()]
    short = short_machines(timed["machine"])
    parts = [(short[machine] if len(short) > 1 else "", timed[timed["machine"] == machine]) for machine in short]
    return parts or [("", table)]


# The study's figures.


def dropout_probability(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 2: test accuracy against dropout probability, a line for each number of BN layers, a panel for each of dropout layers.

    Networks without dropout stand at probability 0 in each panel.
    """
    table = _symmetric(_once(table))
    table = table.assign(x=_dropped(table), level=_whole(table["batchnorm"]))
    return _by_dropout_layers(table, DROPPING, _of_batchnorm(), title, subtitle)


def dropout_layers(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 3: test accuracy against BN layers, a line for each dropout probability, a panel for each number of dropout layers.

    Networks without dropout are a line in each panel.
    """
    table = _symmetric(_once(table))
    table = table.assign(x=table["batchnorm"], level=_dropped(table).map(_probability))
    looks = {_probability(p): PROBABILITY.get(p, OTHER) for p in sorted({*PROBABILITY, *_dropped(table)})}
    return _by_dropout_layers(table, LAYERS, Levels.of("dropout probability", looks), title, subtitle)


def _symmetric(arms: pd.DataFrame) -> pd.DataFrame:
    """Those without dropout, and those whose layers have one probability."""
    return arms[arms["probability"].notna() | (arms["layers"] == 0)]


def _dropped(arms: pd.DataFrame) -> pd.Series:
    return arms["probability"].astype(float).fillna(0.0)


def _by_dropout_layers(table: pd.DataFrame, across: Across, levels: Levels, title: str, subtitle: str) -> Drawn:
    layers = sorted(set(table["layers"]) - {0}) or [0]
    across, upright, levels, width = across.over(table), _accuracies(table), levels.among(table), _WIDTH / len(layers)
    panels = [
        _lines(table[table["layers"].isin([0, count])], across, upright, levels, width, _dropout_layers(count), is_first=count == layers[0])
        for count in layers
    ]
    return _panels(title, subtitle, panels)


def batchnorm_accuracy(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 5: test accuracy against BN layers, a line for each dropout configuration."""
    table = _by_configuration(_once(table))
    return _panels(title, subtitle, [_lines(table, LAYERS.over(table), _accuracies(table), _of_configurations(table), 0.75 * _WIDTH)])


def batchnorm_time(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 6: training time until the target against BN layers, a line for each dropout configuration, a panel for each machine."""
    table = _by_configuration(table)
    parts, across, levels = _by_machine(table), LAYERS.over(table), _of_configurations(table)
    width = 0.75 * _WIDTH if len(parts) == 1 else _WIDTH / len(parts)
    height = 240 if table["time_to_target_seconds"].notna().any() else 110
    panels = [_lines(part, across, _reaching(part, target, machine, height), levels, width) for machine, part in parts]
    return _panels(title, subtitle, panels)


def agc(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 7: test accuracy, and below it training time, against the clip threshold: a line for each number of dropout layers,
    a panel for each batch size."""
    table = table.assign(x=table["clip"], level=_whole(table["layers"]))
    sizes = sorted(set(table["batch_size"]))
    across, levels, width = THRESHOLD.over(table), Levels.of("dropout layers", _numbered(DROPOUT)).among(table), _WIDTH / len(sizes)

    def row(part: pd.DataFrame, upright: Upright, is_titled: bool) -> list[alt.LayerChart]:
        titles = {size: f"batch size {size:g}" if is_titled else "" for size in sizes}
        there = [(size, part[part["batch_size"] == size]) for size in sizes]
        return [_lines(arms, across, upright, levels, width, titles[size], is_first=size == sizes[0]) for size, arms in there]

    rows = [row(_once(table), _accuracies(table), True)]
    rows += [row(part, _training(part, machine, 170), False) for machine, part in _by_machine(table)]
    return _panels(title, subtitle, *rows)


def agc_batchnorm(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 8: test accuracy, training time and time to the target against dropout layers, a line for 0 to 3 BN layers and for AGC."""
    clipped = table["clip"].notna()
    table = table.assign(x=table["layers"], level=_whole(table["batchnorm"]).radd("BN ").where(~clipped, "AGC"))
    looks = {f"BN {layers}": colour for layers, colour in enumerate(BATCHNORM)} | {"AGC": AGC}
    across, levels, width = DROPOUT_LAYERS.over(table), Levels.of(None, looks).among(table), _WIDTH / 3 - 20
    accuracies = _lines(_once(table), across, _accuracies(table), levels, width)
    parts = _by_machine(table)
    height = 240 if len(parts) == 1 else 170
    times = [
        [_lines(part, across, upright, levels, width) for upright in (_training(part, name, height), _reaching(part, target, name, height))]
        for name, part in parts
    ]
    rows = [[accuracies, *times[0]]] if len(times) == 1 else [[accuracies], *times]
    return _panels(title, subtitle, *rows)


def cutout_screening(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 9: test accuracy and training time against the number of cutout images."""
    table = table.assign(x=table["cutout"], level=_whole(table["cutout"]))
    images = sorted({*CUTOUT, *map(int, table["cutout"])})
    levels = replace(Levels.of(None, {str(count): CUTOUT.get(count, OTHER) for count in images}).among(table), are_places=True)
    across, parts = IMAGES.over(table), _by_machine(table)
    width = _WIDTH / (1 + len(parts)) - 30
    panels = [_lines(_once(table), across, _accuracies(table), levels, width)]
    panels += [_lines(part, across, _training(part, machine), levels, width) for machine, part in parts]
    return _panels(title, subtitle, panels)


def _whole(numbers: pd.Series) -> pd.Series:
    return numbers.map("{:g}".format)


def _numbered(colours: Sequence[str]) -> dict[str, str]:
    return {str(number): colour for number, colour in enumerate(colours)}


def _of_batchnorm() -> Levels:
    return Levels.of("BN layers", _numbered(BATCHNORM))


def _probability(p: float) -> str:
    return f"{p:g}" if p else "none"


def _dropout_layers(count: float) -> str:
    return {0: "no dropout", 1: "1 dropout layer"}.get(int(count), f"{count:g} dropout layers")


def _by_configuration(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(x=table["batchnorm"], level=table["dropout"].where(table["dropout"] != "", "none"))


def _of_configurations(table: pd.DataFrame) -> Levels:
    """Dropout configurations: symmetric ones in the colour of their number of layers, from few layers to many."""
    arms = table.drop_duplicates("level")
    arms = arms.assign(asymmetric=arms["probability"].isna() & (arms["layers"] > 0)).sort_values(["layers", "asymmetric", "level"])
    colours = {
        level: ASYMMETRIC if is_asymmetric else DROPOUT[int(layers)]
        for level, layers, is_asymmetric in zip(arms["level"], arms["layers"], arms["asymmetric"], strict=True)
    }
    return Levels.of("dropout", colours)


# Figure 4.


def dropout_arrays(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 4: test accuracy of arrays of dropout probabilities, best first; and of the draws of searches, by each probability.

    A search selects on held-out training images: its draws are the arms that have some. Of many others the best are shown.
    """
    arms = _once(table).sort_values("test_accuracy", ascending=False, na_position="last")
    drawn = arms[(arms["held_out"] > 0) & arms["test_accuracy"].notna()]
    chosen, subtitle = _best(arms[arms["held_out"] == 0], subtitle)
    limits = _accuracy_domain(arms, ["test_accuracy"])
    panels: list[alt.Chart | alt.LayerChart] = []
    if len(chosen):
        panels += [_tiles(chosen), _ranked(chosen, limits)]
    if len(drawn):
        height = max(_ROW * len(chosen), 220)
        panels += [_draws(drawn, layer, limits, height) for layer in range(int(drawn["layers"].max()))]
    return _styled(alt.hconcat(*panels, spacing=18).resolve_scale(color="independent", shape="independent"), title, subtitle)


def _each_probability(arms: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer of each arm: `layer` from 1, and its probability `p`."""
    rows = [
        {"model": model, "layer": layer, "p": float(p), "test_accuracy": accuracy}
        for model, array, accuracy in zip(arms["model"], arms["dropout"], arms["test_accuracy"], strict=True)
        for layer, p in enumerate(filter(None, array.split("/")), start=1)
    ]
    return pd.DataFrame(rows, columns=["model", "layer", "p", "test_accuracy"])


def _tiles(arms: pd.DataFrame) -> alt.LayerChart:
    """Each arm's probabilities as numbers on tiles, darker where more is dropped."""
    x = alt.X("layer:O", title="probability in layer", axis=alt.Axis(labelAngle=0, domain=False, ticks=False, grid=False))
    y = alt.Y("model:N", sort=list(arms["model"]), title=None, axis=None)
    base = alt.Chart(_each_probability(arms), width={"step": 44}, height={"step": _ROW}).encode(x=x, y=y)
    shades = alt.Scale(domain=[0, 1], range=["#ffffff", "#5b3a00"])
    tiles = base.mark_rect(stroke="white", strokeWidth=3, cornerRadius=4).encode(color=alt.Color("p:Q", scale=shades, legend=None))
    ink = alt.condition("datum.p > 0.6", alt.value("white"), alt.value(_TEXT))
    return tiles + base.mark_text(fontSize=12).encode(text=alt.Text("p:Q", format=".3~g"), color=ink)


def _ranked(arms: pd.DataFrame, limits: list[float]) -> alt.LayerChart:
    """A row an arm: its mean, its interval, and the mean in figures."""
    bounds = arms[["test_accuracy_low", "test_accuracy_high"]].astype(float).clip(*limits)
    arms = arms.assign(low=bounds["test_accuracy_low"], high=bounds["test_accuracy_high"])
    arms = arms.assign(end=arms["high"].fillna(arms["test_accuracy"].astype(float)).fillna(limits[0]))
    arms = arms.assign(text=arms["test_accuracy"].map(lambda value: "no finished run" if pd.isna(value) else f"{value:.1f}"))
    kinds = ["symmetric", "asymmetric"]
    arms = arms.assign(kind=arms["probability"].isna().map({False: kinds[0], True: kinds[1]}))
    domain = alt.Scale(domain=[limits[0], limits[1] + 0.12 * (limits[1] - limits[0])], nice=False, zero=False)
    y = alt.Y("model:N", sort=list(arms["model"]), title=None, axis=None)
    base = alt.Chart(arms, width=300, height={"step": _ROW}).encode(y=y)
    axis = alt.Axis(tickCount=5, domain=False, tickSize=0, labelPadding=6)
    x = alt.X("test_accuracy:Q", title="test accuracy, %", scale=domain, axis=axis)
    colour = alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds, range=[DROPOUT[3], ASYMMETRIC]))
    shape = alt.Shape("kind:N", title=None, scale=alt.Scale(domain=kinds, range=["square", "circle"]))
    tooltip = ["model:N", alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %"), alt.Tooltip("n:Q", title="runs")]
    rows = base.mark_rule(strokeWidth=1, color=_FAINT).encode(x=alt.value(0), x2=alt.value(300))
    whiskers = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", scale=domain, axis=axis), x2="high:Q", color=colour)
    points = base.mark_point(size=90, filled=True, opacity=1).encode(x=x, color=colour, shape=shape, tooltip=tooltip)
    texts = base.mark_text(align="left", dx=9, color=_TEXT).encode(x=alt.X("end:Q", scale=domain, axis=axis), text="text:N")
    return rows + whiskers + points + texts


def _draws(arms: pd.DataFrame, layer: int, limits: list[float], height: float) -> alt.Chart:
    """The draws' accuracy against the probability of one layer (from 0)."""
    table = _each_probability(arms)
    is_first = layer == 0
    marks: dict[str, Any] = {"domain": False, "tickSize": 0, "labelPadding": 6}
    y = alt.Y(
        "test_accuracy:Q",
        title=f"test accuracy of {len(arms)} searched {'array' if len(arms) == 1 else 'arrays'}, %" if is_first else None,
        scale=alt.Scale(domain=limits, nice=False, zero=False),
        axis=alt.Axis(labels=is_first, tickCount=6, **marks),
    )
    x = alt.X(
        "p:Q",
        title=f"probability in layer {layer + 1}",
        scale=alt.Scale(domain=[0, 0.9], nice=False),
        axis=alt.Axis(**marks, values=[0.2, 0.4, 0.6, 0.8], grid=False),
    )
    return (
        alt.Chart(table[table["layer"] == layer + 1], width=130, height=height)
        .mark_point(size=40, filled=True, opacity=0.75, color=ASYMMETRIC)
        .encode(x=x, y=y, tooltip=["model:N", alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %")])
    )


# Rows: any set of arms, each with its accuracies and times.

_ROW = 34
_LINE = 36
"""Characters of an arm's name that stand on one line."""


def final_models(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 11: accuracy on test and training images, training time and time to the target, an arm a row."""
    return models(table, base, target, title, subtitle)


def augmentation(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Figure 10: no augmentation, transformations and cutout: accuracies, training time and time to the target."""
    table = table.sort_values(["cutout", "transformations"], kind="stable")
    names = [
        " and ".join(["transformations"] * bool(moves) + [f"cutout {images:g}"] * bool(images)) or "none"
        for moves, images in zip(table["transformations"], table["cutout"], strict=True)
    ]
    is_clear = len(set(zip(names, table["machine"].fillna(""), strict=True))) == len(table)
    return models(table, base, target, title, subtitle, names if is_clear else None)


def others(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str) -> Drawn:
    """Arms that answer no question, like the final models; of many the best."""
    table, subtitle = _best(table, subtitle)
    return models(table, base, target, title, subtitle)


def models(table: pd.DataFrame, base: Factors, target: float, title: str, subtitle: str, names: Sequence[str] | None = None) -> Drawn:
    """Any arms, in the order of the table: test and training accuracy, training time and time to the target, an arm a row.

    The bar between the two accuracies is the overfitting. An arm that was timed on several machines has a row for each.
    """
    table = _in_rows(table, list(table["model"]) if names is None else names)
    order = list(table["row"])
    lines = max(name.count("\n") + 1 for name in order)
    base_chart = alt.Chart(table, height={"step": max(_ROW, 15 * lines + 8)})
    axis = alt.Axis(
        labelLimit=280,
        labelExpr="split(datum.label, '\\n')",
        labelBaseline=alt.condition("indexof(datum.label, '\\n') < 0", alt.value("middle"), alt.value("bottom")),
        labelPadding=8,
        labelFontSize=12,
        domain=False,
        ticks=False,
        grid=False,
    )
    rows = alt.Y("row:N", sort=order, title=None, axis=axis)
    bare_rows = alt.Y("row:N", sort=order, title=None, axis=None)
    colour = alt.Color("row:N", scale=alt.Scale(domain=order, range=list(table["colour"])), legend=None)
    accuracies = _dumbbells(base_chart, rows, colour)
    training = _bars(base_chart, bare_rows, colour, "train_seconds", "training time, s")
    reaching = _bars(base_chart, bare_rows, colour, "time_to_target_seconds", f"time to {target * 100:g} % training accuracy, s")
    never = base_chart.mark_text(align="left", dx=4, color=_TEXT, fontStyle="italic").encode(y=bare_rows, x=alt.datum(0), text="until:N")
    return _styled(alt.hconcat(accuracies, training, reaching + never, spacing=24).resolve_scale(color="shared"), title, subtitle)


def _in_rows(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with what the rows show in words: `row` (a name of its own), its `colour`, and the times."""
    alike = pd.Series(list(zip(names, table["machine"].fillna(""), strict=True))).duplicated(keep=False)
    names = [
        f"{name} · {identity}" if is_not_alone else name
        for name, identity, is_not_alone in zip(names, table["identity"], alike, strict=True)
    ]
    short = short_machines(table["machine"].dropna())
    machines = [short.get(machine, "") if len(short) > 1 else "" for machine in table["machine"]]
    repeated = table["identity"].duplicated()
    accuracies = [name for name in table.columns if name.startswith(("test_accuracy", "train_accuracy", "gap"))]
    shown = {name: table[name].mask(repeated) for name in accuracies}  # they are pooled over machines: one mark an arm
    return table.assign(
        **shown,
        row=["\n".join([*_broken(name), *([machine] if machine else [])]) for name, machine in zip(names, machines, strict=True)],
        colour=[_arm_colour(row) for row in table.to_dict("records")],
        until=[_until(row) for row in table.to_dict("records")],
        train_seconds_text=table["train_seconds"].map(_seconds),
        time_to_target_seconds_text=[_target_text(row) for row in table.to_dict("records")],
    )


def _broken(name: str) -> list[str]:
    """A long name in lines, broken between its parts."""
    lines: list[str] = []
    for part in name.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= _LINE:
            lines[-1] += f" · {part}"
        else:
            lines += textwrap.wrap(part, _LINE + 8) or [part]
    return lines


def _arm_colour(row: dict[Any, Any]) -> str:
    """A final model's own, whatever it stands on; else that of the technique that it is about."""
    name = row["model"].partition(" · ")[0]
    if name in FINAL_ARMS:
        return PALETTE[FINAL_ARMS.index(name)]
    if pd.notna(row["clip"]):
        return AGC
    if row["cutout"] > 0:
        return CUTOUT.get(int(row["cutout"]), OTHER)
    return BATCHNORM[int(row["batchnorm"])] if row["batchnorm"] > 0 else OTHER


def _until(row: dict[Any, Any]) -> str:
    """What stands where there is no bar for the time to the target."""
    if row["timed"] == 0:
        return "no finished run" if row["n"] == 0 else ""
    if pd.notna(row["time_to_target_seconds"]):
        return ""
    return f"{row['reached']:g} of {row['timed']:g} reached it" if row["reached"] else "not reached"


def _target_text(row: dict[Any, Any]) -> str:
    text = _seconds(row["time_to_target_seconds"])
    return f"{text} ({row['reached']:g} of {row['timed']:g})" if text and row["reached"] < row["timed"] else text


def _seconds(value: float) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def _accuracy_domain(table: pd.DataFrame, columns: Sequence[str]) -> list[float]:
    """From a round number below everything drawn, bounds included, to a little above it, within 0 to 100 %."""
    bounds = [f"{column}_{bound}" for column in columns for bound in ("low", "high")]
    drawn = table[[*columns, *bounds]].stack().to_numpy(dtype=float).clip(0, 100)
    if not drawn.size:
        return [0, 100]
    low, high = float(drawn.min()), float(drawn.max())
    room = max(0.05 * (high - low), 1.0)
    step = next(step for step, most in ((1, 4), (2, 8), (5, 50), (20, 100)) if high - low <= most)
    return [max(0.0, step * math.floor((low - room) / step)), min(high + room, 101.0)]


def _dumbbells(base: alt.Chart, rows: alt.Y, colour: alt.Color) -> alt.LayerChart:
    """Filled circle for test, open diamond for training images, whiskers for the test interval."""
    limits = _accuracy_domain(base.data, ["test_accuracy", "train_accuracy"])
    base = base.transform_calculate(low=f"max(datum.test_accuracy_low, {limits[0]})", high=f"min(datum.test_accuracy_high, {limits[1]})")
    domain = alt.Scale(domain=limits, nice=False, zero=False)
    x = alt.X("test_accuracy:Q", title="accuracy, %", scale=domain, axis=alt.Axis(tickCount=6))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("n:Q", title="runs"),
        alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %"),
        alt.Tooltip("train_accuracy:Q", format=".2f", title="training, %"),
        alt.Tooltip("gap:Q", format=".2f", title="overfitting, points"),
    ]
    between = (
        base.transform_filter("isValid(datum.test_accuracy) && isValid(datum.train_accuracy)")
        .mark_rule(strokeWidth=6, opacity=0.25)
        .encode(y=rows, x=x, x2="train_accuracy:Q", color=colour)
    )
    whiskers = (
        base.transform_filter("isValid(datum.test_accuracy_low)")
        .mark_rule(strokeWidth=1.5, color=_TEXT)
        .encode(y=rows, x=alt.X("low:Q", scale=domain), x2="high:Q")
    )
    legend = alt.Legend(symbolStrokeColor=_TEXT, symbolFillColor="white", symbolStrokeWidth=1.5, title=None)
    shape = alt.Shape("which:N", scale=alt.Scale(domain=["test", "training"], range=["circle", "diamond"]), legend=legend)
    test = (
        base.transform_calculate(which="'test'")
        .mark_point(size=110, filled=True, opacity=1)
        .encode(y=rows, x=x, color=colour, shape=shape, tooltip=tooltip)
    )
    train = (
        base.transform_calculate(which="'training'")
        .mark_point(size=70, filled=False, opacity=1, strokeWidth=2)
        .encode(y=rows, x=alt.X("train_accuracy:Q", scale=domain), color=colour, shape=shape, tooltip=tooltip)
    )
    return (between + whiskers + train + test).properties(width=330)


def _bars(base: alt.Chart, rows: alt.Y, colour: alt.Color, field: str, title: str) -> alt.LayerChart:
    """Bars from zero with their interval; the time in figures stands behind both."""
    low, high = f"{field}_low", f"{field}_high"
    scale = alt.Scale(domain=[0, 1.4 * _highest(base.data, field)], nice=False)
    axis = alt.Axis(tickCount=4) if base.data[field].notna().any() else alt.Axis(values=[])
    x = alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)
    bars = base.mark_bar(height=16).encode(
        y=rows, x=x, color=colour, tooltip=["model:N", "machine:N", alt.Tooltip(f"{field}:Q", format=",.1f", title="seconds")]
    )
    bounded = base.transform_filter(f"isValid(datum.{field}) && isValid(datum.{low})").mark_rule(strokeWidth=1.5, color=_TEXT)
    closed = bounded.transform_calculate(from_=f"max(datum.{low}, 0)", to=f"isValid(datum.{high}) ? datum.{high} : datum.{field}")
    whiskers = closed.encode(y=rows, x=alt.X("from_:Q", scale=scale, axis=axis), x2="to:Q")
    halo = whiskers.copy().mark_rule(strokeWidth=4, color="white", opacity=0.6)  # on a dark bar
    arrows = (
        base.transform_filter(f"isValid(datum.{low}) && isValid(datum.{field}) && !isValid(datum.{high})")
        .mark_point(shape="triangle-right", size=30, filled=True, opacity=1, color=_TEXT, xOffset=4)
        .encode(y=rows, x=x)
    )
    labels = (
        base.transform_calculate(end=f"max(datum.{field}, datum.{high})")
        .mark_text(align="left", dx=11, color=_TEXT)
        .encode(y=rows, x=alt.X("end:Q", scale=scale, axis=axis), text=f"{field}_text:N")
    )
    return (bars + halo + whiskers + arrows + labels).properties(width=190)


def save(chart: Drawn, folder: Path, stem: str) -> str:
    """Write the chart as Vega-Lite JSON, SVG and PNG; returns the JSON."""
    with alt.data_transformers.enable(max_rows=None):  # a search may have more draws than Altair takes for an oversight
        spec = chart.to_json()
    (folder / f"{stem}.json").write_text(spec, encoding="utf-8")
    (folder / f"{stem}.svg").write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    (folder / f"{stem}.png").write_bytes(vl_convert.vegalite_to_png(spec, scale=_SCALE))
    return spec
