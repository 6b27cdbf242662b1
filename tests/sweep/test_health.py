import os
import shutil
from collections import namedtuple

import pytest

from reglab.settings import settings
from reglab.sweep import health


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A driver's command that says this and exits so."""

    def install(script, name="nvidia-smi"):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


def test_a_sound_machine_has_no_fault_and_nothing_is_left_of_the_check(tmp_path):
    assert health.fault(tmp_path / "runs" / "s", None) is None
    assert list((tmp_path / "runs" / "s").iterdir()) == []


def test_a_full_disk_is_one(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 5 * 10**8))
    assert health.fault(tmp_path, None) == f"{tmp_path}: 0.5 GB free, 2 are needed"


def test_checkpoints_that_cannot_be_written_are_one(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REGLAB_CHECKPOINTS", str(tmp_path / "file" / "checkpoints"))
    settings.cache_clear()
    assert health.fault(tmp_path / "runs", None).startswith("no checkpoint can be written (")


def test_so_is_a_store_whose_library_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REGLAB_CHECKPOINTS", "floppy://a")
    settings.cache_clear()
    assert "give a folder, gs://bucket" in health.fault(tmp_path / "runs", None)


@pytest.mark.parametrize("script", ["echo 'No devices were found'; exit 6", "echo 'Unable to determine the device handle: Unknown Error'"])
def test_a_lost_gpu_is_one(tmp_path, nvidia_smi, script):
    nvidia_smi(script)
    assert health.fault(tmp_path, "1").startswith("GPU 1: ")


@pytest.mark.parametrize(("gpu", "other"), [("3", "4"), ("GPU-1c0d-88", "GPU-9a2b-07")])
def test_a_gpu_that_answers_is_none_and_it_is_the_one_that_is_asked(tmp_path, nvidia_smi, gpu, other):
    nvidia_smi(f'[ "$1 $2" = "-i {gpu}" ] && echo "NVIDIA H100, 81559 MiB"')
    assert health.fault(tmp_path, gpu) is None
    assert health.fault(tmp_path, other) is not None


def test_a_driver_that_hangs_is_one(tmp_path, nvidia_smi, monkeypatch):
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 0.2)
    nvidia_smi("exec sleep 20")
    assert health.fault(tmp_path, "0") == "GPU 0: nvidia-smi does not answer"


def test_without_the_driver_s_command_there_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot be run" in health.fault(tmp_path / "runs", "0")


def test_a_part_of_a_gpu_cannot_be_asked_about(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert health.fault(tmp_path / "runs", "MIG-7c3e") is None


@pytest.mark.parametrize(
    ("script", "up"),
    [
        ('read asked; [ "$asked" = get_server_list ] && echo 4711', True),
        ("cat > /dev/null", True),  # no process has used it yet
        ("echo 'Cannot find MPS control daemon process'; exit 1", False),
        ("echo 'Cannot find MPS control daemon process'", False),
        ("exit 1", False),
        ("exec sleep 20", False),
    ],
)
def test_the_control_daemon_of_mps_is_up_where_it_answers(nvidia_smi, monkeypatch, script, up):
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 0.5)
    nvidia_smi(script, "nvidia-cuda-mps-control")
    assert health.mps_is_up() is up


def test_without_its_command_there_is_no_mps(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert health.mps_is_up() is None
