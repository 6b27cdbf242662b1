"""`reglab doctor`: what this machine has, what it lacks, and how many runs at a time pay on it."""

import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from reglab.cli.commands import MOST_AT_ONCE
from reglab.console import say, show, tell
from reglab.errors import ReglabError, UserError
from reglab.exits import FAILED, INTERRUPTED
from reglab.extras import how, missing
from reglab.processes.signals import Interrupted, Signals
from reglab.tracking import client

if TYPE_CHECKING:
    from reglab.config import RunConfig
    from reglab.running.capacity import Place, Reading

PYTHONS = ((3, 11), (3, 14))
"""The oldest that is supported, and the newest that it is tested with."""

TORCH = (2, 11)
"""The oldest that is supported."""

MEASURE_SECONDS = 5.0
"""Of training, for each number of runs at a time."""

CPU_WIDTH = 16

BUSY = 0.5
"""Processes waiting for each core, over the last minute, that disturb a measurement."""


_MPS = "`nvidia-cuda-mps-control -d`"


@dataclass(frozen=True)
class Check:
    """One thing about the machine. `advice`: what to do about it; `fatal`: until then no run trains here."""

    what: str
    found: str
    advice: str | None = None
    fatal: bool = False

    def __str__(self) -> str:
        mark = "FAULT" if self.fatal else "note" if self.advice else "ok"
        return f"{mark:6}{self.what:13}{self.found}" + (f": {self.advice}" if self.advice else "")


def doctor(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="The run to measure with.")] = None,
    runs: Annotated[
        str | None,
        typer.Option("--measure", metavar="1,2,4", help="Train so many runs at a time, some seconds each, and say which number pays."),
    ] = None,
) -> None:
    """Look at this machine and say what to do: versions, GPU, images, W&B, disk, what is unsafe. Exit code 1 where no run could train."""
    counts = _counts(runs)
    config = _config(overrides or [])
    if overrides and not counts:
        raise UserError(f"{overrides[0]}: it is for the run to measure with; add --measure 1,2,4")
    unwell = False
    for check in checks():
        tell(check)
        unwell |= check.fatal
    if unwell:
        raise typer.Exit(FAILED)
    if counts:
        _measure(config, counts)


def checks() -> Iterator[Check]:
    """Everything that there is to say, in turn; nothing after it if torch cannot be imported."""
    yield _python()
    if names := missing():
        yield Check("training", f"not possible, for want of {', '.join(names)}", how("train"), fatal=True)
        return
    try:
        import torch
    except (ImportError, OSError) as error:  # a library of CUDA that is not there is the latter
        yield Check("PyTorch", f"cannot be imported ({error})", f"install torch {_version(TORCH)} or newer", fatal=True)
        return
    yield _torch(torch.__version__)
    yield from _devices()
    yield _images()
    yield _wandb()
    yield _disk()
    yield from _safety()


def _python() -> Check:
    oldest, newest = PYTHONS
    if oldest <= sys.version_info[:2] <= newest:
        return Check("Python", platform.python_version())
    advice = f"reglab is tested with {_version(oldest)} to {_version(newest)}"
    return Check("Python", platform.python_version(), advice, fatal=sys.version_info[:2] < oldest)


def _torch(version: str) -> Check:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    advice = None if numbers >= TORCH else f"install torch {_version(TORCH)} or newer"
    return Check("PyTorch", version, advice, fatal=advice is not None)


