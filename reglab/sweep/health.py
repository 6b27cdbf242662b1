"""Whether this machine should take another run: asked before each, so that a sick machine does not burn them."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from reglab.errors import MachineError, in_one_line, is_full, without_path
from reglab.settings import settings, unwritable_cache
from reglab.tracking import storage

FREE_BYTES = 2_000_000_000
"""A full-width ResNet-50 with Adam's moments is 0.3 GB, twice while a checkpoint is replaced; W&B's files and logs come to it."""

_TIMEOUT_SECONDS = 10.0
_ASKABLE = re.compile(r"\d+|GPU-[\w-]+")
"""As nvidia-smi names a GPU; parts of one (MIG) it cannot be asked about."""


def fault(folder: Path, gpu: str | None) -> str | None:
    """What is wrong with the disk of `folder`, the place of checkpoints, the cache, or the GPU, in one line; None for a sound machine."""
    if fault := _disk_fault(folder) or _checkpoints_fault(folder):
        return fault
    if unwritable := cache_fault():
        return str(unwritable)
    return _gpu_fault(gpu) if gpu else None


def cache_fault() -> MachineError | None:
    """Why no images can be kept in the cache; None, too, for one that is full, or cannot be written and holds some."""
    cache = settings().cache
    try:
        if any((cache / "images").glob("*.npz")):
            return None
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return None
    except OSError as error:
        return None if is_full(error) else unwritable_cache(cache, without_path(error))


def mps_is_up() -> bool | None:
    """Whether the control daemon of CUDA MPS, by which the processes of a GPU share it at the same moment, runs; None without MPS."""
    try:
        asked = subprocess.run(
            ["nvidia-cuda-mps-control"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            input="get_server_list\n",
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError:
        return None
    return asked.returncode == 0 and "cannot find" not in (asked.stdout + asked.stderr).lower()


def _disk_fault(folder: Path) -> str | None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    return f"{folder}: {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:g} are needed" if free < FREE_BYTES else None


def _checkpoints_fault(folder: Path) -> str | None:
    probe = storage.probe(folder)
    try:
        probe.write(lambda stream: stream.write(b"writable"))
        probe.remove()
    except Exception as error:  # each store has kinds of its own
        return f"no checkpoint can be written ({in_one_line(error)})"
    return None


def _gpu_fault(gpu: str) -> str | None:
    """A GPU that fell off the bus, or that the driver lost, is no longer answered for."""
    if not _ASKABLE.fullmatch(gpu):
        return None
    command = ["nvidia-smi", "-i", gpu, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"GPU {gpu}: nvidia-smi does not answer"
    except OSError as error:
        return f"GPU {gpu}: nvidia-smi cannot be run ({error.strerror})"
    said = " ".join((asked.stdout + asked.stderr).split())
    return f"GPU {gpu}: {said}" if asked.returncode or "error" in said.lower() else None
