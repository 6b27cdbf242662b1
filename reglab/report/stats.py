"""From run records to estimates: pure functions."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scipy.stats import t

from reglab.arms import FINAL_ARMS
from reglab.config import flat
from reglab.tracking.record import Environment, RunRecord, State, Summary

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval (Student's t); one value alone has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate | None":
        """None for no values."""
        if not values:
            return None
        mean, n = statistics.fmean(values), len(values)
        if n == 1:
            return cls(mean, None, None, 1)
        half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n)
        return cls(mean, mean - half, mean + half, n)

    @property
    def half_width(self) -> float | None:
        return None if self.high is None else self.high - self.mean


@dataclass(frozen=True)
class TimeToTarget:
    """Time until the target accuracy, over runs of which some may never reach it.

    A run that ends without reaching it is censored: it counts as later than every run that did, so the median exists
    where more than half reached it, and is None otherwise.
    """

    median_seconds: float | None
    reached: int
    n: int

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> "TimeToTarget":
        times = [s.time_to_target_seconds if s.time_to_target_reached else None for s in summaries]
        seconds = [math.inf if time is None else time for time in times]
        median = statistics.median(seconds) if seconds else math.inf
        return cls(median if math.isfinite(median) else None, sum(map(math.isfinite, seconds)), len(seconds))


@dataclass(frozen=True)
class Cell:
    """The runs of one arm, over its seeds. Accuracies are fractions, times are seconds."""

    label: str
    identity: str
    records: tuple[RunRecord, ...]
    test_accuracy: Estimate | None
    train_accuracy: Estimate | None  # clean: evaluation mode, no augmentation
    gap: Estimate | None  # clean training accuracy minus test accuracy
    train_seconds: Estimate | None
    time_to_target: TimeToTarget | None
    times_are_mixed: bool  # they come from unlike machines, so there is no pooled time

    @property
    def counted(self) -> int:
        return sum(counts(record) for record in self.records)


def counts(record: RunRecord) -> bool:
    """Whether a run's results are results: it came to its planned end."""
    return record.state == State.finished and record.summary is not None


def machine(environment: Environment) -> str:
    """What must agree for times to be comparable, in words."""
    parts = [environment.device, environment.precision, f"torch {environment.torch}", f"reglab {environment.commit or environment.reglab}"]
    if environment.cuda is None:
        parts.append(f"{environment.threads} thread{'s' if environment.threads > 1 else ''}")
    if environment.compiled:
        parts.append("compiled")
    return ", ".join(parts)


def cells(records: Iterable[RunRecord]) -> list[Cell]:
    """One cell an arm: the final models in their order, then the others by test accuracy, best first."""
    by_identity: dict[str, list[RunRecord]] = {}
    for record in records:
        by_identity.setdefault(record.identity or record.run_id, []).append(record)
    made = [_cell(identity, group) for identity, group in by_identity.items()]
    return sorted(_told_apart(made), key=_rank)


def _told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Cells of one label get the keys that they differ in added to it: `AGC 0.02 (optimizer.lr 0.1)`."""
    found = []
    for cell in cells:
        mine = flat(cell.records[0].config)
        others = [flat(other.records[0].config) for other in cells if other.label == cell.label]
        differing = [key for key in mine.keys() - {"train.seed", "arm", "cell"} if any(other.get(key) != mine[key] for other in others)]
        suffix = ", ".join(f"{key} {mine[key]}" for key in sorted(differing))
        found.append(replace(cell, label=f"{cell.label} ({suffix})") if suffix else cell)
    return found


def _rank(cell: Cell) -> tuple[int, float]:
    place = FINAL_ARMS.index(cell.label) if cell.label in FINAL_ARMS else len(FINAL_ARMS)
    return place, -(cell.test_accuracy.mean if cell.test_accuracy else 0)


def _cell(identity: str, group: Sequence[RunRecord]) -> Cell:
    counted = [record for record in group if counts(record)]
    summaries = [record.summary for record in counted if record.summary]
    mixed = len({machine(record.environment) for record in counted if record.environment}) > 1
    return Cell(
        label=group[0].label,
        identity=identity,
        records=tuple(sorted(group, key=lambda record: record.seed)),
        test_accuracy=Estimate.of([s.test_accuracy for s in summaries if s.test_accuracy is not None]),
        train_accuracy=Estimate.of([s.train_clean_accuracy for s in summaries if s.train_clean_accuracy is not None]),
        gap=Estimate.of([s.gap for s in summaries if s.gap is not None]),
        train_seconds=None if mixed else Estimate.of([s.time_train_seconds for s in summaries]),
        time_to_target=None if mixed or not summaries else TimeToTarget.of(summaries),
        times_are_mixed=mixed,
    )
