"""Memory of this process on the host: what it has held at most, and what it keeps."""

import ctypes
import mmap
import platform
import resource
import sys
from pathlib import Path

import torch
from torch import Tensor

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 2**31 - 1}
"""What glibc's mallopt takes at most, in bytes: 4 MiB × the bytes of a long, and an int."""


def keep_freed() -> bool:
    """Keep memory that was freed for the next allocation, from now on; returns whether the C library could be told so.

    Training on a CPU allocates activations of some MB by the hundred in each step. As it comes, glibc hands such blocks
    back to the kernel, which fills the next ones with zeros again, page by page.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    told = [mallopt(name, value) for name, value in _LARGEST.items()]
    return all(told)


def zeros(*shape: int, device: torch.device) -> Tensor:
    """Return fp32 zeros of any shape, for what each step streams through: on a CPU in pages of 2 MiB, where the kernel gives such.

    With ordinary pages a pass over a network's weights and gradients looks up an address for every 4 KiB.
    """
    made = torch.empty(*shape, device=device)
    if device.type == "cpu" and (huge := getattr(mmap, "MADV_HUGEPAGE", None)):  # Linux's
        start, end = made.data_ptr(), made.data_ptr() + made.nbytes
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(max(end - first, 0)), huge)  # advice: it may fail
    return made.zero_()


def peak_gb() -> float:
    """The most memory that this process has held, in GB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e9
    except (OSError, StopIteration):  # not Linux. What follows counts the process that started this one, too
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def device_peak_gb(device: torch.device) -> float:
    """The most memory that this process has held of what it trains in, in GB: of the GPU's, or of the host's."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else peak_gb()
