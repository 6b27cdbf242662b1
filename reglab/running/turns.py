"""Arms that train an epoch each in turns, round after round: their times are of one machine at one time, whatever else it does later.

Every turn builds its arm anew, so that none keeps where its weights came to lie in memory, and as many arms as a study has find room.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import torch

from reglab.config import IDENTITY_VERSION, DataConfig, RunConfig, identity
from reglab.console import say
from reglab.data.images import ImageSet
from reglab.data.sources import load
from reglab.errors import ReglabError
from reglab.processes.held import held
from reglab.processes.signals import Signals
from reglab.report.writing.numbers import counted
from reglab.running.threads import take_threads
from reglab.settings import settings
from reglab.tracking import turns
from reglab.tracking.record import Environment
from reglab.tracking.turns import Turns
from reglab.training import environment, shortage
from reglab.training.clock import Clock
from reglab.training.environment import pick_device
from reglab.training.run import Run

SECONDS = 2.0
"""A turn of the first arm takes about as long, where that is less than all images."""


@dataclass(frozen=True)
class _Turn:
    images: int
    seconds: float
    cpu_share: float | None
    environment: Environment


@dataclass
class Session:
    """Some arms that take turns, by what reports call them, over so many rounds, with so many of the training images each time.

    None of them: as many as the first arm trains on in about two seconds. Each arm trains on whole batches of its own, two at least, where
    there are as many images.
    """

    arms: Mapping[str, RunConfig]
    rounds: int
    images: int | None = None
    _took: dict[str, list[_Turn]] = field(default_factory=dict, init=False)

    def run(self, told: Callable[[int, int], None] = lambda done, total: None) -> Iterator[list[Turns]]:
        """After each round, what every arm took so far; `told` is given the turns that are done, and their number.

        Another arm is the first in each round. Raises UserError for images that cannot be had, ReglabError where the memory does not do.
        """
        take_threads()
        began, device, first = datetime.now(UTC), pick_device(settings().device), next(iter(self.arms))
        identities = {name: identity(config) for name, config in self.arms.items()}  # before code of the user's is imported
        sets = {name: _images(config.data) for name, config in self.arms.items()}
        self.images = self.images or _as_many(self.arms[first], sets[first], device)
        names, done = list(self.arms), 0
        for number in range(self.rounds):
            begin = number % len(names)
            for name in names[begin:] + names[:begin]:
                self._took.setdefault(name, []).append(_turn(self.arms[name], sets[name], self.images, device))
                told(done := done + 1, len(names) * self.rounds)
            yield [self._told(name, identities[name], began, sets[name]) for name in names]

    def run_beside(self, folder: Path, told: Callable[[int, int], None]) -> None:
        """Run it, and keep what every arm took in a folder after each round, beside what it took in earlier sessions.

        One that was cut off makes room: the first session decides, and it should have all of its rounds.
        Raises UserError where another process does so there.
        """
        with held(folder / ".turns.lock", otherwise=f"{folder}: another process is timing arms for it; wait for it to end"):
            there = turns.read(folder)
            before = [each for each in there if each.is_whole]
            if len(before) < len(there):
                say("note: a session that was cut off is left behind")
            arms = "1 arm takes" if len(self.arms) == 1 else f"{len(self.arms)} arms take"
            say(f"{arms} {counted(self.rounds, 'turns')} each: leave the machine to them")
            for took in self.run(told):
                turns.write(folder, [*before, *took])

    def _told(self, name: str, identity: str, began: datetime, images: ImageSet) -> Turns:
        config, took = self.arms[name], self._took[name]
        return Turns(
            session=began,
            label=config.label,
            identity=identity,
            identity_version=IDENTITY_VERSION,
            config=config.model_dump(mode="json"),
            environment=took[0].environment,
            images=took[0].images,
            seconds=[turn.seconds * len(images.train) / turn.images for turn in took],
            cpu_shares=[turn.cpu_share for turn in took],
            rounds=self.rounds,
        )


@cache
def _images(data: DataConfig) -> ImageSet:
    """Read once for all arms that have the same."""
    return load(data, settings().cache)


def _as_many(config: RunConfig, images: ImageSet, device: torch.device) -> int:
    """What an arm trains on in about `SECONDS`."""
    for _ in range(2):  # what the first does once for all is none of it
        took = _turn(config, images, 0, device)
    return round(SECONDS * took.images / took.seconds)


def _turn(config: RunConfig, images: ImageSet, count: int, device: torch.device) -> _Turn:
    """An epoch of a run that is built for it, on about so many training images."""
    run, there = None, _first(images, count, config.train.batch_size)
    try:
        with shortage.told_while_placing(device):
            run = Run(config, there, device)
        run.warm_up()
        trained_on = len(there.train)
        if run.batches.steps_per_epoch > 1:  # the first step of an epoch is probed, and would count for more than its share
            run.train_until(0.0, Signals())
            run.clock, trained_on = Clock(device), trained_on - run.batches.size
        run.train_until(math.inf, Signals())
        where = environment.describe(device, run.precision.name, run.compiled, images)
        return _Turn(trained_on, run.clock.train_seconds, run.clock.cpu_share, where.model_copy(update={"captured": run.captured}))
    except (RuntimeError, MemoryError) as error:
        if run is None or not shortage.is_one(error):
            raise
    raise ReglabError(f"{config.label}: {run.shortage()}")


def _first(images: ImageSet, count: int, batch: int) -> ImageSet:
    """The first so many training images, in whole batches, two at least, or all of them; and one to test on, since nothing is evaluated."""
    wanted = np.arange(min(max(2, count // batch) * batch, len(images.train)))
    return replace(images, train=images.train.take(wanted), test=images.test.take(np.arange(1)), validation=None)
