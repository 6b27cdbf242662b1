"""What a page tells of an arm when it is asked for: the curves of its runs, its configuration, and the log of what failed."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reglab.config import flat
from reglab.report import stats
from reglab.report.studies.columns import written
from reglab.report.studies.study import Study
from reglab.tracking.record import RunRecord
from reglab.tracking.results import Epoch, thinned

POINTS = 40
"""Of a curve: more are not told apart on a page."""

MOST_RUNS = 500
"""Of more, an arm has one curve, the mean of its runs."""

_LINES = {"test": "test_accuracy", "train": "train_accuracy", "clean": "train_clean_accuracy", "val": "val_accuracy"}
"""The curves of a run, by the field of an epoch; `train` is the running accuracy, `clean` that in evaluation mode."""

SHOWN: Mapping[str, Any] = {
    "first": "seed",
    "x": "epoch",
    "y": "accuracy, %",
    "lines": [["test", "test"], ["val", "held-out"], ["train", "training, running"], ["clean", "training, clean"]],
    "columns": [["test", "test, %"], ["train", "training (running), %"]],
    "clean": "training (clean), %",
    "places": 1,
    "note": "Running training accuracy is of an epoch’s own batches, augmented and with dropout",
}
"""How the page tells the runs of an arm: what stands first in their table, the axes of their curves, a line for each kind, the columns that
have the last value of one, the name of what was measured at the end, and its digits behind the point."""

_NO_KEYS = ("arm", "cell", "train.seed")
"""Of a configuration: the short ways to give others, and what tells the runs of an arm apart."""


def details(study: Study) -> dict[str, Any]:
    """As JSON has it: what all arms have in `common`, each of the `arms` by its identity with its own keys and runs, and `shown` how."""
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
    return {"common": common, "arms": arms, "shown": SHOWN}


def _config(record: RunRecord) -> dict[str, str]:
    """Each value as it is read: JSON has no infinity, and a record may come from anywhere."""
    return {key: as_read(value) for key, value in flat(record.config).items() if key not in _NO_KEYS}


def as_read(value: Any) -> str:
    """A value of a configuration as the page writes it."""
    return written(value) if value is None or isinstance(value, int | float) else str(value)


def _run(record: RunRecord, with_curve: bool) -> dict[str, Any]:
    summary = record.summary
    found: dict[str, Any] = {"run": record.run_id, "seed": record.seed, "name": f"seed {record.seed}", "state": record.state.value}
    found |= {"reason": record.reason} if record.reason else {}
    found |= {"log": record.log} if record.log else {}
    if summary and summary.train_clean_accuracy is not None:
        found["clean"] = _percent(summary.train_clean_accuracy)
    if with_curve and record.history:
        found["curve"] = curve(record.history)
    return found


def curve(history: Sequence[Epoch]) -> dict[str, list[float | int | None]]:
    """Some 40 epochs of a run, the first and the last among them, and its accuracies there in per cent."""
    rows = [history[place] for place in thinned(len(history), POINTS)]
    found: dict[str, list[float | int | None]] = {"at": [row.epoch for row in rows]}
    for line, field in _LINES.items():
        values = [getattr(row, field) for row in rows]
        if any(value is not None for value in values):
            found[line] = [None if value is None else _percent(value) for value in values]
    return found


def _mean_curve(records: Iterable[RunRecord]) -> dict[str, list[float | int | None]] | None:
    """Of the runs of an arm, at the epochs that all of them have."""
    histories = [record.history for record in records if record.history]
    if not histories:
        return None
    places = thinned(min(map(len, histories)), POINTS)
    found: dict[str, list[float | int | None]] = {"at": [histories[0][place].epoch for place in places], "runs": [len(histories)]}
    for line, field in _LINES.items():
        values = [[value for history in histories if (value := getattr(history[place], field)) is not None] for place in places]
        if any(values):
            found[line] = [_percent(statistics.fmean(each)) if each else None for each in values]
    return found


def _percent(fraction: float) -> float:
    return round(100 * fraction, 2)
