"""What a sweep needs to know of the processes that train its runs, and of the machine that they share."""

import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Protocol

from reglab.settings import settings

GRACE_SECONDS = 25.0
"""How long a worker may take to leave a checkpoint before it is killed: cloud machines give 30 seconds."""

LOST = 255
"""What multiprocessing says of a fork whose server is gone: it may even live on."""


class Process(Protocol):
    """A worker, as `multiprocessing` or `subprocess` give one."""

    @property
    def pid(self) -> int | None: ...

    @property
    def exitcode(self) -> int | None: ...

    def join(self, timeout: float | None = None) -> None: ...


class Start(Protocol):
    """Starts a worker for the run that the environment variables hand over, on these cores if there are any.

    Its output goes to the file.
    """

    def __call__(self, variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> Process: ...


def pid(process: Process) -> int:
    """Of a worker that was started."""
    assert process.pid is not None, "it was started"
    return process.pid


def last_line(path: Path) -> str:
    """The last thing that a worker said."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def cores() -> list[int]:
    """The CPU cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def shares(cores: Sequence[int], count: int) -> list[Sequence[int]]:
    """The cores for each of `count` workers at a time, none twice; empty where there are too few to divide."""
    size = len(cores) // count
    return [cores[number * size : (number + 1) * size] for number in range(count)]


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
