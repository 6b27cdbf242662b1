"""Comparisons of runs, pair by pair: two of one seed that differ in one thing."""

import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from reglab.report.columns import Treatment
from reglab.report.measures import Measure
from reglab.report.stats import Difference, place
from reglab.tracking.record import RunRecord

Treated = tuple[Treatment, RunRecord]
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


def in_blocks(runs: Iterable[Treated], level: Callable[[Treatment], Hashable], rest: Callable[[Treatment], Hashable]) -> Blocks:
    """Runs in blocks: of one seed and one `rest`, a run for each `level`. What has the level None is in no block.

    Of two runs of one place the earlier is there.
    """
    found: dict[tuple[Hashable, int], dict[Hashable, RunRecord]] = {}
    for treatment, record in runs:
        if (which := level(treatment)) is not None:
            block = found.setdefault((rest(treatment), record.seed), {})
            block[which] = min(block.get(which, record), record, key=lambda run: (run.created, run.run_id))
    return found


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
    return Difference.of(_by_case(blocks, one, other, measure))


def _by_case(blocks: Blocks, one: Hashable, other: Hashable, measure: Measure) -> list[float]:
    """What is averaged: of several cases (what the blocks of several seeds have in common) a mean each, of a single one its seeds.

    The seeds of one case share what is special to it: counted one by one, they would make an interval too narrow.
    """
    cases: dict[Hashable, list[float]] = {}
    for pair in pairs(blocks, one, other, measure):
        cases.setdefault(pair.rest, []).append(pair.one - pair.other)
    return [statistics.fmean(each) for each in cases.values()] if len(cases) > 1 else [value for each in cases.values() for value in each]


def on_one_machine(one: RunRecord, other: RunRecord) -> bool:
    """Whether their times can be compared."""
    return one.environment is not None and place(one) == place(other)
