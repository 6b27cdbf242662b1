"""What a run ran on, as its record tells it."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

import reglab
from reglab.data.images import ImageSet
from reglab.errors import UserError
from reglab.tracking.record import Environment


def pick_device(wanted: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`. Raises UserError where it is not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UserError(f"REGLAB_DEVICE = {wanted}: this machine shows {count} usable GPUs; set it to cpu or auto")
        if device.index is not None:
            torch.cuda.set_device(device)  # Triton and graphs work on the current one
    return device


def describe(device: torch.device, precision: str, compiled: bool, images: ImageSet) -> Environment:
    """Return what a run is made on, as its record tells it: device, versions, precision, images, commit."""
    cuda = device.type == "cuda"
    return Environment(
        device=torch.cuda.get_device_name(device) if cuda else cpu_name(),
        driver=driver() if cuda else None,
        cuda=torch.version.cuda if cuda else None,
        torch=torch.__version__,
        python=platform.python_version(),
        threads=torch.get_num_threads(),
        precision=precision,
        compiled=compiled,
        reglab=reglab.__version__,
        commit=_commit(),
        data=images.name,
        data_fingerprint=images.fingerprint,
        pixel_fingerprint=images.pixel_fingerprint,
        train_images=len(images.train),
        test_images=len(images.test),
        leaked_images=images.leaked,
        classes=len(images.classes),
    )


@cache
def cpu_name() -> str:
    """The processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name} ({cores} core{'s' * (cores != 1)})"


def driver() -> str | None:
    """The version of the GPU's; None where it does not say."""
    return _first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


@cache
def _commit() -> str | None:
    """The last commit that touched this package's code, with + where it has changed since; None outside a checkout."""
    root = str(Path(__file__).parents[2])
    if not (Path(root) / ".git").exists():
        return None
    commit = _first_line("git", "-C", root, "log", "-1", "--format=%h", "--abbrev=12", "--", "reglab")
    return commit and commit + ("+" if _first_line("git", "-C", root, "status", "--porcelain", "--", "reglab") else "")


def _first_line(*command: str) -> str | None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None
