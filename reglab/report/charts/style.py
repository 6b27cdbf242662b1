"""What all figures have in common: colours, axes and the frame.

What stands for one thing has one colour in all figures of a report. Colours are Okabe and Ito's, ordered levels get darker as they
rise; shape, dash and position say the same once more, so that it survives a black-and-white print. Whiskers are 95 % intervals; one
that is open ends in an arrow.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import vl_convert

from reglab.report.charts.font import FAMILY
from reglab.report.stats import is_marked, short_machines
from reglab.report.studies.columns import Level
from reglab.report.writing.numbers import told

OTHER = "#444444"
"""For what has no colour of its own."""

TEXT = "#333333"
QUIET = "#666666"
FAINT = "#e8e8e8"
WIDTH = 900
"""Of all panels beside each other, in points: with axes a little less than the page."""

_SCALE = 2  # PNG pixels a point
_LONGEST = 170
"""Characters of a line under the title."""

_MOST_ARMS = 60
"""In a figure that has a row for each: the others are in its table."""

Drawn = alt.HConcatChart | alt.VConcatChart


@dataclass(frozen=True)
class Drawing:
    """A chart as Vega-Lite JSON, and its size as drawn, in CSS pixels."""

    spec: str
    width: float
    height: float


def plain(value: Any) -> Level:
    """A level as it was before pandas had it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def styled(chart: Drawn, title: str, subtitle: str | list[str], **scales: Literal["shared", "independent"]) -> Drawn:
    """The chart with its title and the look of all figures, its panels' `scales` (colour, shape, …) shared or not: the chart itself.

    Altair's own methods copy all of it at each call, and a figure of many panels has some thousand parts.
    """
    chart.title = alt.Title(title, subtitle=subtitle, anchor="start", offset=14)
    if scales:
        chart.resolve = alt.Resolve(scale=alt.ScaleResolveMap(**scales))
    chart.config = alt.Config(
        font=FAMILY,
        background="white",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            domainColor="#bbbbbb",
            tickColor="#bbbbbb",
            gridColor=FAINT,
            labelColor=TEXT,
            titleColor=TEXT,
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11,
            labelFlush=False,  # a label stands under its tick, the first and the last one, too
        ),
        title=alt.TitleConfig(color=TEXT, fontSize=14, subtitleColor=QUIET, subtitleFontSize=11),
        legend=alt.LegendConfig(
            labelColor=TEXT,
            titleColor=TEXT,
            titleFontWeight="normal",
            orient="top",
            titleOrient="left",
            labelFontSize=11,
            titleFontSize=11,
            symbolSize=80,
            symbolOpacity=1,
            symbolStrokeWidth=0,  # a dashed outline would only fray a filled symbol
            offset=10,
        ),
    )
    return chart


def wrapped(text: str) -> list[str]:
    """A text below a title, in lines that are no wider than the figure."""
    return textwrap.wrap(text, _LONGEST, break_long_words=False)


_NAME = 52
"""Characters of a name that stand on one line beside its row."""


def in_lines(names: Sequence[str]) -> list[str]:
    """What rows are called beside them: a long name on several lines, so that none ends before what tells it from others."""
    return [name if len(name) <= _NAME else "\n".join(textwrap.wrap(name, _NAME, replace_whitespace=False)) for name in names]


def row_step(names: Sequence[str], least: float) -> float:
    """The height of rows with such names beside them, in points."""
    return max(least, 14 * max(name.count("\n") + 1 for name in names) + 6)


def row_axis(names: Sequence[str], limit: int, **label: Any) -> alt.Axis:
    """The axis of rows with such names, in lines of so many points at most. `label`: how these look beside that."""
    if not any("\n" in name for name in names):
        return alt.Axis(labelLimit=limit, domain=False, ticks=False, grid=False, **label)
    baseline = alt.condition("indexof(datum.label, '\\n') < 0", alt.value("middle"), alt.value("bottom"))
    lines = "split(datum.label, '\\n')"
    return alt.Axis(labelLimit=limit, labelExpr=lines, labelBaseline=baseline, domain=False, ticks=False, grid=False, **label)


def told_all(table: pd.DataFrame, field: str, count: str = "n") -> list[str]:
    """A column of means with their intervals, as they are read: what a tooltip says."""
    bounds = (table[name].map(plain) for name in (field, f"{field}_low", f"{field}_high", count))
    return [told(mean, low, high, int(n or 0)) for mean, low, high, n in zip(*bounds, strict=True)]


def once(table: pd.DataFrame) -> pd.DataFrame:
    """An arm a row, of a table that has a row for each machine: accuracies are pooled over machines."""
    return table.drop_duplicates("identity")


def best(table: pd.DataFrame, subtitle: str) -> tuple[pd.DataFrame, str]:
    """The rows of the first arms of a table that begins with the best, where it has many; and a subtitle that says so."""
    arms = table["model"].unique()
    if len(arms) <= _MOST_ARMS:
        return table, subtitle
    return table[table["model"].isin(arms[:_MOST_ARMS])], f"{subtitle}; the best {_MOST_ARMS} of {len(arms):,} arms"


def medians(table: pd.DataFrame) -> list[str]:
    """What a subtitle says of times to the target, which are no means, where any is of several runs."""
    return ["times to the target: medians"] * bool((table["reached"] > 1).any())


