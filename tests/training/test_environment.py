import os
import re
import subprocess

import pytest
import torch

from reglab.errors import UserError
from reglab.training import environment

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch):
    """A machine that shows this many GPUs."""

    def show(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return show


@pytest.mark.parametrize(
    ("count", "wanted", "picked"), [(0, "auto", "cpu"), (1, "auto", "cuda"), (2, "cuda:1", "cuda:1"), (2, "cpu", "cpu")]
)
def test_a_device_is_picked_and_is_the_current_one(gpus, count, wanted, picked, monkeypatch):
    gpus(count)
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert environment.pick_device(wanted) == torch.device(picked)
    assert current == ([torch.device(picked)] if ":" in picked else [])


@pytest.mark.parametrize(("count", "wanted"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:7")])
def test_a_gpu_that_is_not_there_is_refused_in_one_line(gpus, count, wanted):
    gpus(count)
    with pytest.raises(UserError, match=f"^REGLAB_DEVICE = {wanted}: this machine shows {count} usable GPUs; set it to cpu or auto$"):
        environment.pick_device(wanted)


def test_a_cpu_run_is_described_by_what_its_times_depend_on(images):
    found = environment.describe(CPU, "bf16", False, images)
    assert (found.driver, found.cuda) == (None, None)
    assert found.device == environment.cpu_name()
    assert found.torch == torch.__version__
    assert found.threads == torch.get_num_threads()
    assert (found.precision, found.compiled) == ("bf16", False)
    assert (found.data, found.data_fingerprint) == ("digits", images.fingerprint)
    assert found.pixel_fingerprint == images.pixel_fingerprint
    assert (found.train_images, found.test_images, found.leaked_images) == (128, 64, 0)


@pytest.mark.parametrize(("cores", "said"), [({0}, "1 core"), ({0, 3}, "2 cores")])
def test_the_processor_is_named_with_its_cores(monkeypatch, cores, said):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    environment.cpu_name.cache_clear()
    try:
        assert re.search(rf"\S.* \({said}\)$", environment.cpu_name())
    finally:
        environment.cpu_name.cache_clear()


def test_the_commit_is_of_this_checkout_and_says_when_its_code_has_changed(monkeypatch):
    root = environment.Path(environment.__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("no checkout")
    git = ["git", "-C", str(root)]
    commit = subprocess.run([*git, "log", "-1", "--format=%H", "--", "reglab"], check=True, capture_output=True, text=True).stdout
    changed = subprocess.run([*git, "status", "--porcelain", "--", "reglab"], check=True, capture_output=True, text=True).stdout
    environment._commit.cache_clear()
    assert environment._commit() == commit[:12] + ("+" if changed else "")


def test_a_machine_without_git_or_a_driver_is_described_all_the_same(monkeypatch, images):
    def missing(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    environment._commit.cache_clear()
    try:
        assert environment.describe(CPU, "fp32", False, images).commit is None
        assert environment.driver() is None
    finally:
        environment._commit.cache_clear()
