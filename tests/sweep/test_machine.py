import subprocess

import pytest

from reglab.settings import settings
from reglab.sweep import machine


@pytest.mark.parametrize(
    ("names", "device", "found"),
    [
        ("0,1", "auto", ["0", "1"]),
        ("0, 1 ", "auto", ["0", "1"]),
        ("1,-1,0", "auto", ["1"]),  # CUDA shows those before the first that is none
        ("-1", "auto", []),
        ("GPU-1c0d, MIG-7c3e", "auto", ["GPU-1c0d", "MIG-7c3e"]),
        ("0,1", "cpu", []),
        ("", "auto", []),
    ],
)
def test_the_gpus_are_those_that_the_environment_shows(gpus, names, device, found):
    gpus(names, device)
    assert machine.visible_gpus() == found


@pytest.mark.parametrize(
    ("code", "said", "found"), [(0, "GPU-1c0d\nGPU-9a2b\n", ["GPU-1c0d", "GPU-9a2b"]), (9, "no devices were found\n", [])]
)
def test_else_the_gpus_are_the_drivers_by_names_that_no_order_changes(gpus, monkeypatch, code, said, found):
    asked = []

    def run(command, **options):
        asked.extend(command)
        return subprocess.CompletedProcess(command, code, said)

    gpus(None)
    monkeypatch.setattr(subprocess, "run", run)
    assert machine.visible_gpus() == found
    assert "--query-gpu=uuid" in asked


def test_without_a_driver_there_is_no_gpu(gpus, monkeypatch):
    gpus(None)

    def missing(*words, **options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert machine.visible_gpus() == []


@pytest.mark.parametrize(
    ("cores", "variables", "count"),
    [
        (4, {}, 4),
        (0, {}, 1),
        (4, {"OMP_NUM_THREADS": "2"}, 2),
        (4, {"OMP_NUM_THREADS": "3,2"}, 3),
        (2, {"OMP_NUM_THREADS": "8"}, 2),
        (4, {"OMP_NUM_THREADS": ""}, 4),
        (4, {"OMP_NUM_THREADS": "0"}, 1),
        (4, {"OMP_NUM_THREADS": "many"}, 4),
        (4, {"REGLAB_THREADS": "1"}, 1),
        (1, {"REGLAB_THREADS": "3", "OMP_NUM_THREADS": "1"}, 3),
    ],
)
def test_a_worker_has_a_thread_a_core_or_what_the_environment_says(monkeypatch, cores, variables, count):
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    assert machine.threads(range(cores)) == count


@pytest.mark.parametrize(
    ("runs", "cores", "gb", "names", "learns", "count"),
    [
        (6, 2, 8.0, "", False, 2),
        (6, 64, 256.0, "", False, 6),
        (100, 64, 16.0, "", False, 6),
        (100, 64, 1.0, "", False, 1),
        (30, 64, 256.0, "", True, 3),
        (4, 64, 256.0, "", True, 1),
        (0, 2, 8.0, "", False, 1),
        (100, 64, 256.0, "0,1", False, 2),
        (1, 64, 256.0, "0,1", False, 1),
    ],
)
def test_runs_at_a_time_are_one_a_gpu_or_a_core_as_memory_and_the_search_allow(gpus, monkeypatch, runs, cores, gb, names, learns, count):
    gpus(names)
    monkeypatch.setattr(machine, "cores", lambda: range(cores))
    monkeypatch.setattr(machine, "memory_gb", lambda: gb)
    assert machine.at_once(runs, learns) == count


@pytest.mark.parametrize(("limit", "gb"), [("3000000000\n", 3.0), ("max\n", 9.0), ("9000000000000", 9.0), (None, 9.0)])
def test_memory_is_the_machine_s_or_what_a_container_is_allowed(monkeypatch, tmp_path, limit, gb):
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PHYS_PAGES": 9_000_000, "SC_PAGE_SIZE": 1000}.__getitem__)
    monkeypatch.setattr(machine, "_MEMORY_LIMIT", tmp_path / "memory.max")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert machine.memory_gb() == gb


@pytest.mark.parametrize(
    ("limit", "count"), [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8), ("6400000 100000\n", 8), (None, 8)]
)
def test_cores_are_no_more_than_a_container_has_the_time_of(monkeypatch, tmp_path, limit, count):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "_ANY", 7)
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert machine.cores() == {1: [7], 2: [0, 7], 8: list(range(8))}[count]
