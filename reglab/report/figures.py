"""Figures, each one Vega-Lite chart from one tidy table.

An arm has the same colour in every figure (Okabe and Ito's palette, told apart by the colour-blind); position and shape
carry the meaning, so that it survives a black-and-white print.
"""

import math
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert

from reglab.arms import FINAL_ARMS

PALETTE = ("#999999", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
OTHER = "#444444"
"""For arms that are not among the six final models."""

_TEXT = "#333333"
_SCALE = 2  # PNG pixels a point


def final_models(table: pd.DataFrame, target: float, title: str, subtitle: str) -> alt.HConcatChart:
    """Figure 11: accuracy on test and training images, training time and time to the target, an arm a row.

    `table` is `tables.tidy`'s. The bar between the two accuracies is the overfitting.
    """
    table = table.assign(
        until=table["time_to_target_seconds"].notna().map({True: "", False: "not reached"}).where(table["n"] > 0, "no finished run"),
        train_text=table["train_seconds"].map(_seconds),
        target_text=table["time_to_target_seconds"].map(_seconds),
    )
    order = list(table["model"])
    base = alt.Chart(table, height={"step": 34})
    rows = alt.Y("model:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, domain=False, ticks=False, labelPadding=8))
    bare_rows = rows.axis(None)
    colour = _colour(order)
    accuracies = _accuracy(base, rows, colour, _accuracy_domain(table))
    training = _bars(base, bare_rows, colour, "train_seconds", "train_text", "training time, s")
    reaching = _bars(base, bare_rows, colour, "time_to_target_seconds", "target_text", f"time to {target * 100:g} % training accuracy, s")
    never = base.mark_text(align="left", dx=4, color=_TEXT, fontStyle="italic").encode(y=bare_rows, x=alt.datum(0), text="until:N")
    return (
        alt.hconcat(accuracies, training, (reaching + never), spacing=24)
        .resolve_scale(color="shared")
        .properties(title=alt.Title(title, subtitle=subtitle, anchor="start", offset=14))
        .configure_view(stroke=None)
        .configure(font="sans-serif", background="white")
        .configure_axis(domainColor="#bbbbbb", tickColor="#bbbbbb")
        .configure_axisX(
            gridColor="#e8e8e8", labelColor=_TEXT, titleColor=_TEXT, titleFontWeight="normal", labelFontSize=11, titleFontSize=11
        )
        .configure_axisY(grid=False, labelColor=_TEXT, labelFontSize=12)
        .configure_title(color=_TEXT, fontSize=14, subtitleColor="#666666", subtitleFontSize=11)
        .configure_legend(labelColor=_TEXT, orient="top", title=None, labelFontSize=11, symbolStrokeColor=_TEXT, symbolFillColor="white")
    )


def _colour(order: list[str]) -> alt.Color:
    known = dict(zip(FINAL_ARMS, PALETTE, strict=True))
    return alt.Color("model:N", scale=alt.Scale(domain=order, range=[known.get(arm, OTHER) for arm in order]), legend=None)


def _seconds(value: float) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def _accuracy_domain(table: pd.DataFrame) -> list[float]:
    """From a round number below everything drawn to a little above it, within 0 to 100 %."""
    drawn = table[["test_accuracy", "train_accuracy", "test_accuracy_low", "test_accuracy_high"]].stack().to_numpy(dtype=float)
    if not drawn.size:
        return [0, 100]
    low, high = float(drawn.min()), float(drawn.max())
    room = max(0.05 * (high - low), 1.0)
    return [max(0.0, 5 * math.floor((low - room) / 5)), min(high + room, 101.0)]


def _accuracy(base: alt.Chart, rows: alt.Y, colour: alt.Color, limits: list[float]) -> alt.LayerChart:
    """A dumbbell: filled circle for test, open diamond for training images, whiskers for the test interval."""
    domain = alt.Scale(domain=limits, nice=False)
    x = alt.X("test_accuracy:Q", title="accuracy, %", scale=domain)
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("n:Q", title="runs"),
        alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %"),
        alt.Tooltip("train_accuracy:Q", format=".2f", title="training, %"),
        alt.Tooltip("gap:Q", format=".2f", title="overfitting, points"),
    ]
    between = base.mark_rule(strokeWidth=6, opacity=0.25).encode(y=rows, x=x, x2="train_accuracy:Q", color=colour)
    whiskers = base.mark_rule(strokeWidth=1.5, color=_TEXT).encode(
        y=rows, x=alt.X("test_accuracy_low:Q", scale=domain), x2="test_accuracy_high:Q"
    )
    shape = alt.Shape("which:N", scale=alt.Scale(domain=["test", "training"], range=["circle", "diamond"]))
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


def _bars(base: alt.Chart, rows: alt.Y, colour: alt.Color, field: str, text: str, title: str) -> alt.LayerChart:
    longest = base.data[field].max(skipna=True)
    x = alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=[0, 1.0 if pd.isna(longest) else 1.25 * longest], nice=False),
        axis=alt.Axis(tickCount=4),
    )
    bars = base.mark_bar(height=16).encode(
        y=rows, x=x, color=colour, tooltip=["model:N", alt.Tooltip(f"{field}:Q", format=",.1f", title="seconds")]
    )
    labels = base.mark_text(align="left", dx=4, color=_TEXT).encode(y=rows, x=x, text=f"{text}:N")
    return (bars + labels).properties(width=190)


def save(chart: alt.HConcatChart, folder: Path, stem: str) -> None:
    """Write the chart as Vega-Lite JSON, SVG and PNG."""
    spec = chart.to_json()
    (folder / f"{stem}.json").write_text(spec)
    (folder / f"{stem}.svg").write_text(vl_convert.vegalite_to_svg(spec))
    (folder / f"{stem}.png").write_bytes(vl_convert.vegalite_to_png(spec, scale=_SCALE))
