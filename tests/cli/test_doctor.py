"""The checks of a machine, on machines that lack this and that; and real processes, measured side by side."""

import os
import re
import signal
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from reglab.cli import app, doctor
from reglab.running import capacity
from reglab.settings import settings
from reglab.sweep import health
from reglab.tracking import wandb_api

SMALL = ["model.width=4", "data.train_limit=64", "train.batch_size=32"]


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command in this process; returns its exit code and its lines on standard output."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["reglab", "doctor", *words])
        with pytest.raises(SystemExit) as end:
            app.main()
        return end.value.code, capfd.readouterr().out.splitlines()

    return command


def finding(what):
    (found,) = [each for each in doctor.checks() if each.what == what]
    return found


# Findings


def test_a_machine_that_can_train_is_told_what_it_has(run):
    code, lines = run()
    assert code == 0
    assert [line.split()[1] for line in lines] == ["Python", "PyTorch", "GPU", "precision", "images", "W&B", "disk", "safety"]
    assert lines[2].startswith("ok    GPU          none, training runs on the CPU, ")
    assert lines[3].endswith("auto is fp32")


def test_what_keeps_runs_from_training_has_exit_code_1_and_nothing_is_measured(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "file" / "runs"))
    settings.cache_clear()
    code, lines = run("--measure", "1")
    assert code == 1
    (line,) = [line for line in lines if line.startswith("FAULT")]
    assert line.startswith("FAULT disk")
    assert "set REGLAB_RUNS" in line


def test_the_versions_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (_, oldest), (_, newest) = doctor.PYTHONS
    assert project["requires-python"] == f">=3.{oldest}"
    named = [line.removeprefix("Programming Language :: Python :: ") for line in project["classifiers"] if " Python :: " in line]
    assert named == [f"3.{minor}" for minor in range(oldest, newest + 1)]
    assert f"torch>={doctor.TORCH[0]}.{doctor.TORCH[1]}" in project["optional-dependencies"]["train"]


@pytest.mark.parametrize(("version", "fatal"), [("2.11.0+cu130", False), ("3.0", False), ("2.9.1", True), ("2.11a0+git", False)])
def test_a_torch_that_is_too_old_is_a_fault(monkeypatch, version, fatal):
    monkeypatch.setattr(torch, "__version__", version)
    assert finding("PyTorch").fatal == fatal


@pytest.mark.parametrize(("version", "mark"), [((3, 10), "FAULT"), ((3, 11), "ok"), ((3, 14), "ok"), ((3, 15), "note")], ids=str)
def test_so_is_a_python_that_is_too_old_and_one_that_is_too_new_to_be_known_is_noted(monkeypatch, version, mark):
    monkeypatch.setattr(sys, "version_info", (*version, 1))
    assert str(doctor._python()).split()[0] == mark


