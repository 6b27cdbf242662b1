"""What a run says whose batches do not fit into memory, its GPU's or the machine's: how many images would.

It ends with that. To train on smaller batches by itself would be another treatment under the same name.
"""

import bisect
import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from reglab.errors import ReglabError

SAFE = 0.9
"""Of the images that just fit: the smaller last batch of an epoch, and a step that counts dropout, want some memory more."""

_SAYINGS = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


def is_one(error: BaseException) -> bool:
    """Whether an error says that no memory is left: PyTorch's own kind, Python's, or what CUDA's libraries and the CPU's make of it."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and any(word in str(error) for word in _SAYINGS))


@contextmanager
def told_while_placing(device: torch.device) -> Iterator[None]:
    """Around what puts network and images on `device`. Raises ReglabError where they do not fit."""
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not is_one(error):
            raise
    raise ReglabError(f"out of {_name(device)}: the network and its images do not fit in the {free_gb(device):.1f} GB that are free")


def explained(device: torch.device, batch: int, attempt: Callable[[int], None]) -> str:
    """In a line: batches of so many images did not fit, and how many would. `attempt` takes what the run takes with so many."""
    _give_back()
    free, fitting = free_gb(device), _largest(batch, attempt)
    line = f"out of {_name(device)} with batches of {batch}"
    if fitting == batch:
        return f"{line}: they fit in the {free:.1f} GB that are free now, which another process may have held; run it again"
    if not fitting:
        return f"{line}: not even {min(batch, 8)} would fit in the {free:.1f} GB that are free"
    safe = max(8, int(fitting * SAFE) // 8 * 8)
    return f"{line}: about {safe} would fit in the {free:.1f} GB that are free (train.batch_size={safe}, which is another treatment)"


def free_gb(device: torch.device) -> float:
    """What this process may have of the device's memory, and what it holds already, in GB."""
    if device.type == "cpu":
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return (free if limit == resource.RLIM_INFINITY else min(free, limit)) / 1e9
    return (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)) / 1e9


def _name(device: torch.device) -> str:
    return "memory" if device.type == "cpu" else "GPU memory"


def _largest(batch: int, attempt: Callable[[int], None]) -> int:
    """The most images that fit, in eights up to `batch`; 0 where not even the fewest do."""
    sizes = [*range(8, batch, 8), batch]
    count = bisect.bisect_left(sizes, True, key=lambda size: not _fits(size, attempt))
    return sizes[count - 1] if count else 0


def _fits(size: int, attempt: Callable[[int], None]) -> bool:
    try:
        attempt(size)
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_one(error):
            raise
    finally:
        _give_back()
    return False


def _give_back() -> None:
    gc.collect()
    torch.cuda.empty_cache()
