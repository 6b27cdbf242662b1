"""Arms of a report, each with its runs over the seeds, what they came to, and the label by which it is told from the others."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reglab.config import FIELDS, SPEED_KEYS, effective, flat
from reglab.report.stats import Estimate, TimeToTarget, arm, built, counts, estimates, is_quiet, place, share_estimates, time_estimates
from reglab.report.studies.columns import Column, Treatment
from reglab.report.studies.design import Design
from reglab.report.studies.measures import POINTS, Kind, clean_accuracy, gap, test_accuracy, train_seconds, validation_accuracy
from reglab.tracking.record import RunRecord, State


@dataclass(frozen=True)
class Times:
    """Times of one arm on one machine, over its seeds. Seconds of training. `is_quiet`: its runs had it to themselves."""

    machine: str
    is_quiet: bool
    train_seconds: Estimate | None
    to_target: TimeToTarget | None


@dataclass(frozen=True)
class Cell:
    """The runs of one arm, over its seeds. Accuracies are fractions. Times are pooled for like machines only."""

    label: str
    identity: str
    treatment: Treatment | None  # None of runs that could not be built
    records: tuple[RunRecord, ...]
    validation_accuracy: Estimate | None  # on held-out training images
    test_accuracy: Estimate | None
    train_accuracy: Estimate | None  # clean: evaluation mode, no augmentation
    gap: Estimate | None  # clean training accuracy minus test accuracy
    times: tuple[Times, ...]
    own: Mapping[str, Estimate | None]  # in metrics of the user's, by their columns

    @property
    def counted(self) -> int:
        """How many of its runs have finished."""
        return sum(counts(record) for record in self.records)

    @property
    def accuracies(self) -> dict[int, float]:
        """The test accuracy of each seed that has one."""
        return {record.seed: value for record in self.records if counts(record) and (value := test_accuracy(record)) is not None}

    @property
    def held_out(self) -> int:
        """Training images that it was chosen by."""
        return self._planned("data.validation")

    @property
    def is_searched(self) -> bool:
        """Whether it was chosen among on held-out training images."""
        return self.held_out > 0

    @property
    def epochs(self) -> int:
        """As planned."""
        return self._planned("train.epochs")

    def _planned(self, key: str) -> int:
        value = flat(self.records[0].config).get(key)
        return value if isinstance(value, int) else FIELDS[key].default


Treatments = Mapping[str, Treatment | None]
"""By run id."""

UNBUILT = " (not built)"
"""What stands behind the identity of an arm's runs that cannot be built here, where others of it are."""


def cells(records: Iterable[RunRecord], treatments: Treatments, design: Design, own: Sequence[Kind] = ()) -> list[Cell]:
    """Return one cell an arm, the best test accuracy first; their intervals are by what the variances of all have in common.

    Runs of an arm that cannot be built here, as those of a later version, are a cell of their own.
    """
    named = [(arm(record), record) for record in sorted(records, key=lambda record: record.seed)]
    built_arms = {name for name, record in named if treatments[record.run_id]}
    by_arm: dict[str, list[RunRecord]] = {}
    for name, record in named:
        is_apart = treatments[record.run_id] is None and name in built_arms
        by_arm.setdefault(name + UNBUILT * is_apart, []).append(record)
    arms = list(by_arm.values())
    finished = [[record for record in group if counts(record)] for group in arms]

    def results(of: Callable[[RunRecord], float | None]) -> list[list[float]]:
        return [[value for record in group if (value := of(record)) is not None] for group in finished]

    held_out, test, train = (share_estimates(results(of)) for of in (validation_accuracy, test_accuracy, clean_accuracy))
    gaps = share_estimates(results(gap), lowest=-1.0)
    theirs = {kind.column: (share_estimates if kind.unit == POINTS else estimates)(results(kind.of)) for kind in own}
    made = [
        Cell(
            label=group[0].label,
            identity=name,
            treatment=treatments[group[0].run_id],
            records=tuple(group),
            validation_accuracy=held_out[place],
            test_accuracy=test[place],
            train_accuracy=train[place],
            gap=gaps[place],
            times=times,
            own={column: found[place] for column, found in theirs.items()},
        )
        for place, ((name, group), times) in enumerate(zip(by_arm.items(), _times(arms), strict=True))
    ]
    return sorted(told_apart(made, design), key=lambda cell: -(cell.test_accuracy.mean if cell.test_accuracy else 0))


