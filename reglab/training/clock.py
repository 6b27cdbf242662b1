"""The two clocks of a run: `train_seconds` counts training steps and nothing else, `wall_seconds` counts the run."""

import resource
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from reglab.settings import settings

EARLIER = "an earlier version of reglab"
"""The machine of seconds that a checkpoint tells nothing of: whatever it was, it ran other code."""


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Ahead:
    """Keeps the host a few steps ahead of the device, no more: what it has asked for, it cannot take back on a request to end.

    A captured step is a handful of launches, so that a whole epoch would fit into the device's queue.
    """

    STEPS = 8

    def __init__(self, device: torch.device):
        self.device = device
        self._asked: deque[torch.cuda.Event] = deque()

    def step(self) -> None:
        """A step was asked for: waits for the one that was `STEPS` before it."""
        if self.device.type != "cuda":
            return
        event = torch.cuda.Event(blocking=True)  # waiting leaves the core to others
        event.record(torch.cuda.current_stream(self.device))
        self._asked.append(event)
        if len(self._asked) > self.STEPS:
            self._asked.popleft().synchronize()


def cpu_seconds() -> float:
    """What this process has had of the CPU so far, all its threads together, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Clock:
    """Both clocks, in seconds. They go on over a resume: the time between two processes counts in neither.

    `cpu_seconds`: of the CPU, over all threads, during training; `thread_seconds`: of training, times the threads that it had. `gpu_runs`:
    how many runs at a time its GPU was for, at most. `machines`: those that its seconds are of, in words.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.train_seconds = 0.0
        self.cpu_seconds = 0.0
        self.thread_seconds = 0.0
        self.gpu_runs = settings().gpu_runs if device.type == "cuda" else None
        self.machines: list[str] = []
        self._wall_before = 0.0
        self._started = time.perf_counter()

    @property
    def wall_seconds(self) -> float:
        """Seconds that the run has taken in all its processes, with whatever is no training."""
        return self._wall_before + time.perf_counter() - self._started

    @property
    def cpu_share(self) -> float | None:
        """The part of training in which its threads were running, on a CPU; what waits for a core is not, what spins for another thread is.

        None on a GPU, where the host's part decides nothing, and before the first step.
        """
        return self.cpu_seconds / self.thread_seconds if self.device.type == "cpu" and self.thread_seconds else None

    def goes_on_at(self, machine: str) -> list[str]:
        """Say which machine, in words, the seconds from here on are of; returns the others that it has seconds of."""
        self.machines = list(dict.fromkeys([*self.machines, machine]))
        return [each for each in self.machines if each != machine]

    @contextmanager
    def training(self) -> Iterator[None]:
        """Around training steps: waits for the device at both ends, so that only their own work is counted."""
        synchronize(self.device)
        start, used = time.perf_counter(), cpu_seconds()
        yield
        synchronize(self.device)
        seconds = time.perf_counter() - start
        self.train_seconds += seconds
        self.cpu_seconds += cpu_seconds() - used
        self.thread_seconds += seconds * torch.get_num_threads()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a checkpoint keeps of it, in seconds."""
        counted = {"train_seconds": self.train_seconds, "wall_seconds": self.wall_seconds}
        used = {"cpu_seconds": self.cpu_seconds, "thread_seconds": self.thread_seconds, "gpu_runs": self.gpu_runs or 0}
        return {**counted, **used, "machines": self.machines}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, here or in an earlier process."""
        self.train_seconds, self._wall_before = state["train_seconds"], state["wall_seconds"]
        self.cpu_seconds, self.thread_seconds = state.get("cpu_seconds", 0.0), state.get("thread_seconds", 0.0)  # older: from here on
        self.gpu_runs = self.gpu_runs and max(self.gpu_runs, int(state.get("gpu_runs", 0)))
        self.machines = list(state.get("machines", [EARLIER]))
