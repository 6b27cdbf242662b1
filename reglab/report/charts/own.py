"""Figures of a report that is of no study: differences with their intervals, and what a search drew and found."""

from collections.abc import Callable, Sequence

import altair as alt
import numpy as np
import pandas as pd

from reglab.report.charts.style import QUIET, TEXT, Drawn, accuracy_domain, in_lines, row_axis, row_step, styled
from reglab.report.studies.colours import PALETTE
from reglab.report.studies.columns import Column, brief
from reglab.report.writing.numbers import told

_ROW = 26
_MOST = 60


def _in_points(value: float, low: float | None, high: float | None) -> str:
    """With as many digits as its interval leaves."""
    return told(value, low, high, 2, signed=True)


def intervals(
    table: pd.DataFrame,
    of: str,
    title: str,
    subtitle: str,
    say: Callable[[float, float | None, float | None], str] = _in_points,
) -> Drawn:
    """A row for each difference, with its interval, and a line at no difference at all. `say`: how it is told, with the ends of that."""
    table = table.head(_MOST)
    ends = [[None if pd.isna(end) else float(end) for end in table[name]] for name in ("low", "high")]
    said = [say(value, low, high) for value, low, high in zip(table["value"], *ends, strict=True)]
    names = in_lines(list(table["model"]))
    table = table.assign(model=names, said=said, text=[each.partition(" ")[0] for each in said])
    base = alt.Chart(table, width=560, height={"step": row_step(names, _ROW)})
    y = alt.Y("model:N", sort=names, title=None, axis=row_axis(names, 330))
    x = alt.X("value:Q", title=of, scale=alt.Scale(nice=True), axis=alt.Axis(tickCount=6, domain=False))
    nothing = alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(x="at:Q")
    whiskers = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, color=PALETTE[0]).encode(y=y, x="low:Q", x2="high:Q")
    tooltip = [alt.Tooltip("model:N"), alt.Tooltip("said:N", title="difference")]
    points = base.mark_point(size=80, filled=True, opacity=1, color=PALETTE[0]).encode(y=y, x=x, tooltip=tooltip)
    texts = base.mark_text(dy=-10, fontSize=10, color=TEXT).encode(y=y, x=x, text="text:N")
    return styled(alt.hconcat(nothing + whiskers + points + texts), title, subtitle)


def parallel(table: pd.DataFrame, columns: Sequence[Column], of: str, title: str, subtitle: str, falls: bool = False) -> Drawn:
    """A line for each run through the values that were drawn, each axis from its lowest to its highest, to what it came to.

    Darker is better. `of`: what that is, with its unit; `falls`: whether less of it is better.
    """
    names = [*(column.name for column in columns), "_value"]
    titles = {column.name: column.title for column in columns} | {"_value": of}
    places = pd.DataFrame({name: _place(table[name]) for name in names})
    rows = [
        {"run": number, "axis": titles[str(name)], "at": float(at), "label": label, "result": float(result)}
        for number, label, result, row in zip(table["_number"], table["_label"], table["_value"], places.to_dict("records"), strict=True)
        for name, at in row.items()
    ]
    order = [titles[name] for name in names]
    base = alt.Chart(pd.DataFrame(rows), width=820, height=300)
    x = alt.X(
        "axis:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelPadding=18, domain=False, ticks=False, grid=True, orient="top")
    )
    colour = alt.Color("result:Q", title=of, scale=alt.Scale(range=["#a6c8e4", "#08306b"][:: -1 if falls else 1]))
    lines = base.mark_line(strokeWidth=1.5, opacity=0.85).encode(
        x=x, y=alt.Y("at:Q", axis=None), detail="run:N", color=colour, tooltip=["label:N", alt.Tooltip("result:Q", format=".6~g")]
    )
    ends = pd.DataFrame(
        [
            {"axis": titles[name], "at": at, "text": text, "dy": 12 if at == 0 else -8}
            for name in names
            for at, text in ((0.0, _end(table[name], first=True)), (1.0, _end(table[name], first=False)))
        ]
    )
    low, high = (
        alt.Chart(ends[ends["at"] == at]).mark_text(fontSize=10, color=QUIET, dy=dy).encode(x=x, y="at:Q", text="text:N")
        for at, dy in ((0.0, 12), (1.0, -8))
    )
    return styled(alt.hconcat(lines + low + high), title, subtitle)


def _codes(values: pd.Series) -> pd.Series:
    """Numbers as they are, other levels by their place; what is not there below all of them."""
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return values.astype(float).fillna(values.min())
    texts = values.map(lambda value: brief(None if pd.isna(value) else value))
    return texts.map({text: float(place) for place, text in enumerate(sorted(texts.unique()))})


def _place(values: pd.Series) -> pd.Series:
    """From 0 to 1; on a logarithmic axis where values differ by more than tenfold."""
    numbers = _codes(values)
    if numbers.min() > 0 and numbers.max() > 10 * numbers.min():
        numbers = np.log(numbers)
    spread = numbers.max() - numbers.min()
    return (numbers - numbers.min()) / spread if spread else numbers * 0 + 0.5


