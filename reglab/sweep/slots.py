"""The places of a machine for runs of a sweep on W&B, and the run in each."""

import math
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from reglab.errors import ReglabError
from reglab.sweep.job import Job
from reglab.sweep.machine import shares
from reglab.sweep.relay import Order
from reglab.tracking.record import State


@dataclass(eq=False, kw_only=True)
class SlotJob(Job):
    """A run that the worker of a slot trains or hands back.

    `order` is None where no W&B agent asked for it: it died elsewhere.
    """

    slot: "Slot"
    variables: dict[str, str]
    order: Order | None
    handed_back: bool
    first_epochs: int | None = None

    def look(self) -> None:
        with suppress(ReglabError, OSError):  # a damaged record: its worker says so; a disk that does not answer: another look may do
            super().look()
        if self.first_epochs is None and self.record and self.record.state == State.running:
            self.first_epochs = self.record.steps_done

    def preempt(self) -> None:
        if not self.handed_back:
            super().preempt()

    @property
    def proven(self) -> bool:
        """Whether it has done something here that a sick machine could not."""
        if self.record is None or self.handed_back:
            return False
        trained = self.first_epochs is not None and self.record.steps_done > self.first_epochs
        return trained or self.record.state.has_results

    @property
    def seconds_left(self) -> float:
        """As its epochs so far let expect; none of them is short enough to foresee before the first has passed."""
        if not self.proven or not self.record or not self.record.history:
            return math.inf
        row = self.record.history[-1]
        epochs: int = self.record.config["train"]["epochs"]
        return (epochs - row.epoch) * row.time_wall_seconds / row.epoch


@dataclass(eq=False)
class Slot:
    """A place for one run at a time. `count`: how many it may still take; None: as many as there are."""

    number: int
    gpu: str | None = None
    cores: Sequence[int] = ()
    count: int | None = None
    job: SlotJob | None = None
    agent: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    tries: int = 0
    deaths: int = 0
    over: bool = False
    """Whether W&B said that it has no more runs."""
    out: str | None = None
    """Why it takes no more runs."""

    @property
    def busy(self) -> bool:
        """Whether something goes on in it, or is yet to."""
        return self.agent is not None or self.job is not None or self.out is None

    def close(self, why: str) -> None:
        """Take no more runs: W&B's agent of this slot ends at once, and leaves the run that goes on."""
        self.out = self.out or why
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        self.agent = None


def slots(gpus: Sequence[str], per_gpu: int, cores: Sequence[int], count: int | None = None) -> list[Slot]:
    """The slots of a machine: `per_gpu` on each GPU, or, without a GPU, on the processor; the cores and `count` divided among them."""
    names: list[str | None] = [name for _ in range(per_gpu) for name in gpus] or [None] * per_gpu
    counts = [None if count is None else count // len(names) + (number < count % len(names)) for number in range(len(names))]
    return [Slot(number, *each) for number, each in enumerate(zip(names, shares(cores, len(names)), counts, strict=True))]
