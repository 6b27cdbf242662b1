"""Runs in blocks: with all in common but what is compared."""

from collections.abc import Callable, Hashable, Iterable, Mapping

from reglab.report.stats import place
from reglab.report.studies.columns import Treatment
from reglab.tracking.record import RunRecord

Treated = tuple[Treatment, RunRecord]
"""A run with its factors."""

BySeed = Mapping[int, RunRecord]
"""Runs that differ in their seeds only, by these."""

Blocks = Mapping[Hashable, Mapping[Hashable, Mapping[str, BySeed]]]
"""Runs that differ in one thing only, by its level: `blocks[everything else][level][arm][seed]`. One arm has a level, unless the level
leaves open what its arms differ in."""


def in_blocks(
    runs: Iterable[Treated],
    levels: Callable[[Treatment], Iterable[Hashable]],
    rest: Callable[[Treatment], Hashable],
    arm: Callable[[RunRecord], str],
) -> Blocks:
    """Runs in blocks: of one `rest`, for each of the `levels` that some have its arms, seed by seed.

    Of two runs of one arm and seed the earlier is there.
    """
    found: dict[Hashable, dict[Hashable, dict[str, dict[int, RunRecord]]]] = {}
    for treatment, record in sorted(runs, key=lambda run: run[1].seed):
        for level in levels(treatment):
            seeds = found.setdefault(rest(treatment), {}).setdefault(level, {}).setdefault(arm(record), {})
            seeds[record.seed] = min(seeds.get(record.seed, record), record, key=lambda run: (run.created, run.run_id))
    return found


def on_one_machine(*records: RunRecord) -> bool:
    """Whether their times can be compared."""
    places = set(map(place, records))
    return len(places) == 1 and None not in places