def _version(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _devices() -> Iterator[Check]:
    """The GPUs, or the processor, and the precision there."""
    import torch

    from reglab.settings import settings
    from reglab.sweep.machine import cores, visible_gpus
    from reglab.training.environment import driver, pick_device
    from reglab.training.step import Precision

    try:
        device = pick_device(settings().device)
    except UserError as error:
        yield Check("GPU", "none that REGLAB_DEVICE names", str(error), fatal=True)
        return
    if device.type == "cuda":
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            yield Check(f"GPU {number}", f"{about.name}, {about.total_memory / 1e9:.0f} GB, driver {driver() or 'unknown'}")
        yield _mps()
    else:
        unused = visible_gpus() and f"the driver shows a GPU that torch {torch.__version__} cannot use; install a torch for CUDA"
        yield Check("GPU", f"none, training runs on the CPU, {len(cores())} cores", unused or None)
    yield Check("precision", f"auto is {Precision.resolve('auto', device).name}")


def _mps() -> Check:
    from reglab.sweep.health import mps_is_up

    up = mps_is_up()
    if up is None:
        return Check("MPS", "not installed, runs of one GPU take turns on it")
    advice = f"{_MPS} starts it, for several runs at a time on one GPU"
    return Check("MPS", "up" if up else "not up", None if up else advice)


def _images() -> Check:
    from reglab.data import published
    from reglab.settings import settings
    from reglab.sweep.health import cache_fault

    cache = settings().cache
    if fault := cache_fault():
        return Check("images", "none", str(fault), fatal=True)
    try:
        if published.is_here("cifar10", cache):
            return Check("images", f"CIFAR-10 is in {cache}")
    except UserError as error:
        return Check("images", f"CIFAR-10 is not in {cache}", f"{error}; else the first run downloads it again")
    downloads = cache / "downloads"
    advice = f"the first run downloads it; without a network, put cifar-10-python.tar.gz into {downloads}, or use data.source=digits"
    return Check("images", f"CIFAR-10 is not in {cache}", advice)


def _wandb() -> Check:
    """The network is asked only where runs would be online, too."""
    try:
        mode, key = client.mode(), client.has_key()
    except ReglabError as error:
        return Check("W&B", "not set up", str(error), fatal=True)
    found = f"{mode}, {'a key' if key else 'no key'} is configured"
    if mode == "online":
        from reglab.tracking.wandb_api import default_entity

        try:
            return Check("W&B", f"{found}, account {default_entity()}")
        except ReglabError as error:
            return Check("W&B", found, f"{error}; WANDB_MODE=offline trains without it", fatal=True)
    if mode == "offline" and not key:
        return Check("W&B", found, "`wandb login` sets one; until then runs stay here, and `reglab sync` sends them later")
    return Check("W&B", found)


def _disk() -> Check:
    from reglab.settings import settings
    from reglab.sweep import health

    runs, shared = settings().runs, settings().checkpoints
    try:
        fault = health.fault(runs, None)
    except (ReglabError, OSError) as error:
        fault = str(error)
    checkpoints = f"checkpoints to {shared or 'the same'}"
    if fault:
        advice = f"{fault}; make room, or set REGLAB_RUNS or REGLAB_CHECKPOINTS to another place"
        return Check("disk", f"runs go to {runs}, {checkpoints}", advice, fatal=True)
    return Check("disk", f"runs go to {runs}, {shutil.disk_usage(runs).free / 1e9:,.0f} GB free, {checkpoints}")


def _safety() -> Iterator[Check]:
    """What others could read or change: on this machine, and on the way to W&B's server."""
    unsafe = [*_keys_that_others_read(), *_folders_that_others_write()]
    with suppress(ReglabError):  # settings that W&B's client does not take are said elsewhere
        unsafe += filter(None, [client.in_the_clear()])
    for line in unsafe:
        found, _, advice = line.partition(": ")
        yield Check("safety", found, advice)
    if not unsafe:
        yield Check("safety", "nobody else reads the key or writes where runs go, as far as this can tell")


def _keys_that_others_read() -> Iterator[str]:
    """The files in which W&B's client, or reglab, looks for a key."""
    for path in (Path(os.environ.get("NETRC") or "~/.netrc").expanduser(), Path("~/_netrc").expanduser(), Path(".env")):
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield f"others on this machine may read {path}, where keys are: chmod 600 {path}"


def _folders_that_others_write() -> Iterator[str]:
    from reglab.settings import settings

    for variable, path in (("REGLAB_RUNS", settings().runs), ("REGLAB_CACHE", settings().cache)):
        there = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), path)
        if there.exists() and there.stat().st_mode & stat.S_IWOTH:
            yield f"everybody on this machine may write in {there}, where {variable} is: chmod o-w {there}, or set {variable} elsewhere"


