"""How many runs at a time pay on a machine: real training processes, side by side, for some seconds.

One run seldom fills a GPU on images of 32x32 pixels. Two share it, and the sum of their images/s says whether that pays.
"""

import math
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch

from reglab.config import RunConfig
from reglab.data.images import ImageSet
from reglab.data.sources import load
from reglab.errors import ReglabError
from reglab.exits import killed_by
from reglab.processes import forks
from reglab.processes.signals import Signals
from reglab.settings import settings
from reglab.training import memory
from reglab.training.environment import pick_device
from reglab.training.run import Run

GOOD_ENOUGH = 0.95
"""Of the best throughput: fewer runs at a time that reach it are the better choice."""

WARM_SECONDS = 1.0
"""Of training before it is measured, after the run's own warm-up; twice."""

START_SECONDS = 300.0
"""How long the processes may take to start and to warm up."""

LATE_SECONDS = 60.0
"""How much longer than asked they may train: a single step may be long."""

_EPOCH_STEPS = 50
"""The least of an epoch: few images are repeated to it, so that its beginning weighs no more than in a study."""


@dataclass(frozen=True)
class Place:
    """Where one process trains: a GPU as CUDA_VISIBLE_DEVICES names it, cores (any, where it has none of its own), and its threads."""

    gpu: str | None
    cores: Collection[int]
    threads: int = 1


@dataclass(frozen=True)
class Throughput:
    """Of one process. `memory_gb`: what PyTorch reserved on the GPU, without the driver's share; on a CPU, the process's peak."""

    images_per_second: float
    memory_gb: float


@dataclass(frozen=True)
class Reading:
    """Of so many runs at a time: the throughput of each, or, in one line, why they do not fit."""

    runs: int
    throughputs: tuple[Throughput, ...] = ()
    fault: str | None = None

    @property
    def images_per_second(self) -> float:
        """Of all together."""
        return sum(each.images_per_second for each in self.throughputs)

    @property
    def memory_gb(self) -> float:
        """Of the largest."""
        return max((each.memory_gb for each in self.throughputs), default=0.0)


def choice(readings: Sequence[Reading]) -> Reading | None:
    """The fewest runs at a time whose throughput is within 5 % of the best; None where none fit."""
    fitting = sorted((reading for reading in readings if reading.fault is None), key=lambda reading: reading.runs)
    best = max((reading.images_per_second for reading in fitting), default=0.0)
    return next((reading for reading in fitting if reading.images_per_second >= GOOD_ENOUGH * best), None)


def measure(config: RunConfig, places: Sequence[Place], seconds: float) -> Reading:
    """Train a run in each place at once, all warm before the first begins. Every process has ended when this returns or raises."""
    with _crew(config, places, seconds) as crew:
        try:
            _answers(crew, START_SECONDS)
            for _, pipe in crew:
                pipe.send(None)
            return Reading(len(places), tuple(_answers(crew, seconds + LATE_SECONDS)))
        except (ReglabError, BrokenPipeError) as error:
            return Reading(len(places), fault=str(error))


@contextmanager
def _crew(config: RunConfig, places: Sequence[Place], seconds: float) -> Iterator[list[tuple[BaseProcess, Connection]]]:
    context = forks.context([__name__, "torch._dynamo"])  # which torch's optimizers import at their first use
    crew: list[tuple[BaseProcess, Connection]] = []
    try:
        with forks.undisturbed():
            for place in places:
                here, there = context.Pipe()
                process: BaseProcess = context.Process(target=_work, args=(config, place, seconds, there), daemon=True)
                process.start()
                there.close()  # else its end would not be seen here
                crew.append((process, here))
        yield crew
    finally:
        for process, pipe in crew:
            process.kill()
            process.join()
            pipe.close()


def _answers(crew: Sequence[tuple[BaseProcess, Connection]], seconds: float) -> list[Any]:
    """What each process says next. Raises ReglabError where one has died, cannot go on, or says nothing for so long."""
    deadline, said = time.monotonic() + seconds, []
    for process, pipe in crew:
        if not pipe.poll(max(0.0, deadline - time.monotonic())):
            raise ReglabError(f"no answer within {seconds:g} s")
        try:
            said.append(pipe.recv())
        except (EOFError, ConnectionResetError):
            process.join()
            code = process.exitcode or 0
            raise ReglabError(killed_by(code) or f"exit code {code}") from None
        if isinstance(said[-1], str):
            raise ReglabError(said[-1])
    return said


def _work(config: RunConfig, place: Place, seconds: float, pipe: Connection) -> None:
    try:
        run = _run(config, place)
        run.warm_up()
        for _ in range(2):  # the first may hold little more than a slow first step
            _images_per_second(run, WARM_SECONDS)
        pipe.send(None)
        pipe.recv()
        speed = _images_per_second(run, seconds)
        pipe.send(Throughput(speed, _memory_gb(run.device)))
    except Exception as error:  # above all a GPU whose memory is full
        with suppress(OSError):  # nobody listens any more
            pipe.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _run(config: RunConfig, place: Place) -> Run:
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    if place.cores:
        os.sched_setaffinity(0, place.cores)
    torch.set_num_threads(place.threads)
    return Run(config, _repeated(load(config.data, settings().cache), config.train.batch_size), pick_device(settings().device))


def _repeated(images: ImageSet, batch_size: int) -> ImageSet:
    there = len(images.train)
    times = math.ceil(_EPOCH_STEPS * batch_size / there)
    return replace(images, train=images.train.take(np.tile(np.arange(there), times)))


def _images_per_second(run: Run, seconds: float) -> float:
    """Train on for so long, or a step, without an evaluation between epochs."""
    images, signals = 0, Signals()
    start = time.perf_counter()
    while images == 0 or time.perf_counter() < start + seconds:
        run.leave_epoch()
        run.train_until(start + seconds, signals)
        images += run.sums.images
    return images / (time.perf_counter() - start)


def _memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    return memory.peak_gb()
