"""Runs in blocks: of one seed, with all in common but what is compared."""

from collections.abc import Callable, Hashable, Iterable, Mapping

from reglab.report.stats import place
from reglab.report.studies.columns import Treatment
from reglab.tracking.record import RunRecord

Treated = tuple[Treatment, RunRecord]
"""A run with its factors."""

Blocks = Mapping[tuple[Hashable, int], Mapping[Hashable, RunRecord]]
"""Runs that differ in one thing only, by its level: `blocks[everything else, seed][level]`."""


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


def on_one_machine(*records: RunRecord) -> bool:
    """Whether their times can be compared."""
    places = set(map(place, records))
    return len(places) == 1 and None not in places
