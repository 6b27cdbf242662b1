"""What a sweep needs to know of the processes that train its runs, and of the machine that they share."""

import math
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Protocol

from reglab.settings import settings

GRACE_SECONDS = 25.0
"""How long a worker may take to leave a checkpoint before it is killed: cloud machines give 30 seconds."""

BURNT = 3
"""Runs in a row that end by a fault of the machine's, before it takes no more."""

LOST = 255
"""What multiprocessing says of a fork whose server is gone: it may even live on."""


class Process(Protocol):
    """A worker, as `multiprocessing` or `subprocess` give one."""

    @property
    def pid(self) -> int | None:
        """Its number; None before it was started."""

    @property
    def exitcode(self) -> int | None:
        """How it ended, below zero by a signal; None while it lives."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""


class Start(Protocol):
    """Starts a worker for the run that the environment variables hand over, on these cores if there are any.

    Its output goes to the file.
    """

    def __call__(self, variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> Process:
        """Return the worker, which has begun."""


def pid(process: Process) -> int:
    """Of a worker that was started."""
    assert process.pid is not None, "it was started"
    return process.pid


_END_OF_A_LOG = 2**16
"""Bytes in which its last line is looked for."""


def last_line(path: Path) -> str:
    """The last thing that a worker said, of whatever length its log is."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _END_OF_A_LOG))
            lines = log.read(_END_OF_A_LOG).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def cores() -> list[int]:
    """The CPU cores that this process may use; of a container that has the time of fewer, so many of them, always the same."""
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    allowed = _cpu_limit()
    if allowed >= len(there):
        return there
    first = _ANY % len(there)  # not the first ones: another container of this machine would take them, too
    return sorted((there + there)[first : first + allowed])


_ANY = secrets.randbelow(2**16)


def _cpu_limit() -> int:
    """How many cores' time a container is allowed, rounded up; very many where there is no limit."""
    try:
        quota, period = _CPU_LIMIT.read_text(encoding="utf-8").split()
        return max(math.ceil(int(quota) / int(period)), 1)
    except (OSError, ValueError):  # there is none, or it is "max"
        return sys.maxsize


_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def shares(cores: Sequence[int], count: int) -> list[Sequence[int]]:
    """The cores for each of `count` workers at a time, none twice; empty where there are too few to divide."""
    size = len(cores) // count
    return [cores[number * size : (number + 1) * size] for number in range(count)]


def threads(share: Collection[int]) -> int:
    """CPU threads for a worker with these cores: one each, or one in all where it has none of its own; fewer where OMP_NUM_THREADS
    says so, and as many as REGLAB_THREADS says.

    Threads that wait for one that has no core do so by spinning: two programs of two threads on two cores each train a tenth as fast
    as one of them alone.
    """
    asked = re.match(r"\s*(\d+)", os.environ.get("OMP_NUM_THREADS", ""))
    most = max(1, int(asked[1])) if asked else len(share)
    return settings().threads or max(1, min(len(share), most))


def at_once(runs: int, learns: bool = False) -> int:
    """How many of so many runs to train at a time where nobody says: one a GPU; else one a core, as far as memory goes.

    On two cores two runs of one thread each train 3,000 images/s together, one run of two threads 2,400 (digits, width 16).
    A search that `learns` from its runs draws few of them before it knows the others' outcome.
    """
    most = len(visible_gpus()) or min(len(cores()), int(memory_gb() / _GB_A_RUN))
    if learns:
        most = min(most, runs // _DRAWS_A_WORKER)
    return max(1, min(most, runs))


_GB_A_RUN = 2.5
"""A ResNet-50 of full width with two BN layers on a CPU took 2.0 at a batch size of 256, on digits; CIFAR-10 is 0.2 more."""

_DRAWS_A_WORKER = 10


def memory_gb() -> float:
    """The memory that this process may use, in GB."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    try:
        return min(there, int(_MEMORY_LIMIT.read_text(encoding="utf-8")) / 1e9)
    except (OSError, ValueError):  # there is no limit, and it says "max"
        return there


_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def visible_gpus() -> list[str]:
    """The GPUs that workers may use, as CUDA_VISIBLE_DEVICES may name them; none where the device is set to cpu.

    Where nothing is chosen, by their UUIDs in the driver's order: the numbers that CUDA gives them may be in another.
    """
    if settings().device == "cpu":
        return []
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = [name.strip() for name in chosen.split(",")]
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it: up to the first that is none
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split() if listed.returncode == 0 else []
