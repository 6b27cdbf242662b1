"""The processes that train the runs of a sweep, on this machine's own behalf or that of W&B's agents.

Importing torch, its optimizers and wandb takes longer than an epoch of a small run. So a server process imports them once,
and each run is a fork of it: a process of its own, that can fail or be killed alone.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from reglab.errors import MachineError
from reglab.processes import forks, streams
from reglab.processes.ending import run_to_exit
from reglab.processes.signals import PREEMPT, WORKER
from reglab.processes.supervisor import Start
from reglab.running import one_run, other_program
from reglab.running.not_begun import not_here
from reglab.sweep import assignment
from reglab.sweep.program import Program

_PRELOADED_FOR_PROGRAMS = ["reglab.running.worker", "reglab.tracking.wandb_library"]
"""Imported once, before the forks. Another program imports what it needs by itself."""

_PRELOADED = [*_PRELOADED_FOR_PROGRAMS, "reglab.training.loop", "reglab.training.environment", "torch._dynamo"]
"""None of it touches a GPU; torch's optimizers import torch._dynamo at their first use."""

_PAUSES = (0.1, 0.3, 1.0, 1.0)
"""Seconds after a server has died as it started a worker; after the last it is given up."""


def start(variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> BaseProcess:
    """Run `reglab train` in a process of its own with these environment variables, pinned to these cores if there are any.

    What it says goes to `log`.
    """
    return _start(_train, variables, log, cores)


def _train() -> int:
    return one_run.carry_out(WORKER, job=assignment.received())


def hand_back(variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> BaseProcess:
    """Tell W&B, in a process of its own, that the run which it handed over does not begin here and is to go to another agent."""
    return _start(not_here, variables, log, cores)


def starts(program: Program) -> tuple[Start, Start]:
    """As `start` and `hand_back` are for `reglab train`, for a sweep of another program."""

    def started(variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> BaseProcess:
        return _start(partial(other_program.run, program), variables, log, cores, _PRELOADED_FOR_PROGRAMS)

    def handed_back(variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> BaseProcess:
        return _start(partial(other_program.not_here, program), variables, log, cores, _PRELOADED_FOR_PROGRAMS)

    return started, handed_back


def _start(
    command: Callable[[], int], variables: Mapping[str, str], log: Path, cores: Collection[int], preloaded: list[str] = _PRELOADED
) -> BaseProcess:
    """Raises MachineError where the server dies again and again before it has started the process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    context = forks.context(preloaded)
    for pause in _PAUSES:
        process = context.Process(target=_work, args=(command, dict(variables), log, cores), name=log.parent.name)
        try:
            with forks.undisturbed():
                process.start()
            return process
        except (EOFError, ConnectionError, FileNotFoundError):  # the server was killed: the next start makes another, once it is gone
            time.sleep(pause)
    raise MachineError(
        f"the server of the workers died {len(_PAUSES)} times as it started one: look for what kills it, such as a lack of memory"
    )


def _work(command: Callable[[], int], variables: dict[str, str], log: Path, cores: Collection[int]) -> None:
    os.environ.update(variables)
    os.environ.pop("WANDB_SERVICE", None)  # W&B's client of another process, which ends this run's with its own
    if cores:
        os.sched_setaffinity(0, cores)
    with log.open("a", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    streams.outlive_their_reader()  # a full disk
    threading.Thread(target=_preempt_with_the_parent, daemon=True).start()
    run_to_exit(command, debug=True)


def _preempt_with_the_parent() -> None:
    """A sweep that dies without a word leaves no run behind on its own: each leaves a checkpoint and ends."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os.kill(os.getpid(), PREEMPT)
