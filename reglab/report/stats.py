"""From run records to estimates: pure functions.

Every interval is a 95 % interval. What is compared is compared pair by pair: two runs of one seed that differ in one thing.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scipy.stats import beta, norm, t

from reglab.arms import FINAL_ARMS
from reglab.config import FIELDS, SPEED_KEYS, RunConfig, at_default_speed, effective, flat, identity
from reglab.errors import UserError
from reglab.report.factors import Factors, factors
from reglab.tracking.record import Environment, RunRecord, State

CONFIDENCE = 0.95

_UPPER = (1 + CONFIDENCE) / 2


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval (Student's t); one value alone has no interval."""

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
        half = float(t.ppf(_UPPER, n - 1)) * statistics.stdev(values) / math.sqrt(n)
        return cls(mean, mean - half, mean + half, n)

    @property
    def half_width(self) -> float | None:
        return None if self.high is None else self.high - self.mean


@dataclass(frozen=True)
class Difference(Estimate):
    """A mean of differences between paired runs. `p`: of the paired t-test, two-sided; None where there is one pair."""

    deviation: float | None
    p: float | None

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """At another confidence than 95 %; None where there is none."""
        if self.deviation is None:
            return None
        half = float(t.ppf((1 + confidence) / 2, self.n - 1)) * self.deviation / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    @classmethod
    def of(cls, values: Sequence[float]) -> "Difference | None":
        """None for no values."""
        if (estimate := Estimate.of(values)) is None:
            return None
        if estimate.n == 1:
            return cls(estimate.mean, None, None, 1, None, None)
        deviation = statistics.stdev(values)
        if deviation == 0 and estimate.n == 2:  # two that happen to be alike say nothing of the spread
            return cls(estimate.mean, None, None, 2, None, None)
        if deviation == 0:
            p = 0.0 if estimate.mean else 1.0
        else:
            p = 2 * float(t.sf(abs(estimate.mean) * math.sqrt(estimate.n) / deviation, estimate.n - 1))
        return cls(estimate.mean, estimate.low, estimate.high, estimate.n, deviation, p)


@dataclass(frozen=True)
class Share:
    """How many of some cases are so, with the exact interval of the share (Clopper and Pearson 1934)."""

    count: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, cases: Sequence[bool]) -> "Share | None":
        """None for no cases."""
        if not cases:
            return None
        count, n = sum(cases), len(cases)
        low = float(beta.ppf(1 - _UPPER, count, n - count + 1)) if count else 0.0
        high = float(beta.ppf(_UPPER, count + 1, n - count)) if count < n else 1.0
        return cls(count, n, low, high)

    @property
    def mean(self) -> float:
        return self.count / self.n


@dataclass(frozen=True)
class TimeToTarget:
    """Time until the target accuracy, over runs of which some may never reach it: the median of Kaplan and Meier (1958).

    A run that ends without reaching it is censored at its end; one that diverged never reaches it. The median is None where
    the curve does not come down to one half. `low` and `high` are its interval (Brookmeyer and Crowley 1982), open where None:
    a few runs seldom have a `high`.
    """

    median_seconds: float | None
    low: float | None
    high: float | None
    reached: int
    n: int

    @classmethod
    def of(cls, times: Sequence[tuple[float, bool]]) -> "TimeToTarget | None":
        """Of pairs: seconds, and whether the target was reached then. None for no runs."""
        if not times:
            return None
        curve = survival(times)
        median = next((at for at, share, _ in curve if share <= 0.5 + 1e-12), None)
        # Where all have had it, Greenwood's error is none at all: the curve's end says nothing of its interval.
        bounds = [(at, share, float(norm.ppf(_UPPER)) * error) for at, share, error in curve if share > 0]
        low = next((at for at, share, half in bounds if share - half <= 0.5), None)
        high = next((at for at, share, half in bounds if share + half < 0.5), None)
        return cls(median, low, high, sum(event for _, event in times), len(times))


