"""Figures of arrays: arms that differ in several keys of one factor, such as a dropout probability for each layer."""

from typing import Any

import altair as alt
import pandas as pd

from reglab.report.charts.rows import ROW
from reglab.report.charts.style import FAINT, TEXT, Drawn, accuracy_domain, best, once, styled
from reglab.report.studies.colours import PALETTE, RAMP
from reglab.report.studies.design import FigureData
from reglab.report.studies.study import Study


def draw(table: pd.DataFrame, figure: FigureData, study: Study, subtitle: str) -> Drawn:
    """Test accuracy of arrays, best first; and of the draws of searches, by each of their values.

    A search selects on held-out training images. Of many arrays that were chosen the best are shown.
    """
    column = study.design.by_name[str(figure.arrays)]
    arms = once(table).sort_values("test_accuracy", ascending=False, na_position="last")
    drawn = arms[arms["searched"] & arms["test_accuracy"].notna()]
    chosen, subtitle = best(arms[~arms["searched"]], subtitle)
    limits = accuracy_domain(arms, ["test_accuracy"])
    panels: list[alt.Chart | alt.LayerChart] = []
    if len(chosen):
        panels += [_tiles(chosen, column.name), _ranked(chosen, column.name, limits)]
    if len(drawn):
        height, keys = max(ROW * len(chosen), 220), column.sources
        panels += [_draws(drawn, column.name, place, keys[place], limits, height) for place in range(_longest(drawn, column.name))]
    return styled(alt.hconcat(*panels, spacing=18), figure.title, subtitle, color="independent", shape="independent")


def _parts(array: Any) -> list[float]:
    return [float(part) for part in str(array).split("/")] if isinstance(array, str) else []


def _longest(arms: pd.DataFrame, column: str) -> int:
    return max(len(_parts(array)) for array in arms[column])


def _each_value(arms: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each place of each arm: `place` from 1, and its value `p`."""
    rows = [
        {"model": model, "identity": identity, "place": place, "p": p, "test_accuracy": accuracy}
        for model, identity, array, accuracy in zip(arms["model"], arms["identity"], arms[column], arms["test_accuracy"], strict=True)
        for place, p in enumerate(_parts(array), start=1)
    ]
    return pd.DataFrame(rows, columns=["model", "identity", "place", "p", "test_accuracy"])


def _tiles(arms: pd.DataFrame, column: str) -> alt.LayerChart:
    """Each arm's values as numbers on tiles, darker where they are larger."""
    x = alt.X("place:O", title=f"{column}, by layer", axis=alt.Axis(labelAngle=0, domain=False, ticks=False, grid=False))
    y = alt.Y("model:N", sort=list(arms["model"]), title=None, axis=None)
    base = alt.Chart(_each_value(arms, column), width={"step": 44}, height={"step": ROW}).encode(x=x, y=y)
    shades = alt.Scale(domain=[0, 1], range=["#ffffff", "#5b3a00"])
    tiles = base.mark_rect(stroke="white", strokeWidth=3, cornerRadius=4).encode(color=alt.Color("p:Q", scale=shades, legend=None))
    ink = alt.condition("datum.p > 0.6", alt.value("white"), alt.value(TEXT))
    drawn: alt.LayerChart = tiles + base.mark_text(fontSize=12).encode(text=alt.Text("p:Q", format=".3~g"), color=ink)
    return drawn


def _ranked(arms: pd.DataFrame, column: str, limits: list[float]) -> alt.LayerChart:
    """A row an arm: its mean, its interval, and the mean in figures."""
    bounds = arms[["test_accuracy_low", "test_accuracy_high"]].astype(float).clip(*limits)
    arms = arms.assign(low=bounds["test_accuracy_low"], high=bounds["test_accuracy_high"])
    arms = arms.assign(end=arms["high"].fillna(arms["test_accuracy"].astype(float)).fillna(limits[0]))
    arms = arms.assign(text=arms["test_accuracy"].map(lambda value: "no finished run" if pd.isna(value) else f"{value:.1f}"))
    kinds = ["symmetric", "asymmetric"]
    arms = arms.assign(kind=arms[column].map(lambda array: kinds[len(set(_parts(array))) > 1]))
    domain = alt.Scale(domain=[limits[0], limits[1] + 0.12 * (limits[1] - limits[0])], nice=False, zero=False)
    y = alt.Y("model:N", sort=list(arms["model"]), title=None, axis=None)
    base = alt.Chart(arms, width=300, height={"step": ROW}).encode(y=y)
    axis = alt.Axis(tickCount=5, domain=False, tickSize=0, labelPadding=6)
    x = alt.X("test_accuracy:Q", title="test accuracy, %", scale=domain, axis=axis)
    colour = alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds, range=[RAMP[3], PALETTE[0]]))
    shape = alt.Shape("kind:N", title=None, scale=alt.Scale(domain=kinds, range=["square", "circle"]))
    tooltip = ["model:N", alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %"), alt.Tooltip("n:Q", title="runs")]
    rows = base.mark_rule(strokeWidth=1, color=FAINT).encode(x=alt.value(0), x2=alt.value(300))
    whiskers = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", scale=domain, axis=axis), x2="high:Q", color=colour)
    points = base.mark_point(size=90, filled=True, opacity=1).encode(x=x, color=colour, shape=shape, tooltip=tooltip)
    texts = base.mark_text(align="left", dx=9, color=TEXT).encode(x=alt.X("end:Q", scale=domain, axis=axis), text="text:N")
    drawn: alt.LayerChart = rows + whiskers + points + texts
    return drawn


def _draws(arms: pd.DataFrame, column: str, place: int, key: str, limits: list[float], height: float) -> alt.Chart:
    """The draws' accuracy against the value at one place (from 0)."""
    table = _each_value(arms, column)
    is_first = place == 0
    marks: dict[str, Any] = {"domain": False, "tickSize": 0, "labelPadding": 6}
    y = alt.Y(
        "test_accuracy:Q",
        title=f"test accuracy of {len(arms)} searched {'array' if len(arms) == 1 else 'arrays'}, %" if is_first else None,
        scale=alt.Scale(domain=limits, nice=False, zero=False),
        axis=alt.Axis(labels=is_first, tickCount=6, **marks),
    )
    x = alt.X(
        "p:Q",
        title=key,
        scale=alt.Scale(zero=False, nice=True, padding=4),
        axis=alt.Axis(**marks, tickCount=4, grid=False),
    )
    drawn: alt.Chart = (
        alt.Chart(table[table["place"] == place + 1], width=130, height=height)
        .mark_point(size=40, filled=True, opacity=0.75, color=PALETTE[0])
        .encode(x=x, y=y, tooltip=["model:N", alt.Tooltip("test_accuracy:Q", format=".2f", title="test, %")])
    )
    return drawn