def _end(values: pd.Series, first: bool) -> str:
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return f"{values.min() if first else values.max():.3g}"
    texts = sorted({brief(None if pd.isna(value) else value) for value in values})
    return texts[0] if first else texts[-1]


def importance(table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """How much of the variance of results lies between the levels of each factor, of many in four groups as large as each other, and the
    rank correlation with it. Of few runs it is a hint.

    The share is omega squared (Hays 1963), which does not grow by chance with the number of levels.
    """
    results = table["_value"].to_numpy(dtype=float)
    rows = []
    for column in columns:
        numbers = _codes(table[column.name])
        levels = numbers if numbers.nunique() <= _GROUPS else pd.qcut(numbers, _GROUPS, labels=False, duplicates="drop")
        correlation = (
            numbers.corr(pd.Series(results, index=numbers.index), method="spearman") if np.ptp(results) and numbers.nunique() > 1 else 0.0
        )
        rows.append({"factor": column.title, "importance": _between(levels.to_numpy(), results), "rank correlation": float(correlation)})
    return pd.DataFrame(rows).sort_values("importance", ascending=False, ignore_index=True)


_GROUPS = 4


def _between(levels: np.ndarray, results: np.ndarray) -> float:
    groups = [results[levels == level] for level in np.unique(levels)]
    total = float(((results - results.mean()) ** 2).sum())
    within = float(sum(((group - group.mean()) ** 2).sum() for group in groups))
    if not total or len(groups) == len(results):
        return 0.0
    error = within / (len(results) - len(groups))
    return max(0.0, (total - within - (len(groups) - 1) * error) / (total + error))


def bars(table: pd.DataFrame, title: str, subtitle: str) -> Drawn:
    """Importance beside rank correlation, a row for each factor."""
    y = alt.Y("factor:N", sort=list(table["factor"]), title=None, axis=alt.Axis(labelLimit=280, domain=False, ticks=False, grid=False))
    base = alt.Chart(table, width=340, height={"step": _ROW}).encode(y=y)
    shares = base.mark_bar(color=PALETTE[0]).encode(
        x=alt.X("importance:Q", scale=alt.Scale(domain=[0, 1]), title="importance (share of the variance)")
    )
    ranks = base.mark_bar(color=PALETTE[1]).encode(
        x=alt.X("rank correlation:Q", scale=alt.Scale(domain=[-1, 1]), title="rank correlation (Spearman)")
    )
    return styled(
        alt.hconcat(shares, ranks.encode(y=alt.Y("factor:N", sort=list(table["factor"]), axis=None)), spacing=24), title, subtitle
    )


def best_so_far(
    table: pd.DataFrame, of: str, title: str, subtitle: str, falls: bool = False, limits: Sequence[float] | None = None
) -> Drawn:
    """What each run came to, in the order in which they began, and the best until then. Without limits, it is per cent of accuracy."""
    table = table.assign(best=table["_value"].cummin() if falls else table["_value"].cummax())
    limits = limits or accuracy_domain(table.assign(_value_low=None, _value_high=None), ["_value"])
    base = alt.Chart(table, width=820, height=240).encode(x=alt.X("_number:Q", title="run", axis=alt.Axis(tickMinStep=1, grid=False)))
    scale = alt.Scale(domain=list(limits), nice=False, zero=False)
    points = base.mark_point(size=50, filled=True, color=PALETTE[5], opacity=1).encode(
        y=alt.Y("_value:Q", title=of, scale=scale), tooltip=["_label:N", alt.Tooltip("_value:Q", format=".6~g")]
    )
    line = base.mark_line(interpolate="step-after", color=PALETTE[0], strokeWidth=2).encode(y=alt.Y("best:Q", scale=scale))
    return styled(alt.hconcat(line + points), title, subtitle)


def front(table: pd.DataFrame, of: str, title: str, subtitle: str) -> Drawn:
    """Each arm's accuracy against its training time; those that no other beats in both stand out, and are joined."""
    limits = accuracy_domain(table.assign(_accuracy=table["accuracy"], _accuracy_low=None, _accuracy_high=None), ["_accuracy"])
    x = alt.X("seconds:Q", title="training time, s", scale=alt.Scale(zero=False, nice=False, padding=16), axis=alt.Axis(grid=False))
    y = alt.Y("accuracy:Q", title=f"{of}, %", scale=alt.Scale(domain=limits, nice=False, zero=False))
    tooltip = ["model:N", alt.Tooltip("accuracy:Q", format=".2f"), alt.Tooltip("seconds:Q", format=".3~g")]
    base = alt.Chart(table, width=820, height=320)
    others = base.transform_filter("!datum.front").mark_point(size=50, filled=True, color=PALETTE[5], opacity=1)
    best = base.transform_filter("datum.front")
    line = best.mark_line(interpolate="step-after", color=PALETTE[0], strokeWidth=2).encode(x=x, y=y)
    points = best.mark_point(size=80, filled=True, color=PALETTE[0], opacity=1).encode(x=x, y=y, tooltip=tooltip)
    return styled(alt.hconcat(others.encode(x=x, y=y, tooltip=tooltip) + line + points), title, subtitle)