def survival(times: Iterable[tuple[float, bool]]) -> list[tuple[float, float, float]]:
    """Kaplan and Meier's curve: at each time of an event, the share that has not had it, with its standard error (Greenwood's)."""
    ordered = sorted(times)
    curve, share, variance = [], 1.0, 0.0
    for at in sorted({seconds for seconds, event in ordered if event}):
        there = sum(seconds >= at for seconds, _ in ordered)
        events = sum(seconds == at and event for seconds, event in ordered)
        share *= 1 - events / there
        variance += events / (there * (there - events)) if there > events else math.inf
        curve.append((at, share, share * math.sqrt(variance) if share else 0.0))
    return curve


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values, in the order given; None stays None and is no member of the family."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted


MOST_SEEDS = 1000


def further_seeds(difference: Difference, half_width: float = 0.01) -> int | None:
    """How many more pairs would bring a difference's interval down to this half width, if they spread as those there.

    None where one pair says nothing of the spread, or where more than `MOST_SEEDS` would be needed.
    """
    if difference.deviation is None:
        return None
    for n in range(max(difference.n, 2), MOST_SEEDS + 1):
        if float(t.ppf(_UPPER, n - 1)) * difference.deviation / math.sqrt(n) <= half_width:
            return n - difference.n
    return None


# Runs, and what they measure.


def counts(record: RunRecord) -> bool:
    """Whether a run's results are results: it came to its planned end."""
    return record.state == State.finished and record.summary is not None


def machine(environment: Environment) -> str:
    """The machine and what it ran, in words."""
    parts = [environment.device, environment.precision, f"torch {environment.torch}", f"reglab {environment.commit or environment.reglab}"]
    if environment.cuda is None:
        parts.append(f"{environment.threads} thread{'s' if environment.threads > 1 else ''}")
    if environment.compiled:
        parts.append("compiled")
    if environment.captured:
        parts.append("CUDA graphs")
    return ", ".join(parts)


def place(record: RunRecord) -> str | None:
    """What must agree for the times of two runs to be comparable, in words; None of a run that never began."""
    if record.environment is None:
        return None
    return machine(record.environment) + (", shared cores" if record.summary and record.summary.shared_its_cores else "")


def built(record: RunRecord) -> RunConfig | None:
    """The configuration of a run; None of one that could not be built."""
    try:
        return RunConfig.parse(record.config)
    except UserError:
        return None


def arm(record: RunRecord) -> str:
    """The arm of a run, whatever its speed: its identity, or that of the same run at the default speed; its name where it has none."""
    there = flat(record.config)
    if all(there.get(key, FIELDS[key].default) == FIELDS[key].default for key in SPEED_KEYS):
        return record.identity or record.run_id
    return identity(at_default_speed(config)) if (config := built(record)) else record.identity or record.run_id


def treatment(record: RunRecord) -> Factors | None:
    """The factors of a run; None of one that could not be built."""
    return factors(config) if (config := built(record)) else None


Measure = Callable[[RunRecord], float | None]
"""What a run came to in something; None where it has no such value."""


def test_accuracy(record: RunRecord) -> float | None:
    """A fraction."""
    return record.summary.test_accuracy if record.summary else None


def gap(record: RunRecord) -> float | None:
    """Overfitting: clean training accuracy minus test accuracy, a fraction."""
    return record.summary.gap if record.summary else None


def train_seconds(record: RunRecord) -> float | None:
    """None of a clock that never went."""
    return (record.summary.time_train_seconds or None) if record.summary else None


def seconds_to_target(record: RunRecord) -> float | None:
    """Training seconds; infinite where the target was never reached."""
    if record.summary is None:
        return None
    return (record.summary.time_to_target_seconds or None) if record.summary.time_to_target_reached else math.inf


# Comparisons.

Treated = tuple[Factors, RunRecord]
"""A run with its factors."""