def told_apart(cells: Sequence[Cell], design: Design, base: Treatment | None = None) -> list[Cell]:
    """The cells under labels that tell them apart: what a run calls its regularization, and the factors in which the cells differ.

    Of a study that varies no regularization these alone; with a base, those that are its own are not said. What the factors do not
    tell apart, keys of the configuration do.
    """
    there = [cell.treatment for cell in cells if cell.treatment]
    varying = [
        column
        for name, column in design.by_name.items()
        if column.is_factor and not column.is_labelled and len({treated[name] for treated in there}) > 1
    ]
    worded = [replace(cell, label=_label(cell, varying, design, base)) for cell in cells]
    by_label: dict[str, list[Cell]] = {}
    for cell in worded:
        by_label.setdefault(cell.label, []).append(cell)
    return [replace(cell, label=" · ".join([cell.label, *_keys_apart(cell, by_label[cell.label])])) for cell in worded]


def _label(cell: Cell, varying: Sequence[Column], design: Design, base: Treatment | None) -> str:
    own = cell.records[0].label
    if cell.treatment is None:
        return own
    base = base if design.is_labelled else None  # a label of factors alone says each of them
    said = [column.say(level) for column in varying if (level := cell.treatment[column.name]) != (base[column.name] if base else ...)]
    return " · ".join(filter(None, [own] * design.is_labelled + said)) or own


def _keys_apart(cell: Cell, twins: Sequence[Cell]) -> list[str]:
    if len(twins) == 1:
        return []
    mine, *theirs = (_told(each.records[0]) for each in (cell, *twins))
    keys = sorted(key for key in mine.keys() - SPEED_KEYS if any(each.get(key) != mine[key] for each in theirs))
    return [f"{key} {mine[key]}" for key in keys]


def _told(record: RunRecord) -> Mapping[str, Any]:
    """What has an effect in a run; of one that could not be built, all there is."""
    return effective(config) if (config := built(record)) else flat(record.config)


def _times(arms: Sequence[Sequence[RunRecord]]) -> list[tuple[Times, ...]]:
    """Of each arm on each machine, with the variance of all arms there."""
    timed: dict[str, list[list[RunRecord]]] = {}
    for number, group in enumerate(arms):
        for record in group:
            if (where := place(record)) and record.summary and record.state in (State.finished, State.diverged):
                timed.setdefault(where, [[] for _ in arms])[number].append(record)
    found: list[list[Times]] = [[] for _ in arms]
    for where, groups in timed.items():
        finished = [[value for record in group if counts(record) and (value := train_seconds(record))] for group in groups]
        for times, group, seconds in zip(found, groups, time_estimates(finished), strict=True):
            if group:
                # One that ended without it comes later than all others, though by a quicker machine's clock it ended before they came.
                reached = [(at if came else math.inf, came) for at, came in map(until_target, group)]
                times.append(Times(where, all(map(is_quiet, group)), seconds, TimeToTarget.of(reached)))
    return list(map(tuple, found))


def until_target(record: RunRecord) -> tuple[float, bool]:
    """Seconds until the target, or until the end without it."""
    assert record.summary
    if record.summary.time_to_target_reached and record.summary.time_to_target_seconds is not None:
        return record.summary.time_to_target_seconds, True
    return (math.inf if record.state == State.diverged else record.summary.time_train_seconds), False
