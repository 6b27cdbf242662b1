"""What a sweep will cost: runs, hours of a GPU, money; from runs that have finished, or from a short probe.

A run's wall clock is taken to be epochs times images: what one epoch of a finished run took, for each image that it trained on
(copies included), holds for every run of the same network on the same machine. Where several such runs differ, so does the
forecast: it says its range.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reglab.config import RunConfig, identity
from reglab.errors import UserError
from reglab.tracking.record import RunRecord, State

TRAINING_IMAGES = {"cifar10": 50_000, "digits": 1_442}
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


def forecast(configs: Sequence[RunConfig], records: Sequence[RunRecord], on: str | None, probe: Probe | None = None) -> Forecast:
    """What these runs will take on the device `on`, from the records there, or from `probe` for what they do not cover.

    Raises UserError where neither says anything.
    """
    there = [record for record in _usable(records) if record.environment and record.environment.device == on]
    parsed = [(record, RunConfig.parse(record.config)) for record in there]
    probed: dict[tuple[object, ...], float] = {}
    used: set[str] = set()
    hours, low, high = 0.0, 0.0, 0.0
    for config in configs:
        alike = _alike(config, parsed)
        if alike:
            paces = [_pace(record, known, parsed) for record, known in alike]
            used |= {record.run_id for record, _ in alike}
        elif probe:
            if (network := _network(config)) not in probed:
                probed[network] = probe(config)
            paces = [probed[network]]
        else:
            raise UserError(f"no finished run on {on or 'any GPU'} is like {config.label}: run one first, or let --probe measure here")
        images = config.train.epochs * images_per_epoch(config, parsed) / 3600
        hours, low, high = hours + statistics.median(paces) * images, low + min(paces) * images, high + max(paces) * images
    parts = [f"{len(used)} finished {'run' if len(used) == 1 else 'runs'} on {on}"] if used else []
    parts += [f"a probe of {len(probed)} {'network' if len(probed) == 1 else 'networks'} here"] if probed else []
    return Forecast(len(configs), hours, low, high, " and ".join(parts) or "nothing is left to run")


def images_per_epoch(config: RunConfig, known: Iterable[tuple[RunRecord, RunConfig]] = ()) -> int:
    """Images that an epoch trains on, cutout's copies included. Raises UserError for a folder that no run has read yet."""
    data = config.data
    images = TRAINING_IMAGES.get(data.source)
    if images is None:
        same = (record for record, other in known if other.data == data)
        record = next(same, None)
        if record is None or record.environment is None:
            raise UserError(f"data.folder = {data.folder}: no run has read it yet, so the number of its images is not known")
        images = record.environment.train_images
    else:
        images -= data.validation
        images = min(images, data.train_limit or images)
    batches = -(-images // config.train.batch_size)
    return images + config.cutout.images * (images if config.cutout.per == "image" else batches)


def _usable(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [record for record in records if record.state == State.finished and record.summary and record.environment]


def _pace(record: RunRecord, config: RunConfig, known: Iterable[tuple[RunRecord, RunConfig]]) -> float:
    """Wall seconds of a finished run for each image that it trained on."""
    assert record.summary
    return record.summary.time_wall_seconds / record.summary.epochs / images_per_epoch(config, known)


def _network(config: RunConfig) -> tuple[object, ...]:
    """What decides the time for an image, all else being equal."""
    layers = config.batchnorm.layers, len(config.dropout.probabilities), config.agc.enabled
    return config.model, layers, config.train.batch_size, config.train.precision, config.train.compile


def _alike(config: RunConfig, known: Sequence[tuple[RunRecord, RunConfig]]) -> list[tuple[RunRecord, RunConfig]]:
    """The runs that tell most about this one: the same arm, else the same network, else the same model in other dress."""
    grades = (identity, _network, lambda each: each.model)
    for grade in grades:
        if found := [pair for pair in known if grade(pair[1]) == grade(config)]:
            return found
    return []
