"""Hyperband as W&B has it: at some epochs, the bands, a run goes on only if it is among the best 1/eta of those that came so far.

Li et al. 2018, arXiv:1603.06560; the rule, with its rounding, is that of sweeps 0.3.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reglab.sweep.definition import EarlyTermination, Metric
from reglab.tracking.record import RunRecord

_MOST_BANDS = 100


def to_stop(rule: EarlyTermination, metric: Metric, records: Iterable[RunRecord]) -> set[str]:
    """The ids of the runs, of those that have not ended, which the rule would end now. Epochs count that have the metric."""
    runs = [(record, values_of(record, metric)) for record in records]
    histories = [values for _, values in runs if values]
    thresholds = {band: _threshold(band, rule, histories) for band in bands(rule, max(map(len, histories), default=0))}
    return {record.run_id for record, values in runs if not record.state.ended and _is_out(values, rule, thresholds)}


def bands(rule: EarlyTermination, longest: int) -> Iterator[int]:
    """The epochs at which runs are compared, in order, up to the longest that there is."""
    if rule.is_backwards:
        assert rule.max_iter is not None and rule.s is not None
        found, band = list[int](), float(rule.max_iter)
        while len(found) < rule.s and (band := band / rule.eta) >= 1:
            found.append(int(band))
        yield from (band for band in sorted(found) if band <= longest)
    else:
        assert rule.min_iter is not None
        band = float(rule.min_iter)
        for _ in range(_MOST_BANDS):
            if band >= longest + 1:
                return
            yield int(band)
            band *= rule.eta


def values_of(record: RunRecord, metric: Metric) -> list[float]:
    """The metric after each epoch that has it, turned so that lower is better."""
    return numbers(record.steps, metric)


def numbers(rows: Iterable[Mapping[str, Any]], metric: Metric) -> list[float]:
    """The metric in each of these rows that has a finite number for it, turned so that lower is better."""
    found = (row.get(metric.name) for row in rows)
    return [
        metric.sign * value for value in found if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _threshold(band: int, rule: EarlyTermination, histories: Iterable[Sequence[float]]) -> float:
    there = sorted(values[band - 1] for values in histories if len(values) >= band)
    return there[int(1 / rule.eta * len(there))]


def _is_out(values: Sequence[float], rule: EarlyTermination, thresholds: dict[int, float]) -> bool:
    """By its value at the last band that it passed, or, where the rule is not strict, by its best so far."""
    passed = [band for band in thresholds if band <= len(values)]
    if not passed:
        return False
    last = max(passed)
    return (values[last - 1] if rule.strict else min(values)) > thresholds[last]