Blocks = Mapping[tuple[Hashable, int], Mapping[Hashable, RunRecord]]
"""Runs that differ in one thing only, by its level: `blocks[everything else, seed][level]`."""


@dataclass(frozen=True)
class Pair:
    """Two runs of one block, and what each came to; `rest` is what they share with the pairs of other seeds."""

    rest: Hashable
    first: RunRecord
    second: RunRecord
    one: float
    other: float


def in_blocks(runs: Iterable[Treated], level: Callable[[Factors], Hashable], rest: Callable[[Factors], Hashable]) -> Blocks:
    """Runs in blocks: of one seed and one `rest`, a run for each `level`. What has the level None is in no block.

    Of two runs of one place the earlier is there.
    """
    found: dict[tuple[Hashable, int], dict[Hashable, RunRecord]] = {}
    for treatment, record in runs:
        if (which := level(treatment)) is not None:
            block = found.setdefault((rest(treatment), record.seed), {})
            block[which] = min(block.get(which, record), record, key=lambda run: (run.created, run.run_id))
    return found


def alike(blocks: Blocks, one: Hashable, other: Hashable) -> Blocks:
    """The blocks whose runs of these levels ran on one machine: their times can be compared."""
    both = {key: levels for key, levels in blocks.items() if one in levels and other in levels}
    return {key: levels for key, levels in both.items() if _same_machine(levels[one], levels[other])}


def pairs(blocks: Blocks, one: Hashable, other: Hashable, measure: Measure) -> list[Pair]:
    """The runs of two levels, block by block, where both have the measure."""
    found = []
    for (rest, _), levels in blocks.items():
        first, second = levels.get(one), levels.get(other)
        if first and second and (mine := measure(first)) is not None and (its := measure(second)) is not None:
            found.append(Pair(rest, first, second, mine, its))
    return found


def difference(blocks: Blocks, one: Hashable, other: Hashable, measure: Measure) -> Difference | None:
    """What level `one` has more than level `other`, on the average; None where no block has both."""
    return Difference.of(_by_case(blocks, one, other, measure, lambda pair: pair.one - pair.other))


def log_ratio(blocks: Blocks, one: Hashable, other: Hashable, measure: Measure) -> Difference | None:
    """The average of the logarithm of a ratio: of times, which differ by factors.

    Only runs of one machine are a pair, and only where both times are finite.
    """

    def logarithm(pair: Pair) -> float | None:
        return math.log(pair.one / pair.other) if max(pair.one, pair.other) < math.inf else None

    return Difference.of(_by_case(alike(blocks, one, other), one, other, measure, logarithm))


def _by_case(blocks: Blocks, one: Hashable, other: Hashable, measure: Measure, compare: Callable[[Pair], float | None]) -> list[float]:
    """What is averaged: of several cases (what the blocks of several seeds have in common) a mean each, of a single one its seeds.

    The seeds of one case share what is special to it: counted one by one, they would make an interval too narrow.
    """
    cases: dict[Hashable, list[float]] = {}
    for pair in pairs(blocks, one, other, measure):
        if (compared := compare(pair)) is not None:
            cases.setdefault(pair.rest, []).append(compared)
    return [statistics.fmean(each) for each in cases.values()] if len(cases) > 1 else [value for each in cases.values() for value in each]


def _same_machine(one: RunRecord, other: RunRecord) -> bool:
    return one.environment is not None and place(one) == place(other)


# Cells.


@dataclass(frozen=True)
class Times:
    """Times of one arm on one machine, over its seeds. Seconds of training."""

    machine: str
    train_seconds: Estimate | None
    to_target: TimeToTarget | None


@dataclass(frozen=True)
class Cell:
    """The runs of one arm, over its seeds. Accuracies are fractions. Times are pooled for like machines only."""

    label: str
    identity: str
    factors: Factors | None  # None of runs that could not be built
    records: tuple[RunRecord, ...]
    validation_accuracy: Estimate | None  # on held-out training images
    test_accuracy: Estimate | None
    train_accuracy: Estimate | None  # clean: evaluation mode, no augmentation
    gap: Estimate | None  # clean training accuracy minus test accuracy
    times: tuple[Times, ...]

    @property
    def counted(self) -> int:
        return sum(counts(record) for record in self.records)