@pytest.mark.parametrize("lacking", ["torch", "PIL"])
def test_without_what_trains_nothing_else_is_asked(monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    last = list(doctor.checks())[-1]
    assert (last.what, last.fatal, last.advice) == ("training", True, "pip install 'reglab[train]'")
    assert lacking in last.found


def test_a_torch_that_lacks_a_library_of_its_own_is_a_fault(monkeypatch):
    """As where a CUDA library is gone: it is installed, and cannot be imported."""
    monkeypatch.setattr(doctor, "missing", lambda: [])
    monkeypatch.setitem(sys.modules, "torch", None)
    last = list(doctor.checks())[-1]
    assert (last.what, last.fatal, last.advice) == ("PyTorch", True, "install torch 2.11 or newer")


def test_a_gpu_that_is_not_there_is_a_fault(monkeypatch):
    monkeypatch.setenv("REGLAB_DEVICE", "cuda:7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings.cache_clear()
    assert "set it to cpu or auto" in finding("GPU").advice


def test_a_gpu_that_torch_cannot_use_is_noted(monkeypatch):
    monkeypatch.setenv("REGLAB_DEVICE", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings.cache_clear()
    assert "install a torch for CUDA" in finding("GPU").advice


@pytest.mark.parametrize(("up", "line"), [(True, "ok    MPS          up"), (False, "nvidia-cuda-mps-control -d"), (None, "not installed")])
def test_whether_mps_is_up_is_said_with_how_to_start_it(monkeypatch, up, line):
    monkeypatch.setattr(health, "mps_is_up", lambda: up)
    assert line in str(doctor._mps())


@pytest.mark.parametrize(
    ("there", "advice"),
    [
        (None, "the first run downloads it"),
        ("images/cifar10-v1.npz", "the first run downloads it"),
        ("downloads/cifar-10-python.tar.gz", "cifar-10-python.tar.gz is damaged or not whole"),
    ],
    ids=["nothing", "a damaged set", "a damaged archive"],
)
def test_images_that_are_not_whole_in_the_cache_are_noted(monkeypatch, tmp_path, there, advice):
    monkeypatch.setenv("REGLAB_CACHE", str(tmp_path))
    settings.cache_clear()
    if there:
        (tmp_path / there).parent.mkdir()
        (tmp_path / there).write_bytes(b"cut off")
    assert advice in finding("images").advice


def test_images_that_are_in_the_cache_are_well(monkeypatch):
    monkeypatch.setattr("reglab.data.published.is_here", lambda source, cache: True)
    assert finding("images").advice is None


def test_without_a_key_the_way_to_one_is_told(monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    assert str(finding("W&B")).startswith("note  W&B          offline, no key is configured: `wandb login`")


def test_a_server_that_does_not_answer_is_a_fault_where_runs_are_online(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")

    def away():
        raise wandb_api.ReglabError("W&B does not answer")

    monkeypatch.setattr(wandb_api, "default_entity", away)
    assert finding("W&B").fatal
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert finding("W&B").advice is None  # and nobody is asked


# Runs at a time


@pytest.mark.slow
def test_what_pays_is_measured_and_told_with_its_command(run, monkeypatch):
    monkeypatch.setattr(doctor, "MEASURE_SECONDS", 0.2)
    code, lines = run("--measure", "2,1", *SMALL)
    assert code == 0
    head, one, two, last = lines[-4:]
    assert head.split() == "runs at a time images/s together ratio GB each".split()
    assert (one.split()[0], one.split()[2], two.split()[0]) == ("1", "1.00", "2")
    assert "`reglab agent ENTITY/PROJECT/SWEEP --per-gpu " in last


@pytest.mark.parametrize(
    ("words", "said"), [(["--measure", "0,1"], "--measure 0,1"), (["--measure", "two"], "--measure two"), (SMALL, "add --measure")]
)
def test_a_measurement_that_makes_no_sense_is_refused(monkeypatch, capfd, words, said):
    monkeypatch.setattr(sys, "argv", ["reglab", "doctor", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 2
    assert said in capfd.readouterr().err


def test_what_does_not_fit_ends_the_measurement_and_what_fits_is_still_told(run, monkeypatch):
    asked = []

    def measure(config, places, seconds):
        asked.append(len(places))
        fits = len(places) < 2
        return capacity.Reading(len(places), (capacity.Throughput(100.0, 1.0),)) if fits else capacity.Reading(2, fault="out of memory")

    monkeypatch.setattr(capacity, "measure", measure)
    code, lines = run("--measure", "1,2,4")
    assert (code, asked) == (0, [1, 2])
    assert "does not fit: out of memory" in lines[-2]
    assert lines[-1].startswith("1 at a time pays here")


def test_where_not_even_one_trains_it_is_a_fault(run, monkeypatch):
    monkeypatch.setattr(capacity, "measure", lambda config, places, seconds: capacity.Reading(1, fault="out of memory"))
    assert run("--measure", "1")[0] == 1


def test_ctrl_c_ends_it_with_its_code(run, monkeypatch):
    monkeypatch.setattr(capacity, "measure", lambda config, places, seconds: os.kill(os.getpid(), signal.SIGINT))
    assert run("--measure", "1")[0] == 130


def test_the_places_are_those_of_an_agent_on_the_first_gpu(monkeypatch):
    monkeypatch.setenv("REGLAB_DEVICE", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    settings.cache_clear()
    monkeypatch.setattr("reglab.sweep.machine.cores", lambda: range(8))
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [(place.gpu, list(place.cores), place.threads) for place in doctor._places(2)] == [("3", [0, 1], 2), ("3", [4, 5], 2)]


@pytest.mark.parametrize(("gpus", "words", "width"), [("0", [], 64), ("", [], 16), ("", ["model.width=8"], 8)])
def test_the_network_is_the_configured_one_and_a_narrow_one_on_a_processor(monkeypatch, gpus, words, width):
    monkeypatch.setenv("REGLAB_DEVICE", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    settings.cache_clear()
    config = doctor._config(words)
    assert (config.data.source, config.model.width) == ("digits", width)


def test_mps_is_advised_where_several_pay():
    assert "measure again" in doctor.verdict(2, "start it")
    assert "measure again" not in doctor.verdict(1, "start it") + doctor.verdict(2, None)


# What is unsafe


@pytest.fixture
def safe(monkeypatch, tmp_path):
    """A machine on which nobody else reads or writes what is reglab's."""
    for folder in ("home", "runs", "cache", "here"):
        (tmp_path / folder).mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))
    monkeypatch.setenv("REGLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
    settings.cache_clear()
    return tmp_path


def unsafe():
    return [str(each) for each in doctor._safety() if each.advice]


def test_where_all_is_safe_one_line_says_so(safe):
    (safe / "home" / ".netrc").touch(mode=0o600)
    (line,) = doctor._safety()
    assert str(line).startswith("ok    safety       nobody else reads the key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("name", ["home/.netrc", "home/_netrc", "here/.env"])
def test_a_key_that_others_may_read_is_told_of(safe, name, mode):
    (safe / name).touch()
    (safe / name).chmod(mode)
    (line,) = unsafe()
    assert line.startswith("note  safety       others on this machine may read ")
    assert re.search(rf"chmod 600 \S*{Path(name).name}$", line)


@pytest.mark.parametrize(("name", "variable"), [("runs", "REGLAB_RUNS"), ("cache", "REGLAB_CACHE")])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_folder_in_which_everybody_may_write_is_told_of(safe, name, variable, mode):
    (safe / name).chmod(mode)
    (line,) = unsafe()
    assert f"everybody on this machine may write in {safe / name}, where {variable} is" in line


def test_so_is_the_place_where_it_will_be(safe, monkeypatch):
    monkeypatch.setenv("REGLAB_RUNS", str(safe / "here" / "a" / "b"))
    settings.cache_clear()
    (safe / "here").chmod(0o777)
    assert f"may write in {safe / 'here'}, where REGLAB_RUNS is" in unsafe()[0]


def test_a_server_without_tls_is_told_of(safe, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example.org")
    (line,) = unsafe()
    assert "without TLS: who listens on the way reads the key" in line
