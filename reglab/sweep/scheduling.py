"""W&B's scheduler of a sweep on this machine: `wandb sweep-scheduler`, in a process of its own, started and looked after.

It chooses the runs of a sweep whose file has a `scheduler`, and ends the sweep; agents, here or elsewhere, train them. All that it
knows is at W&B, so it may be ended at any moment, and goes on when it is started again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reglab.config import flat
from reglab.errors import MachineError, ReglabError, UserError
from reglab.exits import PREEMPTED, killed_by
from reglab.processes.held import held
from reglab.processes.supervisor import Child, Subprocess, Supervisor, last_line
from reglab.sweep.remote import RemoteSweep
from reglab.tracking.store import LOG

POLL_SECONDS = 0.2

TRIES = 5
"""Deaths in a row, with no run chosen between them, before it is not started again."""

_LONGEST_WAIT = 60.0

_CHOSEN = re.compile(r"Enqueued run (\S+) with config (.*)\.")
_STATE = re.compile(r"Run (\S+) is (running|finished|failed|crashed|killed|preempted)\.")
_ENDED = re.compile(r"(?:ERROR )?Sweep scheduler for .* (exited|failed to start|failed to initialize): (.*)")
_NOTABLE = re.compile(r"WARNING .*|ERROR .*|Requesting early stop of run .*")

_WELL = ("the sweep finished", "the optimizer terminated")
"""How W&B says that nothing is left to choose."""


class _Scheduler(Child):
    def preempt(self) -> None:
        self.tell(signal.SIGINT)  # it ends after the step that it is at, and W&B has all that it knows


class SchedulerProcess:
    """Looks after W&B's scheduler. `say` gets a line for each run that it chooses, and for how that one goes on.

    `options` are those of `wandb sweep-scheduler`.
    """

    def __init__(self, sweep: RemoteSweep, folder: Path, options: list[str], say: Callable[[str], None]):
        self.sweep, self.folder, self.log = sweep, folder, folder / "scheduler" / LOG
        self.reason: str | None = None
        """Why the scheduler ended, in W&B's words."""
        self._options, self._say = options, say
        self._failed_to_start = False
        self._supervisor = Supervisor[_Scheduler]()
        self._deaths = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to choose."""
        return self.reason is not None and self.reason.startswith(_WELL)

    def preempt(self) -> None:
        """Ask it to end after what it is at. Safe to call from a signal handler."""
        self._supervisor.preempt()

    def run(self) -> Iterator[None]:
        """Works until nothing is left to choose, or it was asked to end; yields some times a second.

        Raises UserError where the sweep has a scheduler on this machine already, or its file asks for what W&B's scheduler does not do;
        MachineError where that one dies again and again; ReglabError where it fails otherwise.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        by_another = f"{self.sweep.path}: another process is its scheduler; two would each choose runs without the other's"
        with held(self.folder / ".scheduler.lock", otherwise=by_another):
            while not self._supervisor.preempting and not self.has_ended:
                yield from self._one_process()

    def _one_process(self) -> Iterator[None]:
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:  # at its end, before anything new is said
            self._supervisor.add(_Scheduler(process=self._start()))
            try:
                unread = ""
                while (exitcode := self._exitcode()) is None:
                    *lines, unread = (unread + log.read()).split("\n")
                    self._hear(lines)
                    if self._supervisor.out_of_grace:
                        return
                    yield
                    time.sleep(POLL_SECONDS)
                self._hear((unread + log.read()).split("\n"))
            finally:
                self._supervisor.kill_all()
        if not self._supervisor.preempting and not self.has_ended:
            yield from self._wait_after(exitcode)

    def _exitcode(self) -> int | None:
        (child,) = self._supervisor.look()
        return child.exitcode

    def _hear(self, lines: list[str]) -> None:
        for line in lines:
            said = line.removeprefix("wandb: ").strip()
            if found := _CHOSEN.fullmatch(said):
                self._deaths = 0
                self._say(f"{found[1]}: {_as_words(found[2])}")
            elif found := _STATE.fullmatch(said):
                self._say(f"{found[1]} {found[2]}")
            elif found := _ENDED.fullmatch(said):
                self._failed_to_start, self.reason = found[1] == "failed to start", found[2].rstrip(".")
            elif _NOTABLE.fullmatch(said):
                self._say(said)

    def _wait_after(self, code: int) -> Iterator[None]:
        """Before it is started again. Raises for what another start would not mend."""
        if self._failed_to_start:
            raise UserError(f"{self.sweep.path}: W&B's scheduler does not take its file: {self.reason}")
        if code >= 0 and code != PREEMPTED:
            raise ReglabError(f"{self.sweep.path}: W&B's scheduler ended with exit code {code}: {self.reason or last_line(self.log)}")
        how = killed_by(code) or "its client of W&B died"
        self._deaths += 1
        if self._deaths >= TRIES:
            raise MachineError(f"{self.sweep.path}: W&B's scheduler died {TRIES} times in a row ({how}); the same command goes on")
        self._say(f"{self.sweep.path}: W&B's scheduler died ({how}): it is started again")
        begin = time.monotonic() + min(2.0**self._deaths, _LONGEST_WAIT)
        while time.monotonic() < begin and not self._supervisor.preempting:
            yield
            time.sleep(POLL_SECONDS)

    def _start(self) -> Subprocess:
        """In this folder, where the sweep's `source` is. It ends with this process, whose end of its standard input is closed then."""
        own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # W&B's client of this process
        command = [sys.executable, "-P", "-m", "reglab.sweep.optimizers", *self._options, self.sweep.path]
        with self.log.open("ab") as log:
            return Subprocess(
                command,
                env=own | {"WANDB_DIR": str(self.log.parent.resolve()), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for this process alone
            )


def _as_words(config: str) -> str:
    """A chosen configuration as people write one."""
    try:
        return ", ".join(f"{name} {value}" for name, value in flat(json.loads(config)).items())
    except (ValueError, AttributeError):
        return config