def without_marked(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of arms but for marked times of those that have others."""
    is_timed = table["machine"].notna()
    marked = table["machine"].map(is_marked, na_action="ignore").eq(True)
    return table[~marked | ~table["identity"].isin(table["identity"][is_timed & ~marked])]


@dataclass(frozen=True)
class Timed:
    """The rows of arms with the times that a figure shows, the machines that these were taken on, by the short names that tell all of
    them apart, and those whose times it leaves to the table."""

    table: pd.DataFrame
    machines: Sequence[str]
    left_out: Sequence[str]

    @property
    def where(self) -> list[str]:
        """Where all of them were, in words; nothing where no other times are left out."""
        return [f"times on {' and on '.join(self.machines)}: {self.elsewhere}"] * bool(self.left_out)

    @property
    def elsewhere(self) -> str:
        """Where those are that it leaves out, in words."""
        return f"those on {' and on '.join(self.left_out)} are in the table"


def shown_on(table: pd.DataFrame, tells: Callable[[pd.DataFrame], bool] = lambda rows: True) -> Timed:
    """The rows of arms, of times but those of machines that show most arms beside each other.

    Times are compared on one machine: one that has but some of the arms that another has shows nothing that is not seen there. Nor do
    marked times of arms that have others, and of machines of which any `tells` something those that do not. The first of machines with the
    same arms is that with most runs.
    """
    known = short_machines(table["machine"].dropna())
    table = without_marked(table)
    of_machines = {str(machine): rows for machine, rows in table.groupby("machine")}
    timed = {machine: (set(rows["identity"]), int(rows["timed"].sum())) for machine, rows in of_machines.items()}
    telling = [machine for machine, rows in of_machines.items() if tells(rows)] or list(timed)
    kept: list[str] = []
    for machine in sorted(telling, key=lambda machine: (-len(timed[machine][0]), -timed[machine][1])):
        if not any(timed[machine][0] <= timed[other][0] for other in kept):
            kept.append(machine)
    left_out = [known[machine] for machine in timed if machine not in kept]
    return Timed(table[table["machine"].isna() | table["machine"].isin(kept)], [known[machine] for machine in sorted(kept)], left_out)


def by_machine(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The arms timed on each machine of a table of those that are shown, with its name where there are several."""
    timed = table[table["machine"].notna()]
    short = short_machines(timed["machine"])
    parts = [(short[machine] if len(short) > 1 else "", timed[timed["machine"] == machine]) for machine in short]
    return parts or [("", table)]


def accuracy_domain(table: pd.DataFrame, columns: Sequence[str], lowest: float = 0) -> list[float]:
    """From a round number below everything drawn, bounds included, to a little above it, within 0 to 100 %."""
    bounds = [f"{column}_{bound}" for column in columns for bound in ("low", "high")]
    drawn = table[[*columns, *bounds]].stack().to_numpy(dtype=float).clip(lowest, 100)
    if not drawn.size:
        return [lowest, 100]
    low, high = float(drawn.min()), float(drawn.max())
    room = max(0.05 * (high - low), 1.0)
    step = next(step for step, most in ((1, 4), (2, 8), (5, 50), (20, 100)) if high - low <= most)
    return [max(lowest, step * math.floor((low - room) / step)), min(high + room, 101.0)]


_REACH = 3
"""Times the longest time an interval is drawn: of two runs it may be ten times as wide as all that is measured."""


def highest(table: pd.DataFrame, field: str) -> float:
    """The largest value or bound of a column of times that is drawn; 1 where there is none."""
    values, bounds = (table[name].to_numpy(dtype=float) for name in (field, f"{field}_high"))
    longest = float(values[values > 0].max(initial=0))
    return max(longest, min(float(bounds[bounds > 0].max(initial=0)), _REACH * longest)) or 1.0


def cut(table: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """What a subtitle says where an interval of these columns of times is drawn in part."""
    is_cut = any((table[f"{field}_high"].astype(float) > highest(table, field)).any() for field in fields)
    return [f"intervals are drawn up to {_REACH} times the longest time"] * is_cut


def ticks(highest: float) -> list[float]:
    """Round numbers from 0 up to the highest, five or six of them at most."""
    unit = 10.0 ** math.floor(math.log10(highest))
    step = next(unit * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5) if highest / (unit * factor) <= 5)
    return [round(step * count, 10) for count in range(int(highest / step + 1e-9) + 1)]


def save(chart: Drawn, folder: Path, stem: str) -> Drawing:
    """Write the chart as Vega-Lite JSON, SVG and PNG."""
    with alt.data_transformers.enable(max_rows=None):  # a search may have more draws than Altair takes for an oversight
        spec = chart.to_json(validate=False)  # the tests do: a chart has some hundred parts, each of which would be held to the schema
    (folder / f"{stem}.json").write_text(spec, encoding="utf-8")
    svg = vl_convert.vegalite_to_svg(spec)
    (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
    (folder / f"{stem}.png").write_bytes(vl_convert.svg_to_png(svg, scale=_SCALE))
    width, height = (float(ElementTree.fromstring(svg).attrib[side]) for side in ("width", "height"))
    return Drawing(spec, width, height)
