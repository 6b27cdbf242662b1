"""Figures over the epochs of runs."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from reglab.report.charts.style import WIDTH, Drawn, styled
from reglab.report.studies.colours import PALETTE

_DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3))


def draw(table: pd.DataFrame, colours: Sequence[str], title: str, subtitle: str) -> Drawn:
    """A line for each arm of a table with its `test_accuracy` after each `epoch`, in per cent; `colours`: of the arms, in their order.

    Where the study gives two of them one colour, all have those of the palette.
    """
    arms = list(dict.fromkeys(table["model"]))
    if len(set(colours)) < len(arms):
        colours = [PALETTE[place % len(PALETTE)] for place in range(len(arms))]
    dashes = [_DASHES[place % len(_DASHES)] for place in range(len(arms))]
    legend = alt.Legend(title=None, columns=3, labelLimit=0, symbolStrokeWidth=3, symbolType="stroke", symbolSize=300)
    base = alt.Chart(table, width=0.8 * WIDTH, height=320).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(tickMinStep=1, grid=False)),
        y=alt.Y("test_accuracy:Q", title="test accuracy, %", scale=alt.Scale(zero=False, nice=True)),
        color=alt.Color("model:N", scale=alt.Scale(domain=arms, range=list(colours)), legend=legend),
        strokeDash=alt.StrokeDash("model:N", scale=alt.Scale(domain=arms, range=dashes), legend=legend),
        tooltip=[alt.Tooltip("model:N", title="arm"), alt.Tooltip("epoch:Q"), alt.Tooltip("test_accuracy:Q", format=".1f")],
    )
    return styled(alt.hconcat(base.mark_line(strokeWidth=1.75)), title, subtitle)
