"""What a page tells of an arm when it is asked for: the curves of its runs, its configuration, and the log of what failed."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from reglab.config import flat
from reglab.report import stats
from reglab.report.columns import written
from reglab.report.study import Study
from reglab.tracking.record import RunRecord
from reglab.tracking.results import Epoch

POINTS = 40
"""Of a curve: more are not told apart on a page."""

MOST_RUNS = 500
"""Of more, an arm has one curve, the mean of its runs."""

_LINES = {"test": "test_accuracy", "train": "train_accuracy", "clean": "train_clean_accuracy", "val": "val_accuracy"}
"""The curves of a run, by the field of an epoch; `train` is the running accuracy, `clean` that in evaluation mode."""

_NO_KEYS = ("arm", "cell", "train.seed")
"""Of a configuration: the short ways to give others, and what tells the runs of an arm apart."""


def details(study: Study) -> dict[str, Any]:
    """As JSON has it: `common` configuration, and each arm by its identity, with what it has of its own and its runs."""
    records = [*study.records, *study.others, *study.again]
    grouped: dict[str, list[RunRecord]] = {}
    for record in records:
        grouped.setdefault(stats.arm(record), []).append(record)
    configs = {arm: _config(group[0]) for arm, group in grouped.items()}
    every = list(configs.values())
    common = {key: value for key, value in every[0].items() if all(key in own and own[key] == value for own in every)}
    each_run = len(records) <= MOST_RUNS
    arms = {}
    for arm, group in grouped.items():
        own = {key: value for key, value in configs[arm].items() if key not in common}
        runs = [_run(record, each_run) for record in sorted(group, key=lambda record: record.seed)]
        arms[arm] = {"label": study.labels[group[0].run_id], "own": own, "runs": runs}
        if not each_run and (mean := _mean_curve(group)):
            arms[arm]["mean"] = mean
    return {"common": common, "arms": arms}


def _config(record: RunRecord) -> dict[str, str]:
    """Each value as it is read: JSON has no infinity, and a record may come from anywhere."""
    return {key: _read(value) for key, value in flat(record.config).items() if key not in _NO_KEYS}


def _read(value: Any) -> str:
    return written(value) if value is None or isinstance(value, int | float) else str(value)


def _run(record: RunRecord, with_curve: bool) -> dict[str, Any]:
    summary = record.summary
    found: dict[str, Any] = {"run": record.run_id, "seed": record.seed, "state": record.state.value}
    found |= {"reason": record.reason} if record.reason else {}
    found |= {"log": record.log} if record.log else {}
    if summary and summary.train_clean_accuracy is not None:
        found["clean"] = _percent(summary.train_clean_accuracy)
    if with_curve and record.history:
        found["curve"] = curve(record.history)
    return found


def curve(history: Sequence[Epoch]) -> dict[str, list[float | int | None]]:
    """Some 40 epochs of a run, the first and the last among them, and its accuracies there in per cent."""
    rows = [history[place] for place in thinned(len(history))]
    found: dict[str, list[float | int | None]] = {"epoch": [row.epoch for row in rows]}
    for line, field in _LINES.items():
        values = [getattr(row, field) for row in rows]
        if any(value is not None for value in values):
            found[line] = [None if value is None else _percent(value) for value in values]
    return found


def thinned(length: int) -> list[int]:
    """Places of a row of so many: all, or 40 at even distances, with both ends."""
    if length <= POINTS:
        return list(range(length))
    return sorted({round(place * (length - 1) / (POINTS - 1)) for place in range(POINTS)})


def _mean_curve(records: Iterable[RunRecord]) -> dict[str, list[float | int | None]] | None:
    """Of the runs of an arm, at the epochs that all of them have."""
    histories = [record.history for record in records if record.history]
    if not histories:
        return None
    places = thinned(min(map(len, histories)))
    found: dict[str, list[float | int | None]] = {"epoch": [histories[0][place].epoch for place in places], "runs": [len(histories)]}
    for line, field in _LINES.items():
        values = [[value for history in histories if (value := getattr(history[place], field)) is not None] for place in places]
        if any(values):
            found[line] = [_percent(statistics.fmean(each)) if each else None for each in values]
    return found


def _percent(fraction: float) -> float:
    return round(100 * fraction, 2)
