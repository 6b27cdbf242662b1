"""The two clocks of a run: `train_seconds` counts training steps and nothing else, `wall_seconds` counts the run."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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


class Clock:
    """Both clocks, in seconds. They go on over a resume: the time between two processes counts in neither."""

    def __init__(self, device: torch.device):
        self.device = device
        self.train_seconds = 0.0
        self._wall_before = 0.0
        self._started = time.perf_counter()

    @property
    def wall_seconds(self) -> float:
        return self._wall_before + time.perf_counter() - self._started

    @contextmanager
    def training(self) -> Iterator[None]:
        """Around training steps: waits for the device at both ends, so that only their own work is counted."""
        synchronize(self.device)
        start = time.perf_counter()
        yield
        synchronize(self.device)
        self.train_seconds += time.perf_counter() - start

    def state_dict(self) -> dict[str, float]:
        return {"train_seconds": self.train_seconds, "wall_seconds": self.wall_seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.train_seconds, self._wall_before = state["train_seconds"], state["wall_seconds"]
