"""A figure of arms whose results are in the numbers of their program: each value, their mean, and its interval."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from reglab.report.charts.style import Drawn, in_lines, row_axis, row_step, styled
from reglab.report.stats import Estimate
from reglab.report.studies.colours import PALETTE, RAMP

_ROW = 26
_MOST = 60


def means(arms: Sequence[tuple[str, str, Estimate, Sequence[float]]], of: str, title: str, subtitle: str) -> Drawn:
    """A row for each arm, in the order given, of very many the first: its values as ticks, their mean as a point, and its interval.

    `arms`: of each its identity, what it is called, its mean, and what that is the mean of.
    """
    shown = arms[:_MOST]
    names = in_lines([label for _, label, _, _ in shown])
    labels = {label: name for (_, label, _, _), name in zip(shown, names, strict=True)}
    table = pd.DataFrame(
        [
            {"arm": labels[label], "mean": mean.mean, "low": mean.low, "high": mean.high, "n": mean.n, "identity": identity}
            for identity, label, mean, _ in shown
        ]
    )
    each = pd.DataFrame(
        [{"arm": labels[label], "value": value, "identity": identity} for identity, label, _, values in shown for value in values]
    )
    y = alt.Y("arm:N", sort=names, title=None, axis=row_axis(names, 330))
    ends = [end for _, _, mean, values in shown for end in (mean.mean, mean.low, mean.high, *values) if end is not None]
    scale = alt.Scale(zero=False, nice=True)
    if min(ends) == max(ends):  # an axis without width has one tick, which is told as a whole number
        room = 0.1 * abs(ends[0]) or 1.0
        scale = alt.Scale(domain=[ends[0] - room, ends[0] + room])
    base = alt.Chart(table, width=560, height={"step": row_step(names, _ROW)})
    ticks = alt.Chart(each).mark_tick(thickness=1.5, size=10, color=RAMP[0]).encode(y=y, x=alt.X("value:Q", title=of, scale=scale))
    whiskers = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, color=PALETTE[0])
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("mean:Q", format=".6~g"), alt.Tooltip("n:Q")]
    points = base.mark_point(size=70, filled=True, opacity=1, color=PALETTE[0]).encode(y=y, x=alt.X("mean:Q", scale=scale), tooltip=tooltip)
    layers = ticks + whiskers.encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q") + points
    more = f"; the first {_MOST} of {len(arms):,} arms" if len(arms) > _MOST else ""
    return styled(alt.hconcat(layers), title, subtitle + more)