def cells(records: Iterable[RunRecord]) -> list[Cell]:
    """One cell an arm: the final models in their order, then the others by test accuracy, best first."""
    by_arm: dict[str, list[RunRecord]] = {}
    for record in records:
        by_arm.setdefault(arm(record), []).append(record)
    made = [_cell(name, group) for name, group in by_arm.items()]
    return sorted(_told_apart(made), key=_rank)


def _told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Labels say what the regularizers are; to them comes what else the cells differ in: `AGC 0.02 · sgd lr 0.1`.

    What the words of the factors do not tell apart, keys of the configuration do.
    """
    treated = [cell.factors for cell in cells if cell.factors]
    varying = {name for name in vars(Factors()) if len({getattr(each, name) for each in treated}) > 1}
    worded = [replace(cell, label=" · ".join([cell.label, *cell.factors.words(varying)])) if cell.factors else cell for cell in cells]
    by_label: dict[str, list[Cell]] = {}
    for cell in worded:
        by_label.setdefault(cell.label, []).append(cell)
    return [replace(cell, label=" · ".join([cell.label, *_keys_apart(cell, by_label[cell.label])])) for cell in worded]


def _keys_apart(cell: Cell, twins: Sequence[Cell]) -> list[str]:
    mine, *theirs = (_told(each.records[0]) for each in (cell, *twins))
    keys = sorted(key for key in mine.keys() - SPEED_KEYS if any(each.get(key) != mine[key] for each in theirs))
    return [f"{key} {mine[key]}" for key in keys] if len(twins) > 1 else []


def _told(record: RunRecord) -> Mapping[str, Any]:
    """What has an effect in a run; of one that could not be built, all there is."""
    return effective(config) if (config := built(record)) else flat(record.config)


def _rank(cell: Cell) -> tuple[int, float]:
    place = FINAL_ARMS.index(cell.label) if cell.label in FINAL_ARMS else len(FINAL_ARMS)
    return place, -(cell.test_accuracy.mean if cell.test_accuracy else 0)


def _cell(name: str, group: Sequence[RunRecord]) -> Cell:
    summaries = [record.summary for record in group if record.summary and counts(record)]
    timed: dict[str, list[RunRecord]] = {}
    for record in group:
        if (where := place(record)) and record.summary and record.state in (State.finished, State.diverged):
            timed.setdefault(where, []).append(record)
    return Cell(
        label=group[0].label,
        identity=name,
        factors=treatment(group[0]),
        records=tuple(sorted(group, key=lambda record: record.seed)),
        validation_accuracy=Estimate.of([s.val_accuracy for s in summaries if s.val_accuracy is not None]),
        test_accuracy=Estimate.of([s.test_accuracy for s in summaries if s.test_accuracy is not None]),
        train_accuracy=Estimate.of([s.train_clean_accuracy for s in summaries if s.train_clean_accuracy is not None]),
        gap=Estimate.of([s.gap for s in summaries if s.gap is not None]),
        times=tuple(_times(name, runs) for name, runs in timed.items()),
    )


def _times(name: str, runs: Sequence[RunRecord]) -> Times:
    finished = [record.summary.time_train_seconds for record in runs if record.summary and counts(record)]
    return Times(name, Estimate.of(finished), TimeToTarget.of([_until(record) for record in runs]))


def _until(record: RunRecord) -> tuple[float, bool]:
    """Seconds until the target, or until the end without it."""
    assert record.summary
    if record.summary.time_to_target_reached and record.summary.time_to_target_seconds is not None:
        return record.summary.time_to_target_seconds, True
    return (math.inf if record.state == State.diverged else record.summary.time_train_seconds), False
