"""Figures of rows: any set of arms, each with its accuracies and times."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from reglab.report.charts.style import (
    OTHER,
    TEXT,
    Drawn,
    accuracy_domain,
    best,
    cut,
    highest,
    medians,
    plain,
    row_axis,
    shown_on,
    styled,
    told_all,
    wrapped,
)
from reglab.report.stats import short_machines
from reglab.report.studies.columns import brief, written
from reglab.report.studies.design import FigureData
from reglab.report.studies.study import Study

ROW = 34
_OPEN = 45
"""Size of an open diamond, which is seen on a filled circle where both are at one place."""

_LINE = 36
"""Characters of an arm's name that stand on one line."""


def draw(table: pd.DataFrame, figure: FigureData, study: Study, subtitle: str) -> Drawn:
    """Any arms, in the order of the table, of very many the best: test and training accuracy, training time and time to the target.

    An arm has a row, with a bar for each of the machines shown that timed it. The bar between the two accuracies is the overfitting.
    With `rows`, an arm is called by its level in that column, where that tells arms apart.
    """
    table, subtitle = best(table, subtitle)
    shown = shown_on(table)
    table = shown.table
    names = list(table["model"])
    if figure.rows:
        levels = [brief(plain(level)) for level in table[figure.rows]]
        is_clear = table.assign(row=levels).groupby("row")["identity"].nunique().max() == 1
        names = levels if is_clear else names
    target = study.target
    machines = list(short_machines(table["machine"].dropna()).values())
    table = _in_rows(table, names, study)
    order = list(dict.fromkeys(table["row"]))
    lines = max(name.count("\n") + 1 for name in order)
    base_chart = alt.Chart(height=len(order) * max(ROW, 15 * lines + 8, 17 * len(machines) + 10))
    bands = alt.Scale(type="band", paddingInner=0.2, paddingOuter=0.1)  # so that rows are level in all panels
    rows = alt.Y("row:N", sort=order, title=None, axis=row_axis(order, 280, labelPadding=8, labelFontSize=12), scale=bands)
    bare_rows = alt.Y("row:N", sort=order, title=None, axis=None, scale=bands)
    colour = alt.Color("row:N", scale=alt.Scale(domain=order, range=list(table.drop_duplicates("row")["colour"])), legend=None)
    accuracies = _dumbbells(table, base_chart, rows, colour)
    timed = base_chart.transform_filter("isValid(datum.machine)") if len(machines) > 1 else base_chart
    if len(machines) > 1:
        timed = timed.encode(yOffset=alt.YOffset("on:O", sort=machines, scale=alt.Scale(paddingInner=0.2, paddingOuter=0)))
    training = _bars(table, timed, bare_rows, colour, "train_seconds", "training time, s", is_split=len(machines) > 1)
    reaching = _bars(table, timed, bare_rows, colour, "time_to_target_seconds", f"time to {target.words}, s", is_split=len(machines) > 1)
    never = timed.mark_text(align="left", dx=4, color=TEXT, fontStyle="italic").encode(y=bare_rows, x=alt.datum(0), text="until:N")
    reaching.layer.append(never)
    said = ["; ".join([subtitle, *medians(table)])]
    where = shown.where
    if len(machines) > 1:
        where = [f"times of each arm, from the top: {'; '.join(shown.machines)}", *[shown.elsewhere] * bool(shown.left_out)]
    said += wrapped("; ".join([*where, *cut(table, ["train_seconds", "time_to_target_seconds"])]))
    return styled(alt.hconcat(accuracies, training, reaching, spacing=24), figure.title, said, color="shared")


