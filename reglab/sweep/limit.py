"""A limit on the time of a call, on a machine that is paid by the minute: when it ends, and which runs fit in what is left."""

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.processes.supervisor import GRACE_SECONDS
from reglab.sweep.plan import Paces
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import read_run, run_folders

STARTUP_SECONDS = 5.0
"""What a worker takes beside its run's own clock, until one has been timed: the first imports torch."""

LONGEST_SECONDS = 366 * 24 * 3600.0
"""A limit on a call: beyond it is none."""

EXIT_SECONDS = 1.0
"""Kept for the command's own end."""

_NOTICE_SHARE = 1 / 4
"""Of a short limit: the notice that workers get."""

_NEARLY = 0.9
"""Of what a call has for its first sweep: a later one finds less, even if the sweeps before it are done."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?")


def seconds_of(text: str) -> float:
    """`90s`, `9m`, `1h30m` or plain seconds. Raises UserError for anything else, and where no worker could start in it."""
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise UserError(f"--stop-after {text}: not a duration; write 90s, 9m, 1h30m, or plain seconds such as 540")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if total > LONGEST_SECONDS:
        raise UserError(f"--stop-after {text}: longer than a year: leave it out")
    if Limit(total).left <= STARTUP_SECONDS:
        raise UserError(f"--stop-after {text}: too short for a run to start and leave a checkpoint; give at least 10s")
    return total


@dataclass(frozen=True)
class Rest:
    """Runs that a call leaves undone: the seconds that each takes a worker, None where no run tells yet."""

    runs: dict[str, float | None]

    @property
    def seconds(self) -> float | None:
        """Of one worker for all of them; what is not known is taken to be like the others. None where nothing is known."""
        known = [seconds for seconds in self.runs.values() if seconds is not None]
        return mean(known) * len(self.runs) if known else None


class Limit:
    """The time that a call has, from now on, and what is known of how long runs take. All sweeps of a call share one."""

    def __init__(self, seconds: float):
        self.startup_seconds = STARTUP_SECONDS
        self._ends = time.monotonic() + seconds
        self._told = self._ends - min(GRACE_SECONDS, _NOTICE_SHARE * seconds)
        self._offered = self.left
        self._has_begun = False
        self._paces = Paces()
        self._latest: RunRecord | None = None
        self._read: set[Path] = set()

    @property
    def left(self) -> float:
        """Seconds until workers are told to leave their checkpoints."""
        return self._told - time.monotonic()

    @property
    def can_start(self) -> bool:
        """Whether there is time for a run to begin at all."""
        return self.left > self.startup_seconds

    def begin(self) -> None:
        """The first sweep begins, after whatever had to be read."""
        if not self._has_begun:
            self._has_begun, self._offered = True, self.left

    def is_short_for(self, seconds: float | None) -> bool:
        """Whether a run takes a worker longer than a call like this one has for it, even at its beginning."""
        return seconds is not None and seconds > _NEARLY * self._offered

    @property
    def is_over(self) -> bool:
        """Whether a worker that is still there has to be killed for the call to end in time."""
        return time.monotonic() > self._ends - EXIT_SECONDS

    def learn(self, records: Iterable[RunRecord]) -> None:
        """What these runs took. The last that began shows which device this machine has."""
        for record in records:
            self._paces.add(record)
            if record.environment and (self._latest is None or record.updated >= self._latest.updated):
                self._latest = record

    def learn_from(self, root: Path) -> None:
        """What the runs in this folder took, of whichever sweep, when it was first asked for; later ones are told to `learn`."""
        if root in self._read:
            return
        self._read.add(root)
        for folder in run_folders(root):
            with suppress(UserError):  # a damaged record is its own sweep's affair
                record = read_run(folder, history=False)  # of a finished run the summary is enough
                record = record if record and record.state == State.finished else read_run(folder)
                self.learn([record] if record else [])

    def time(self, seconds: float, record: RunRecord, clock_before: float) -> None:
        """A worker took so many seconds to finish a run, whose wall clock stood at `clock_before`: what that does not show is startup."""
        assert record.summary
        self.startup_seconds = max(0.0, seconds - max(0.0, record.summary.time_wall_seconds - clock_before))

    def expected(self, config: RunConfig | None, epochs: int) -> float | None:
        """Seconds of a worker for so many epochs, its start included; None where no run tells. What cannot be built fails at once."""
        if config is None:
            return self.startup_seconds
        on = self._latest.environment.device if self._latest and self._latest.environment else None
        of_an_epoch = self._paces.epoch_seconds(config, on)
        return None if of_an_epoch is None else self.startup_seconds + epochs * of_an_epoch
