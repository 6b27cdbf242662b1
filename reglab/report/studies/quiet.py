"""Times of runs that shared their cores or their GPU, by what an epoch of their arms took in turns.

A run comes to the target in the same epoch whatever else its machine does, and an epoch takes what it takes where nothing else is done. So
the one is told by the run and the other by the turns. Each seed has the seconds of a round of its own, the same for all arms: what differs
from round to round differs from seed to seed, as it would in runs with a machine of their own. Of more seeds than there are rounds the rest
stay as they were, since one round told twice would be one chance counted twice. So do runs that went on elsewhere: their epochs are of
several machines, which may round otherwise.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime

from reglab.report import stats
from reglab.tracking.record import Environment, RunRecord

_NO_ROUND = -1

_MACHINE = ("device", "driver", "cuda", "torch", "python", "threads", "precision", "compiled", "captured", "reglab", "commit")
"""What of a run's environment its times are of."""


Rounds = Mapping[tuple[str, int], RunRecord]
"""The quiet turns of a session, by their arms and rounds."""


def sessions(turns: Iterable[RunRecord]) -> tuple[Rounds, ...]:
    """Those of turns, the first one first."""
    found: dict[datetime, dict[tuple[str, int], RunRecord]] = {}
    for turn in sorted(turns, key=lambda turn: turn.seed):
        if stats.is_quiet(turn):
            found.setdefault(turn.created, {})[stats.arm(turn), turn.seed] = turn
    return tuple(found.values())


def told_by_most(records: Sequence[RunRecord], there: Iterable[Rounds]) -> tuple[RunRecord, ...]:
    """All runs of a study, with times by turns where they shared what they ran on, and their arms took quiet turns on such a device in
    such a precision, in the session in which most of them did, of several the first. All others are as they were.

    It is for showing arms beside each other. A later session with more of them takes the first one's place, so what is decided by the times
    of some arms asks `told_together`.
    """
    of_arms = [_of(rounds, _sharing(records)) for rounds in there]
    return _by_rounds(records, max(of_arms, key=lambda rounds: len({arm for arm, _ in rounds}), default={}), records)


def told_together(some: Sequence[RunRecord], there: Iterable[Rounds], records: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    """Some of all `records` by the first session in which all of them that shared took two quiet turns together, whatever came later; as
    they were where there is none."""
    arms = _sharing(some)
    of_arms = (_of(rounds, arms) for rounds in there)
    together = (rounds for rounds in of_arms if list(Counter(number for _, number in rounds).values()).count(len(arms)) > 1)
    return _by_rounds(some, next(together, {}), records)


def _sharing(records: Iterable[RunRecord]) -> Set[str]:
    return {stats.arm(record) for record in records if stats.is_shared(record)}


def _of(rounds: Rounds, arms: Set[str]) -> Rounds:
    return {(arm, number): turn for (arm, number), turn in rounds.items() if arm in arms}


def _by_rounds(some: Iterable[RunRecord], rounds: Rounds, records: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    seeds = sorted({record.seed for record in records})
    by_seed = dict(zip(seeds, sorted({number for _, number in rounds}), strict=False))
    return tuple(_by_turn(record, rounds.get((stats.arm(record), by_seed.get(record.seed, _NO_ROUND)))) for record in some)


def _kind(environment: Environment) -> tuple[str, str, int | None]:
    """The device, however many of its cores a process was given, with precision and, on a CPU, threads."""
    device = re.sub(r" \(\d+ cores?\)$", "", environment.device)
    return device, environment.precision, None if environment.cuda else environment.threads


def _by_turn(record: RunRecord, turn: RunRecord | None) -> RunRecord:
    there, summary = record.environment, record.summary
    if turn is None or there is None or summary is None or not stats.is_shared(record) or stats.has_moved(record):
        return record
    assert turn.environment and turn.summary
    reached = summary.time_to_target_epoch
    if _kind(turn.environment) != _kind(there) or (summary.time_to_target_reached and reached is None):
        return record
    seconds = turn.summary.time_train_seconds / turn.summary.epochs
    times = {
        "time_train_seconds": seconds * summary.epochs,
        "time_to_target_seconds": seconds * reached if reached and summary.time_to_target_reached else None,
        "time_cpu_share": turn.summary.time_cpu_share,
        "gpu_runs": turn.summary.gpu_runs,
    }
    return record.model_copy(
        update={
            "summary": summary.model_copy(update=times),
            "environment": there.model_copy(update={name: getattr(turn.environment, name) for name in _MACHINE}),
            "history": [row.model_copy(update={"time_train_seconds": seconds * row.epoch}) for row in record.history],
        }
    )
