"""One run of another program, from the command that starts it to its record. A worker of a sweep or an agent here looks after it.

What it logs is read from the files of W&B's client as they grow. How it ended is its exit code, and what it was told.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reglab.config import laid_over
from reglab.console import say
from reglab.errors import UserError, shown
from reglab.exits import FAILED, PREEMPTED, killed_by
from reglab.processes.signals import PREEMPT, WORKER, Request, Signals
from reglab.processes.supervisor import GRACE_SECONDS, last_line
from reglab.running.alone import alone
from reglab.settings import settings
from reglab.sweep import assignment, relay
from reglab.sweep.program import Program
from reglab.tracking import wandb_run
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Logged
from reglab.tracking.store import LOG, LocalRun, set_aside
from reglab.tracking.wandb_files import RunFile, found

TOLD_SECONDS = GRACE_SECONDS - 10
"""How long the program may take to end once it is told to; W&B and the record need the rest."""

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_LOOKING_SHARE = 0.05
"""Of the time, that is spent reading what a program logs."""

_ARGUMENTS = "arguments.json"

_SHIM = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: who looks after it was killed
    if os.getppid() != parent:
        sys.exit(1)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]} cannot be started ({error.strerror})")
"""
"""Becomes the program: one that dies with its worker, and hears signals, which a worker blocks."""


def run(program: Program) -> int:
    """Start the program on the values that were handed over, and wait for its end; returns the exit code for whoever started the worker."""
    with Signals(WORKER) as signals:
        job = assignment.received(program)
        assert job and job.run_id, "a sweep or an agent started it"
        folder = settings().runs / job.sweep / job.run_id
        with alone(folder, signals):
            record = _Run(program, job, job.run_id, folder, signals).to_its_end()
    if record.state == State.preempted:
        if relay.COMMAND in os.environ:
            wandb_run.hand_back(folder)
        return PREEMPTED
    return 0 if record.state in (State.finished, State.stopped) else FAILED


def not_here(program: Program) -> int:
    """The run that an agent was handed does not begin on this machine: W&B gives it to another. Returns the exit code."""
    job = assignment.received(program)
    assert job and job.run_id, "an agent started it"
    wandb_run.hand_back(settings().runs / job.sweep / job.run_id)
    return PREEMPTED


