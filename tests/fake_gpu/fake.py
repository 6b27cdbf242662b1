"""A GPU that is not there: PyTorch's own CUDA code runs, its kernels do nothing, and whatever the device is asked for is told.

Dispatch, allocator, graph capture, generators, and Triton's launches are real; numbers that a kernel would have computed are
zeros, or whatever lay there. `device/` holds the stand-in: a library to be preloaded for CUDA's runtime, cuBLAS, cuDNN and CUPTI, and
one for the driver. A process loads CUDA once, so that it is another process, started in `environment()`, that has the fake.
"""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

DEVICE = Path(__file__).parent / "device"
RUNTIME, DRIVER = "libfakegpu.so", "libcuda.so.1"
SOURCES = {RUNTIME: ("runtime", "streams", "blas", "dnn", "profiler"), DRIVER: ("driver",)}
WORK = ("kernel", "product", "convolution", "normalization", "grid", "copy", "fill")
"""What a graph's nodes are, or what runs beside it."""


def is_here() -> bool:
    """Whether this process has it."""
    return RUNTIME in os.environ.get("LD_PRELOAD", "")


def missing() -> str | None:
    """Why it cannot be built here; None where it can."""
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    if not shutil.which("g++"):
        return "there is no C++ compiler (g++)"
    if not all((folder / header).exists() for folder, header in zip(_headers(), _WANTED, strict=True)):
        return "this torch came without CUDA's headers"
    return None


_WANTED = ("cuda_runtime_api.h", "cudnn.h", "crt/host_defines.h")


def _headers() -> list[Path]:
    """PyTorch's wheels bring them; Triton's have what that of the runtime lacks."""
    nvidia, triton = (_package(name) for name in ("nvidia", "triton"))
    major = (torch.version.cuda or "").partition(".")[0]
    return [nvidia / f"cu{major}/include", nvidia / "cudnn/include", triton / "backends/nvidia/include"]


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    return Path(next(iter((spec and spec.submodule_search_locations) or ["missing"])))


@cache
def built() -> Path:
    """The folder of its libraries, made once for these sources and this torch."""
    sources = sorted(path for path in DEVICE.rglob("*") if path.is_file())
    key = hashlib.sha256(b"".join([torch.__version__.encode(), str(_headers()[0]).encode(), *(path.read_bytes() for path in sources)]))
    folder = Path(tempfile.gettempdir()) / f"reglab-fake-gpu-{os.getuid()}-{key.hexdigest()[:16]}"
    if not folder.exists():
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-"))
        for library, names in SOURCES.items():
            _compile(made / library, [DEVICE / f"{name}.cpp" for name in names])
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(made)
    return folder


def _compile(library: Path, sources: Sequence[Path]) -> None:
    command = ["g++", "-O1", "-fPIC", "-shared", "-std=c++17", "-w", f"-I{DEVICE}", *(f"-I{path}" for path in _headers())]
    command += [*map(str, sources), "-o", str(library), f"-Wl,-soname,{library.name}", "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def environment(**more: str) -> dict[str, str]:
    """Of a process that has it."""
    folder = built()
    found = {"LD_PRELOAD": str(folder / RUNTIME), "LD_LIBRARY_PATH": str(folder), "TRITON_LIBCUDA_PATH": str(folder)}
    kept = {"TRITON_CACHE_DIR": str(folder / "triton"), "CUDA_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **found, **kept, **more}


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.fake_used.restype = ctypes.c_size_t
    library.fake_allocations.restype = ctypes.c_long
    library.fake_set_total.argtypes = [ctypes.c_size_t]
    library.fake_refuse.argtypes = [ctypes.c_long]
    return library


class Entry(NamedTuple):
    """Something that the device was asked for."""

    stream: int  # 0 is the default one; -1 for what is on none
    capture: int  # its number; 0 outside
    kind: str  # one of WORK, "graph" (a launch), "begin" and "end" of a capture, "wait", "forbidden", "allocate", "refused", "free",
    what: str  # or "after": what comes on this stream waits for what is on the stream of this number


class Log:
    """What the device was asked for while it was open."""

    entries: list[Entry]

    def __init__(self, folder: Path):
        self._path = folder / "fake-gpu-log"

    def __enter__(self) -> "Log":
        _library().fake_log_start()
        return self

    def __exit__(self, *error: object) -> None:
        _library().fake_log_end(str(self._path).encode())
        lines = [line.split("\t", 3) for line in self._path.read_text().splitlines()]
        self.entries = [Entry(int(stream), int(capture), kind, what) for stream, capture, kind, what in lines]

    def of(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    def beside_captures(self) -> list[Entry]:
        """Work that was asked for during a capture, and is in none."""
        found, captures = [], 0
        for entry in self.entries:
            captures += (entry.kind == "begin") - (entry.kind == "end")
            if captures and entry.kind in WORK and not entry.capture:
                found.append(entry)
        return found

    @property
    def nodes(self) -> list[int]:
        """Of each capture that ended well."""
        return [int(entry.what) for entry in self.of("end") if entry.what.isdigit()]


@contextmanager
def answering(value: bool) -> Iterator[None]:
    """What a comparison on the device comes to: its kernel did nothing. Elsewhere it is true."""
    _library().fake_answer(int(value))
    try:
        yield
    finally:
        _library().fake_answer(1)


@contextmanager
def memory(total: int) -> Iterator[None]:
    """A device of so many bytes; elsewhere it is 80 GiB."""
    _library().fake_set_total(total)
    try:
        yield
    finally:
        _library().fake_set_total(80 << 30)


def used() -> int:
    """Bytes that are allocated on the device."""
    return _library().fake_used()


def allocations() -> int:
    """How many have been asked for so far."""
    return _library().fake_allocations()


def refuse(number: int) -> None:
    """Have no memory for one allocation, 1 being the next, and what PyTorch tries before it gives up; 0 refuses none."""
    _library().fake_refuse(number)