# Runs at a time


def _counts(words: str | None) -> list[int]:
    if words is None:
        return []
    try:
        counts = sorted({int(word) for word in words.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1 or counts[-1] > MOST_AT_ONCE:
        raise UserError(f"--measure {words}: give numbers of runs at a time, such as 1,2,4")
    return counts


def _config(overrides: list[str]) -> "RunConfig":
    """The network as configured, on digits: all images have the same size. A processor would take minutes for it: there, a narrow one."""
    from reglab.config import RunConfig, with_overrides
    from reglab.sweep.machine import visible_gpus

    usual = {"data": {"source": "digits"}} | ({} if visible_gpus() else {"model": {"width": CPU_WIDTH}})
    return RunConfig.parse(with_overrides(usual, overrides))


def _measure(config: "RunConfig", counts: list[int]) -> None:
    from reglab.data.sources import load
    from reglab.running import capacity
    from reglab.settings import settings
    from reglab.sweep.machine import cores

    load(config.data, settings().cache)  # decoded once, and a fault of theirs is said at once
    if (load_now := os.getloadavg()[0]) > BUSY * len(cores()):
        say(f"note: the machine is busy (load {load_now:.1f} on {len(cores())} cores): what is measured now will be too low")
    say(f"measuring {config.label}, width {config.model.width}, batches of {config.train.batch_size}")
    readings: list[Reading] = []
    try:
        with Signals() as signals, signals.at_once():
            for count in counts:
                say(f"{count} at a time")
                readings.append(capacity.measure(config, _places(count), MEASURE_SECONDS))
                if readings[-1].fault:  # nor do more
                    break
    except Interrupted:  # its processes have ended
        raise typer.Exit(INTERRUPTED) from None
    show(table(readings))
    if not (chosen := capacity.choice(readings)):
        raise ReglabError(f"not even {counts[0]} at a time trains here: {readings[0].fault}")
    tell(verdict(chosen.runs, _mps().advice if _places(1)[0].gpu else None))


def _places(count: int) -> list["Place"]:
    """Those of the first GPU, or of the processor, with the cores and threads that an agent would give to each."""
    from reglab.running.capacity import Place
    from reglab.sweep.machine import cores, threads, visible_gpus
    from reglab.sweep.slots import slots

    gpus = visible_gpus()
    return [Place(slot.gpu, slot.cores, threads(slot.cores)) for slot in slots(gpus, count, cores()) if not gpus or slot.gpu == gpus[0]]


def table(readings: list["Reading"]) -> Table:
    """A row for each number of runs at a time; the ratio is to the first."""
    view = Table("runs at a time", "images/s together", "ratio", "GB each", box=None, pad_edge=False)
    for reading in readings:
        if reading.fault:
            view.add_row(str(reading.runs), f"does not fit: {reading.fault}")
        else:
            ratio = reading.images_per_second / readings[0].images_per_second
            view.add_row(str(reading.runs), f"{reading.images_per_second:,.0f}", f"{ratio:.2f}", f"{reading.memory_gb:.1f}")
    return view


def verdict(runs: int, mps: str | None) -> str:
    """What pays, and how to have it. `mps`: what to do for MPS, if anything."""
    line = f"{runs} at a time pay{'s' if runs == 1 else ''} here: `reglab agent ENTITY/PROJECT/SWEEP --per-gpu {runs}`"
    return line + (f" ({mps}; measure again with it)" if mps and runs > 1 else "")