@dataclass
class _Run:
    """A run that this process looks after. `places` are folders where W&B's client may keep its files, `earlier` those of earlier tries."""

    program: Program
    job: assignment.Assignment
    run_id: str
    folder: Path
    signals: Signals
    places: list[Path] = field(default_factory=list)
    earlier: frozenset[Path] = frozenset()
    files: dict[Path, RunFile] = field(default_factory=dict)

    def to_its_end(self) -> RunRecord:
        """Start it, wait for its end, and keep what it came to."""
        local, before = LocalRun(self.folder), set_aside(self.folder)
        asked = self.program.asked(self.job.values)
        record = RunRecord(
            run_id=self.run_id,
            sweep=self.job.sweep,
            label=asked.label,
            identity=asked.identity,
            seed=asked.seed,
            config=self.job.values,
            program=self.program.shown,
            rows=[],
        )
        if before and before.state == State.preempted and before.reason is None:  # it said that it goes on, and logs the rest
            record = record.changed(created=before.created, rows=before.rows or [])
            if before.damage:
                say(f"note: {before.damage}")
        environment = _environment(self.folder)
        self.places = [Path(environment["WANDB_DIR"]), Path.cwd()]
        self.earlier = frozenset(found(self.run_id, self.places))
        local.started(record)
        code = self._wait(self._start(environment), local)
        fault = self._look(local)
        summary: Logged = {}
        config: dict[str, Any] = {}
        for each in self.files.values():
            summary |= each.summary
            config = laid_over(config, each.config)
        state, reason = self._outcome(code, fault)
        if fault and state == State.preempted and reason is None:  # the rows before stay its own, and nobody reads this file again
            say(f"note: {fault}")
        record = record.changed(state=state, reason=reason, logged=summary, config=laid_over(config, self.job.values))
        local.ended(record)
        return record

    def _start(self, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        handed = environment.get(relay.COMMAND)
        words = json.loads(handed) if handed else self.program.words(self.job.values, (self.folder / _ARGUMENTS).resolve(), environment)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), *words],
            env={name: value for name, value in environment.items() if name != relay.COMMAND},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )

    def _wait(self, process: "subprocess.Popen[bytes]", local: LocalRun) -> int:
        """Keep what it logs until it has ended, and pass on what this worker is told. Returns its exit code."""
        told, kill_at, look_at = Request.none, float("inf"), time.monotonic() + _LOOK_SECONDS
        while process.poll() is None:
            if self.signals.received > told:
                told = self.signals.received
                kill_at = min(kill_at, time.monotonic() + TOLD_SECONDS)
                process.send_signal(_meant(told, process.pid))
            if (now := time.monotonic()) > kill_at:
                _kill_all(process.pid)
            if now > look_at:
                self._look(local)  # what is wrong is said at the end
                look_at = time.monotonic() + max(_LOOK_SECONDS, (time.monotonic() - now) / _LOOKING_SHARE)
            time.sleep(_POLL_SECONDS)
        if told:
            _kill_all(process.pid)  # a shell leaves what it started
        return process.returncode

    def _look(self, local: LocalRun) -> str | None:
        """Keep what the program has logged since the last look; returns what is wrong with a file of W&B's client, if anything is."""
        for path in found(self.run_id, self.places):
            if path not in self.earlier:
                self.files.setdefault(path, RunFile(path))
        fault = None
        for file in self.files.values():
            try:
                local.logged(file.read())
            except UserError as error:
                fault = str(error)
        return fault

    def _outcome(self, code: int, fault: str | None) -> tuple[State, str | None]:
        if self.signals.received == Request.preempt and code != PREEMPTED:  # one that is told to leave may end well in the middle
            return State.preempted, f"it was told to leave, and ended without exit code {PREEMPTED}: it begins anew"
        if self.signals.received == Request.stop:
            return State.stopped, "stopped on request" + (f"; {fault}" if fault else "")
        if code == PREEMPTED:
            return State.preempted, None
        if killed := killed_by(code):
            return State.crashed, f"{killed}; it begins anew when the sweep is started again"
        if code:
            return State.failed, f"exit code {code}: {last_line(self.folder / LOG)}"
        fault = fault or self._lost()
        return (State.failed, fault) if fault else (State.finished, None)

    def _lost(self) -> str | None:
        """What is missing of a program that ended well: the last numbers that are there would be taken for what it came to."""
        if not self.files:
            where = " or ".join(str(place / "wandb") for place in self.places)
            logs = "have it call wandb.init() and wandb.log()"
            return f"exit code 0, and nothing was logged: W&B's client left no file of it in {where}; {logs}"
        lost = next(filter(None, (file.cut for file in self.files.values())), None)
        if lost is None and not any(file.has_ended for file in self.files.values()):
            last = next(reversed(self.files))
            why = "has no end" if last.exists() else "was removed before its end was read"
            lost = f"{shown(last)} {why}: what was logged last is missing"
        mend = "W&B's client was ended before it had written all: have the program call wandb.finish(), and see to memory and disk"
        return lost and f"exit code 0, but {lost}; {mend}"


def _environment(folder: Path) -> dict[str, str]:
    """For the program: W&B's files go to its run's folder, where nobody says otherwise, and it has as many threads as cores."""
    environment = dict(os.environ)
    environment.pop("PYTHONSAFEPATH", None)  # ours: a program imports what lies beside it
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment.setdefault("WANDB_DIR", str(folder.resolve()))
    environment.setdefault("OMP_NUM_THREADS", environment.get("REGLAB_THREADS", "1"))
    return environment


def _meant(request: Request, pid: int) -> signal.Signals:
    """SIGTERM is a stop, as W&B's agent sends it; SIGUSR1 a preemption, where the program listens to that, else SIGTERM is, too."""
    return PREEMPT if request == Request.preempt and _hears(pid, PREEMPT) else signal.SIGTERM


def _hears(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; False where nothing tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return bool(caught >> (number - 1) & 1)


def _kill_all(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
