"""What a sweep will cost: runs, hours of a GPU, money; from runs that have finished, or from a short probe.

A run's wall clock is taken to be epochs times images: what one epoch of a finished run took, for each image that it trained on
(copies included), holds for every run of the same network on the same machine. Where several such runs differ, so does the
forecast: it says its range. To a call with a limit, runs under way tell as well, by their epochs so far.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from reglab.config import SPEED_KEYS, DataConfig, RunConfig, acting, flat, grown, identity
from reglab.errors import UserError
from reglab.tracking.record import RunRecord, State

TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257, "fashion_mnist": 60_000, "digits": 1_442}
"""Of the sources whose size is known beforehand."""

Probe = Callable[[RunConfig], float]
"""Trains some steps of a configuration; returns the wall seconds for each image of an epoch, its evaluations included."""


@dataclass(frozen=True)
class Forecast:
    """Of some runs. `low` and `high`: as the quickest and the slowest of the runs that it is taken from."""

    runs: int
    hours: float
    low: float
    high: float
    basis: str


def device(records: Iterable[RunRecord], named: str | None) -> str | None:
    """The GPU that most of these runs finished on, among those whose name contains `named`; None where none did."""
    names = Counter(record.environment.device for record in _usable(records) if record.environment)
    wanted = [name for name, _ in names.most_common() if (named or "").lower() in name.lower()]
    return wanted[0] if wanted else None


@dataclass(frozen=True)
class Pace:
    """`seconds` of wall clock for each image that a run trained on, its evaluations included."""

    run_id: str
    device: str
    finished: bool
    seconds: float


class Paces:
    """What runs took, to be asked about others that are like them."""

    def __init__(self) -> None:
        self._by_likeness: dict[Hashable, dict[Hashable, Pace]] = {}
        self._folders: dict[DataConfig, tuple[RunRecord, RunConfig]] = {}

    def add(self, record: RunRecord, name: Hashable = None) -> None:
        """Take in a run, or what is new of it: one of the same `name` (its id by default) is replaced.

        One that is not finished counts by its epochs so far. One that cannot be built here tells nothing.
        """
        epoch_seconds = _epoch_seconds(record)
        if epoch_seconds is None or not record.environment:
            return
        try:
            config = RunConfig.parse(record.config)
        except UserError:  # its technique may be of a package that is not installed here
            return
        self._folders.setdefault(config.data.on_any_machine(), (record, config))
        seconds = epoch_seconds / self.images_per_epoch(config)
        pace = Pace(record.run_id, record.environment.device, record.state == State.finished, seconds)
        for likeness in _likenesses(config):
            self._by_likeness.setdefault(likeness, {})[record.run_id if name is None else name] = pace

    def alike(self, config: RunConfig, on: str | None) -> list[Pace]:
        """Of the runs on this device, those that tell most about this one; runs under way where none of them is finished."""
        for likeness in _likenesses(config):
            found = [pace for pace in self._by_likeness.get(likeness, {}).values() if pace.device == on]
            if found:
                return [pace for pace in found if pace.finished] or found
        return []

    def images_per_epoch(self, config: RunConfig) -> int:
        """Raises UserError for a folder that no run has read yet."""
        return images_per_epoch(config, self._folders.values())

    def epoch_seconds(self, config: RunConfig, on: str | None) -> float | None:
        """Expected wall seconds of an epoch on this device; None where no run tells."""
        alike = self.alike(config, on)
        try:
            return statistics.median(pace.seconds for pace in alike) * self.images_per_epoch(config) if alike else None
        except UserError:
            return None


def forecast(configs: Sequence[RunConfig], records: Sequence[RunRecord], on: str | None, probe: Probe | None = None) -> Forecast:
    """What these runs will take on the device `on`, from the finished runs there, or from `probe` for what they do not cover.

    Raises UserError where neither says anything.
    """
    known = Paces()
    for number, record in enumerate(_usable(records)):
        known.add(record, number)  # a run may be there twice
    probed: dict[tuple[object, ...], float] = {}
    used: set[str] = set()
    hours, low, high = 0.0, 0.0, 0.0
    for config in configs:
        alike = known.alike(config, on)
        if alike:
            paces = [pace.seconds for pace in alike]
            used |= {pace.run_id for pace in alike}
        elif probe:
            if (network := _network(config)) not in probed:
                probed[network] = probe(config)
            paces = [probed[network]]
        else:
            where = f" on {on}" if on else ""
            mend = "run it once, or a short sweep with its network, or have it measured here with --probe"
            raise UserError(f"no finished run{where} is like the arm {config.label}, so nothing tells what it takes: {mend}")
        images = config.train.epochs * known.images_per_epoch(config) / 3600
        hours, low, high = hours + statistics.median(paces) * images, low + min(paces) * images, high + max(paces) * images
    parts = [f"{len(used)} finished {'run' if len(used) == 1 else 'runs'} on {on}"] if used else []
    parts += [f"a probe of {len(probed)} {'network' if len(probed) == 1 else 'networks'} here"] if probed else []
    basis = f"from {' and '.join(parts)}" if parts else "nothing is left to run"
    return Forecast(len(configs), hours, low, high, basis)


def images_per_epoch(config: RunConfig, known: Iterable[tuple[RunRecord, RunConfig]] = ()) -> int:
    """Images that an epoch trains on, copies included. Raises UserError for a folder that no run has read yet."""
    data = config.data
    images = TRAINING_IMAGES.get(data.source)
    if images is None:
        same = (record for record, other in known if other.data.on_any_machine() == data.on_any_machine())
        record = next(same, None)
        if record is None or record.environment is None:
            there = f"data.folder = {data.folder}" if data.source == "folder" else f"data.source = {data.source}"
            raise UserError(f"{there}: no run has read it yet, so the number of its images is not known")
        images = record.environment.train_images
    else:
        images -= data.validation
        images = min(images, data.train_limit or images)
    full, rest = divmod(images, config.train.batch_size)
    return full * grown(config, config.train.batch_size) + (grown(config, rest) if rest else 0)


def _usable(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [record for record in records if record.state == State.finished and record.summary and record.environment]


def _epoch_seconds(record: RunRecord) -> float | None:
    """Wall seconds of an epoch: of a finished run with all that is around them, of another as its epochs so far follow each other."""
    if record.state == State.finished and record.summary:
        return record.summary.time_wall_seconds / max(1, record.summary.epochs)
    walls = [row.time_wall_seconds for row in record.history]
    return (walls[-1] - walls[0]) / (len(walls) - 1) if len(walls) > 1 else walls[0] if walls else None


def _network(config: RunConfig) -> tuple[object, ...]:
    """What decides the time for an image, all else being equal."""
    slowing = tuple((each.name, each.slows(each.of(config))) for each in acting(config) if each.slows)
    return config.model, slowing, config.train.batch_size, config.train.precision, _speed(config)


def _speed(config: RunConfig) -> tuple[object, ...]:
    """What changes times and nothing else."""
    there = flat(config.model_dump())
    return tuple(there[key] for key in sorted(SPEED_KEYS))


def _likenesses(config: RunConfig) -> Iterator[Hashable]:
    """What runs can have in common, the most telling first: the same arm, else the same network, else the same model in other dress."""
    yield "arm", identity(config), _speed(config)
    yield "network", _network(config)
    yield "model", config.model
