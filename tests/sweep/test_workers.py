import subprocess

import pytest

from reglab.settings import settings
from reglab.sweep import workers
from reglab.sweep.workers import last_line


@pytest.fixture
def gpus(monkeypatch):
    """A machine with these GPUs, as the environment names them."""

    def show(names, device="auto"):
        monkeypatch.setenv("REGLAB_DEVICE", device)
        settings.cache_clear()
        if names is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)

    return show


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
    assert workers.visible_gpus() == found


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
    assert workers.visible_gpus() == found
    assert "--query-gpu=uuid" in asked


def test_without_a_driver_there_is_no_gpu(gpus, monkeypatch):
    gpus(None)

    def missing(*words, **options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert workers.visible_gpus() == []


@pytest.mark.parametrize(
    ("written", "said"), [("one\ntwo\n\n", "two"), ("", "it said nothing"), (None, "it said nothing"), ("a\rb\n", "b")]
)
def test_the_last_word_of_a_worker(tmp_path, written, said):
    if written is not None:
        (tmp_path / "log.txt").write_text(written)
    assert last_line(tmp_path / "log.txt") == said
