"""Arms that train an epoch each in turns, round after round: their times are of one machine at one time, whatever else it does later.

Every turn builds its arm anew, so that none keeps where its weights came to lie in memory, and as many arms as a study has find room.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import torch

from reglab.config import IDENTITY_VERSION, DataConfig, RunConfig, identity
from reglab.data.images import ImageSet
from reglab.data.sources import load
from reglab.errors import ReglabError
from reglab.processes.signals import Signals
from reglab.running.threads import take_threads
from reglab.settings import settings
from reglab.tracking.record import Environment
from reglab.tracking.turns import Turns
from reglab.training import environment, shortage
from reglab.training.environment import pick_device
from reglab.training.run import Run

ROUNDS = 5

SECONDS = 2.0
"""A turn of the first arm takes about as long, where that is less than all images."""


@dataclass(frozen=True)
class _Turn:
    seconds: float
    cpu_share: float | None
    environment: Environment


@dataclass
class Session:
    """Some arms that take turns, by what reports call them, over so many rounds, with so many of the training images each time.

    None of them: as many as the first arm trains on in about two seconds, in whole batches of all arms.
    """

    arms: Mapping[str, RunConfig]
    rounds: int = ROUNDS
    images: int | None = None
    _took: dict[str, list[_Turn]] = field(default_factory=dict, init=False)

    def run(self, told: Callable[[int, int], None] = lambda done, total: None) -> Iterator[list[Turns]]:
        """After each round, what every arm took so far; `told` is given the turns that are done, and their number.

        Another arm is the first in each round. Raises UserError for images that cannot be had, ReglabError where the memory does not do.
        """
        take_threads()
        began, device = datetime.now(UTC), pick_device(settings().device)
        sets = {name: _images(config.data) for name, config in self.arms.items()}
        self.images = self.images or _as_many(list(self.arms.values()), next(iter(sets.values())), device)
        names, done = list(self.arms), 0
        for number in range(self.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                self._took.setdefault(name, []).append(_turn(self.arms[name], sets[name], self.images, device))
                told(done := done + 1, len(names) * self.rounds)
            yield [self._told(name, began, sets[name]) for name in names]

    def _told(self, name: str, began: datetime, images: ImageSet) -> Turns:
        config, took = self.arms[name], self._took[name]
        trained_on = min(self.images or 0, len(images.train))
        return Turns(
            session=began,
            label=config.label,
            identity=identity(config),
            identity_version=IDENTITY_VERSION,
            config=config.model_dump(mode="json"),
            environment=took[0].environment,
            images=trained_on,
            seconds=[turn.seconds * len(images.train) / trained_on for turn in took],
            cpu_shares=[turn.cpu_share for turn in took],
        )


@cache
def _images(data: DataConfig) -> ImageSet:
    """Read once for all arms that have the same."""
    return load(data, settings().cache)


def _as_many(arms: list[RunConfig], images: ImageSet, device: torch.device) -> int:
    """Whole batches of all arms that the first trains on in about `SECONDS`, one at least."""
    batches = math.lcm(*(config.train.batch_size for config in arms))
    step = batches if batches <= len(images.train) else arms[0].train.batch_size
    _turn(arms[0], images, step, device)
    took = _turn(arms[0], images, step, device)  # what the first does once for all is none of it
    return max(1, min(round(SECONDS / took.seconds), len(images.train) // step)) * step


def _turn(config: RunConfig, images: ImageSet, count: int, device: torch.device) -> _Turn:
    """An epoch of a run that is built for it, on the first so many training images."""
    run = None
    try:
        with shortage.told_while_placing(device):
            run = Run(config, _first(images, count), device)
        run.warm_up()
        run.train_until(math.inf, Signals())
        where = environment.describe(device, run.precision.name, run.compiled, images)
        return _Turn(run.clock.train_seconds, run.clock.cpu_share, where.model_copy(update={"captured": run.captured}))
    except (RuntimeError, MemoryError) as error:
        if run is None or not shortage.is_one(error):
            raise
    raise ReglabError(f"{config.label}: {run.shortage()}")


def _first(images: ImageSet, count: int) -> ImageSet:
    one = np.arange(1)  # nothing is evaluated
    return replace(images, train=images.train.take(np.arange(min(count, len(images.train)))), test=images.test.take(one), validation=None)
