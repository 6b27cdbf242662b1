"""Memory of the process: its peak as the kernel counts it, and blocks that stay with it."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from reglab.training import memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def in_a_process(code):
    """What `code` prints, as JSON."""
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_the_peak_is_this_processs_own_and_holds_what_was_freed():
    held = bytearray(800_000_000)
    del held
    before, after = in_a_process("""
from reglab.training import memory
before = memory.peak_gb()
held = bytearray(300_000_000)
del held
print([before, memory.peak_gb()])
""")
    assert before < memory.peak_gb() - 0.3
    assert 0.29 < after - before < 0.32


@pytest.mark.parametrize(("platform", "told"), [("linux", 3_000_000), ("freebsd14", 3_000_000), ("darwin", 3_072_000_000)])
def test_where_the_kernel_does_not_tell_the_peak_getrusage_does_in_the_unit_of_its_system(monkeypatch, platform, told):
    monkeypatch.setattr(memory.Path, "read_text", lambda self, encoding: "VmPeak: 1 kB")
    monkeypatch.setattr(memory.sys, "platform", platform)
    monkeypatch.setattr(memory.resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=told))
    assert memory.peak_gb() == pytest.approx(3.072)


FAULTS = """
import ctypes, json, resource
from reglab.training.memory import keep_freed
libc, size = ctypes.CDLL(None), 4_000_000
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
told = {told}
def step():
    held = [libc.malloc(size) for _ in range(100)]
    for block in held:
        libc.memset(block, 1, size)
    for block in reversed(held):
        libc.free(block)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(json.dumps([told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""
"""Blocks as a training step has them: allocated forward, freed backward."""


@pytest.mark.slow
@glibc
def test_freed_blocks_are_used_again():
    told, few = in_a_process(FAULTS.format(told="keep_freed()"))
    _, many = in_a_process(FAULTS.format(told="None"))
    assert told is True
    assert few < many / 10


def test_elsewhere_nothing_is_told(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was called"))
    assert memory.keep_freed() is False


CPU = torch.device("cpu")


def flags(address):
    """What the kernel knows of the mapping that holds an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(bound, 16) for bound in words[0].split("-"))
            inside = start <= address < end
        elif inside and words[0] == "VmFlags:":
            return words[1:]
    return []


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="needs Linux with large pages")
def test_what_is_streamed_through_asks_for_large_pages():
    made = memory.zeros(2, 20_000_000, device=CPU)
    assert "hg" in flags(made.data_ptr() + made.nbytes // 2)
    ordinary = torch.zeros(20_000_000)
    assert "hg" not in flags(ordinary.data_ptr() + ordinary.nbytes // 2)


@pytest.mark.parametrize("shape", [(2, 64), (3, 5), (0,)])
@pytest.mark.parametrize("asks", [True, False])
def test_zeros_are_zeros_of_any_size_wherever_they_lie(shape, asks, monkeypatch):
    if not asks:
        monkeypatch.delattr(memory.mmap, "MADV_HUGEPAGE", raising=False)
    made = memory.zeros(*shape, device=CPU)
    assert (made.shape, made.dtype, made.count_nonzero()) == (shape, torch.float32, 0)