def _in_rows(table: pd.DataFrame, names: Sequence[str], study: Study) -> pd.DataFrame:
    """The table with what the rows show in words: `row` (a name of its own), its `colour`, and the times."""
    arms = table.assign(_name=names).groupby("_name")["identity"].nunique()
    names = [f"{name} · {identity}" if arms[name] > 1 else name for name, identity in zip(names, table["identity"], strict=True)]
    repeated = table["identity"].duplicated()
    accuracies = [name for name in table.columns if name.startswith(("test_accuracy", "train_accuracy", "gap"))]
    once = {name: table[name].mask(repeated) for name in accuracies}  # they are pooled over machines: one mark an arm
    short = short_machines(table["machine"].dropna())
    return table.assign(
        **once,
        on=table["machine"].map(short),
        row=["\n".join(_broken(name)) for name in names],
        colour=[arm_colour(row, study) for row in table.to_dict("records")],
        until=[_until(row) for row in table.to_dict("records")],
        **{f"{name}_text": told_all(table, name) for name in ("test_accuracy", "train_accuracy", "gap")},
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


def arm_colour(row: Mapping[Any, Any], study: Study) -> str:
    """That of the first column by which the study colours arms and in which this one is not as the plain arm is."""
    for name in study.design.colour_by:
        column, level = study.design.by_name[name], plain(row[name])
        if level is not None and (column.kind == "levels" or written(level) != written(study.base[name])):
            return column.colour(level) or OTHER
    return OTHER


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


def _dumbbells(table: pd.DataFrame, base: alt.Chart, rows: alt.Y, colour: alt.Color) -> alt.LayerChart:
    """Filled circle for test, above it open diamond for training images, whiskers for the test interval."""
    limits = accuracy_domain(table, ["test_accuracy", "train_accuracy"])
    base = base.transform_calculate(low=f"max(datum.test_accuracy_low, {limits[0]})", high=f"min(datum.test_accuracy_high, {limits[1]})")
    domain = alt.Scale(domain=limits, nice=False, zero=False)
    x = alt.X("test_accuracy:Q", title="accuracy, %", scale=domain, axis=alt.Axis(tickCount=6))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("n:Q", title="runs"),
        alt.Tooltip("test_accuracy_text:N", title="test, %"),
        alt.Tooltip("train_accuracy_text:N", title="training, clean, %"),
        alt.Tooltip("gap_text:N", title="overfitting, points"),
    ]
    between = (
        base.transform_filter("isValid(datum.test_accuracy) && isValid(datum.train_accuracy)")
        .mark_rule(strokeWidth=6, opacity=0.25)
        .encode(y=rows, x=x, x2="train_accuracy:Q", color=colour)
    )
    whiskers = (
        base.transform_filter("isValid(datum.test_accuracy_low)")
        .mark_rule(strokeWidth=1.5, color=TEXT)
        .encode(y=rows, x=alt.X("low:Q", scale=domain), x2="high:Q")
    )
    legend = alt.Legend(symbolStrokeColor=TEXT, symbolFillColor="white", symbolStrokeWidth=1.5, title=None)
    shape = alt.Shape("which:N", scale=alt.Scale(domain=["test", "training, clean"], range=["circle", "diamond"]), legend=legend)
    test = (
        base.transform_calculate(which="'test'")
        .mark_point(size=110, filled=True, opacity=1)
        .encode(y=rows, x=x, color=colour, shape=shape, tooltip=tooltip)
    )
    there = alt.X("train_accuracy:Q", scale=domain)
    inside = base.mark_point(shape="diamond", size=_OPEN, filled=True, opacity=1, color="white").encode(y=rows, x=there)
    train = (
        base.transform_calculate(which="'training, clean'")
        .mark_point(size=_OPEN, filled=False, opacity=1, strokeWidth=2)
        .encode(y=rows, x=there, color=colour, shape=shape, tooltip=tooltip)
    )
    return alt.LayerChart(data=table, layer=[between, whiskers, test, inside, train], width=330)


def _bars(table: pd.DataFrame, base: alt.Chart, rows: alt.Y, colour: alt.Color, field: str, title: str, is_split: bool) -> alt.LayerChart:
    """Bars from zero with their interval; the time in figures stands behind both. Of several machines a row has one for each."""
    low, high = f"{field}_low", "high"
    most = highest(table, field)
    base = base.transform_calculate(high=f"isValid(datum.{field}_high) ? min(datum.{field}_high, {most}) : null")
    scale = alt.Scale(domain=[0, 1.4 * most], nice=False)
    axis = alt.Axis(tickCount=4) if table[field].notna().any() else alt.Axis(values=[])
    x = alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)
    tooltip = ["model:N", "machine:N", alt.Tooltip(f"{field}_text:N", title="time")]
    bars = (base.mark_bar() if is_split else base.mark_bar(height=16)).encode(y=rows, x=x, color=colour, tooltip=tooltip)
    bounded = base.transform_filter(f"isValid(datum.{field}) && isValid(datum.{low})").mark_rule(strokeWidth=1.5, color=TEXT)
    closed = bounded.transform_calculate(from_=f"max(datum.{low}, 0)", to=f"isValid(datum.{high}) ? datum.{high} : datum.{field}")
    whiskers = closed.encode(y=rows, x=alt.X("from_:Q", scale=scale, axis=axis), x2="to:Q")
    halo = whiskers.copy().mark_rule(strokeWidth=4, color="white", opacity=0.6)  # on a dark bar
    arrows = (
        base.transform_filter(f"isValid(datum.{low}) && isValid(datum.{field}) && !isValid(datum.{high})")
        .mark_point(shape="triangle-right", size=30, filled=True, opacity=1, color=TEXT, xOffset=4)
        .encode(y=rows, x=x)
    )
    labels = (
        base.transform_calculate(end=f"max(datum.{field}, datum.{high})")
        .mark_text(align="left", dx=11, color=TEXT)
        .encode(y=rows, x=alt.X("end:Q", scale=scale, axis=axis), text=f"{field}_text:N")
    )
    return alt.LayerChart(data=table, layer=[bars, halo, whiskers, arrows, labels], width=190)
