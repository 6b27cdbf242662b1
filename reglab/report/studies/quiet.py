"""Times of runs that shared their cores or their GPU, by what an epoch of their arms took in turns.

A run comes to the target in the same epoch whatever else its machine does, and an epoch takes what it takes where nothing else is done. So
the one is told by the run and the other by the turns. Each seed has the seconds of a round of its own, the same for all arms: what differs
from round to round differs from seed to seed, as it would in runs with a machine of their own. Of more seeds than there are rounds the rest
stay as they were, since one round told twice would be one chance counted twice. So do runs that went on elsewhere: their epochs are of
several machines, which may round otherwise.
"""

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from reglab.report import stats
from reglab.tracking.record import Environment, RunRecord

_NO_ROUND = -1

_MACHINE = ("device", "driver", "cuda", "torch", "python", "threads", "precision", "compiled", "captured", "reglab", "commit")
"""What of a run's environment its times are of."""


def told_by_turns(records: Sequence[RunRecord], turns: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """The runs, with times by turns where they shared what they ran on, and their arms took quiet turns on such a device in such a
    precision, in the session in which most of them did. All others are as they were."""
    rounds = _of_one_session(turns, {stats.arm(record) for record in records if stats.is_shared(record)})
    seeds = sorted({record.seed for record in records})
    by_seed = dict(zip(seeds, sorted({number for _, number in rounds}), strict=False))
    return tuple(_by_turn(record, rounds.get((stats.arm(record), by_seed.get(record.seed, _NO_ROUND)))) for record in records)


def _of_one_session(turns: Sequence[RunRecord], arms: Set[str]) -> Mapping[tuple[str, int], RunRecord]:
    """The quiet turns of the session in which most of these arms took some, of several the first, by their arms and rounds."""
    sessions: dict[datetime, dict[tuple[str, int], RunRecord]] = {}
    for turn in sorted(turns, key=lambda turn: turn.seed):
        if stats.is_quiet(turn) and stats.arm(turn) in arms:
            sessions.setdefault(turn.created, {})[stats.arm(turn), turn.seed] = turn
    return max(sessions.values(), key=lambda session: len({arm for arm, _ in session}), default={})


def _kind(environment: Environment) -> tuple[str, str, int | None]:
    """The device, however many of its cores a process was given, with precision and, on a CPU, threads."""
    device = re.sub(r" \(\d+ cores\)$", "", environment.device)
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
