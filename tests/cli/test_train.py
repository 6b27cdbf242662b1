import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock
from PIL import Image

import reglab as reglab_package
from reglab.cli import app, one_run
from reglab.config import RunConfig, run_id
from reglab.sweep import assignment
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run
from reglab.training import checkpoint, loop

TINY = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "train": {"epochs": 2, "batch_size": 32},
}
WORDS = [f"{section}.{key}={value}" for section, values in TINY.items() for key, value in values.items()]
CONFIG = RunConfig.parse(TINY)


@pytest.fixture
def reglab(monkeypatch, tmp_path):
    """Runs a command in this process; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reglab", *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        return ended.value.code or 0

    return run


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def folder(runs):
    return runs / "train" / run_id(CONFIG)


@pytest.fixture
def at_step(monkeypatch):
    """`at_step(3, action)`: the action happens after the third training step from now, the run's warm-up left out."""

    def arrange(number, action):
        step, left = loop.TrainingStep.__call__, [1 + number]

        def wrapped(self, batch):
            step(self, batch)
            left[0] -= 1
            if left[0] == 0:
                action()

        monkeypatch.setattr(loop.TrainingStep, "__call__", wrapped)

    return arrange


def test_print_config_prints_yaml_of_the_whole_configuration_and_trains_nothing(reglab, runs, capsys):
    assert reglab("train", *WORDS, "arm=asymmetric_augmentation", "--print-config") == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert RunConfig.parse(printed) == RunConfig.parse(TINY | {"arm": "asymmetric_augmentation"})
    assert printed["dropout"] == {"layers": 3, "p": None, "p1": 0.1, "p2": 0.2, "p3": 0.3}
    assert not runs.exists()


def test_what_is_printed_can_be_given_back(reglab, capsys):
    reglab("train", *WORDS, "dropout.layers=1", "dropout.p=0.25", "data.name=with space", "--print-config")
    printed = yaml.safe_load(capsys.readouterr().out)
    words = [
        f"{section}.{key}={value}" for section, values in printed.items() if values for key, value in values.items() if value is not None
    ]
    reglab("train", *words, "--print-config")
    assert yaml.safe_load(capsys.readouterr().out) == printed


def test_a_run_is_trained_and_recorded(reglab, folder, capsys):
    assert reglab("train", *WORDS) == 0
    record = read_run(folder)
    assert (record.state, record.run_id, record.sweep, record.seed, record.label) == (
        State.finished,
        run_id(CONFIG),
        "train",
        0,
        "baseline",
    )
    assert RunConfig.parse(record.config) == CONFIG
    assert len(record.history) == 2
    assert record.environment.data == "digits"
    said = capsys.readouterr()
    assert "epoch 2/2" in said.err
    assert "finished, test accuracy" in said.err
    assert said.out == ""


def test_a_finished_run_is_not_trained_again(reglab, folder, monkeypatch, capsys):
    reglab("train", *WORDS)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    monkeypatch.setattr(loop, "train", lambda *arguments: pytest.fail("trained again"))
    assert reglab("train", *WORDS, "dropout.p=0.5") == 0  # the same run: there are no dropout layers
    assert "holds this run already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_again_trains_it_anew(reglab, folder):
    reglab("train", *WORDS)
    first = read_run(folder)
    assert reglab("train", *WORDS, "--again") == 0
    second = read_run(folder)
    assert second.state == State.finished
    assert second.created > first.created
    assert [row.train_loss for row in second.history] == [row.train_loss for row in first.history]


def test_again_starts_from_the_start(reglab, folder, at_step, capsys):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert reglab("train", *WORDS) == 75
    capsys.readouterr()
    assert reglab("train", *WORDS, "--again") == 0
    assert "resumed" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT])
def test_a_preempted_run_exits_75_and_the_same_command_goes_on(reglab, folder, at_step, capsys, number):
    at_step(6, lambda: os.kill(os.getpid(), number))
    assert reglab("train", *WORDS) == 75
    before = read_run(folder)
    assert (before.state, len(before.history)) == (State.preempted, 1)
    assert "checkpoint left after epoch 1" in capsys.readouterr().err
    assert reglab("train", *WORDS) == 0
    assert "resumed after epoch 1" in capsys.readouterr().err
    after = read_run(folder)
    assert (after.state, len(after.history), after.created) == (State.finished, 2, before.created)
    assert after.history[0] == before.history[0]


def test_a_stopped_run_stays_stopped(reglab, folder, at_step):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert reglab("train", *WORDS) == 0
    assert (read_run(folder).state, len(read_run(folder).history)) == (State.stopped, 1)
    assert reglab("train", *WORDS) == 0
    assert len(read_run(folder).history) == 1


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["train.epocs=3"], {}, "did you mean train.epochs?"),
        (["train.epochs=0"], {}, "train.epochs = 0"),
        (["train.epochs"], {}, "not key=value"),
        (["train=3"], {}, "train is a section"),
        (["arm=best"], {}, "arm = best"),
        (["data.train_limit=100000"], {}, "data.train_limit = 100000"),
        (["data.validation=5000"], {}, "data.validation = 5000"),
        ([], {"REGLAB_DEVICE": "cuda:9"}, "REGLAB_DEVICE = cuda:9"),
        ([], {"REGLAB_DEVICE": "tpu"}, "REGLAB_DEVICE = tpu"),
        ([], {"REGLAB_THREADS": "none"}, "REGLAB_THREADS = none"),
    ],
)
def test_a_bad_input_exits_2_with_one_line_and_leaves_no_run(reglab, runs, monkeypatch, capsys, words, variables, said):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert reglab("train", *WORDS, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reglab: ")
    assert said in line
    assert not runs.exists()


def test_a_checkpoint_that_cannot_be_used_is_left_to_the_user(reglab, folder, at_step, capsys):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reglab("train", *WORDS)
    (folder / "checkpoint.pt").write_bytes(b"damaged")
    capsys.readouterr()
    assert reglab("train", *WORDS) == 2
    assert "remove it to train this run from the start" in capsys.readouterr().err
    assert (folder / "checkpoint.pt").read_bytes() == b"damaged"
    (folder / "checkpoint.pt").unlink()
    assert reglab("train", *WORDS) == 0
    assert read_run(folder).state == State.finished


def breaks():
    raise RuntimeError("CUDA error:\nout of memory")


def test_a_run_that_breaks_exits_1_and_its_record_says_why_in_one_line(reglab, folder, at_step, capsys):
    at_step(6, breaks)
    assert reglab("train", *WORDS) == 1
    record = read_run(folder)
    assert (record.state, record.reason) == (State.failed, "RuntimeError: CUDA error: out of memory")
    assert [row.epoch for row in record.history] == [1]
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("reglab: ")]) == 1


def test_a_failed_run_is_trained_when_it_is_asked_for_again(reglab, folder, at_step):
    at_step(6, breaks)
    reglab("train", *WORDS)
    assert reglab("train", *WORDS) == 0
    assert read_run(folder).state == State.finished


@pytest.fixture
def heard(monkeypatch, runs):
    """The states that W&B hears of, and whether the run's checkpoint was there then."""
    states = []

    class Spy:
        def __init__(self, folder, stop=None, as_new=False):
            self.folder = folder

        def begin(self, record):
            pass

        def started(self, record):
            states.append((record.state, (self.folder / "checkpoint.pt").exists()))

        def epoch(self, row):
            pass

        ended = started

    monkeypatch.setattr("reglab.cli.one_run.WandbRun", Spy)
    return states


def test_w_and_b_hears_of_a_run_that_breaks(reglab, at_step, heard):
    """Else it stays "running" there until the server gives up."""
    at_step(6, breaks)
    assert reglab("train", *WORDS) == 1
    assert [state for state, _ in heard] == [State.running, State.failed]


def test_it_hears_of_it_when_the_disk_is_full(reglab, heard, monkeypatch):
    def full(self, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalRun, "ended", full)
    assert reglab("train", *WORDS) == 1
    assert [state for state, _ in heard] == [State.running, State.failed]


def test_the_checkpoint_stays_until_w_and_b_has_the_end(reglab, folder, heard):
    """A machine that is lost in between loses no run."""
    assert reglab("train", *WORDS, "train.checkpoint_every=0") == 0
    assert heard == [(State.running, False), (State.finished, True)]
    assert not (folder / "checkpoint.pt").exists()


def test_a_run_of_a_sweep_that_has_ended_here_is_told_again(reglab, assigned, heard):
    """Its process was killed before W&B had the end: W&B hands it out once more."""
    assigned(TINY)
    assert reglab("train") == 0
    heard.clear()
    assert reglab("train") == 0
    assert [state for state, _ in heard] == [State.finished, State.finished]


@pytest.mark.parametrize(("number", "code", "state"), [(signal.SIGUSR1, 75, State.preempted), (signal.SIGTERM, 0, State.stopped)])
def test_what_comes_before_the_run_listens_waits_for_it(folder, number, code, state):
    """And before numpy is imported, whose threads would hear it."""
    start = f"""
import os, signal, sys
from reglab import __main__
block = signal.pthread_sigmask
def block_and_be_told(*what):
    signal.pthread_sigmask = block
    block(*what)
    os.kill(os.getpid(), {int(number)})
signal.pthread_sigmask = block_and_be_told
sys.argv = ["reglab", "train", *{WORDS}]
__main__.main()
"""
    environment = os.environ | {"PYTHONPATH": str(Path(reglab_package.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", start], check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert read_run(folder).state == state


def test_a_run_that_another_process_trains_is_left_alone(reglab, folder, monkeypatch, capsys):
    monkeypatch.setattr(one_run, "_PATIENCE_SECONDS", 0.1)
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert reglab("train", *WORDS) == 2
    assert "another process is training this run" in capsys.readouterr().err
    assert read_run(folder) is None


@pytest.fixture
def assigned(monkeypatch, tmp_path):
    """Hands a sweep's run over to the next command."""

    def hand_over(values):
        for name, value in assignment.hand_over("final", "r1", values, tmp_path / "parameters.yaml").items():
            monkeypatch.setenv(name, value)

    return hand_over


def test_under_a_sweep_the_run_is_the_sweeps(reglab, runs, assigned):
    assigned(TINY | {"batchnorm": {"layers": 1}})
    assert reglab("train") == 0
    record = read_run(runs / "final" / "r1")
    assert (record.state, record.run_id, record.sweep) == (State.finished, "r1", "final")
    assert record.config["batchnorm"] == {"layers": 1}


def test_words_are_laid_over_a_sweeps_values(reglab, runs, assigned):
    assigned(TINY | {"batchnorm": {"layers": 1}})
    assert reglab("train", "batchnorm.layers=2", "train.epochs=1") == 0
    config = read_run(runs / "final" / "r1").config
    assert (config["batchnorm"]["layers"], config["train"]["epochs"], config["train"]["batch_size"]) == (2, 1, 32)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"dropout": {"layers": 1}}, "dropout.layers = 1 has no dropout.p1"),
        ({"data": {"train_limit": 10**6}}, "data.train_limit = 1000000"),
    ],
    ids=["cannot be built", "cannot be loaded"],
)
def test_under_a_sweep_a_bad_input_is_a_failed_run(reglab, runs, assigned, values, reason):
    assigned({section: TINY.get(section, {}) | values.get(section, {}) for section in TINY.keys() | values.keys()})
    assert reglab("train") == 2
    record = read_run(runs / "final" / "r1")
    assert record.state == State.failed
    assert record.reason.startswith(reason)


def test_threads_are_as_set(reglab, monkeypatch):
    wanted = []
    monkeypatch.setattr(torch, "set_num_threads", wanted.append)
    monkeypatch.setenv("REGLAB_THREADS", "2")
    assert reglab("train", *WORDS, "train.epochs=1") == 0
    assert wanted == [2]


def test_a_bar_on_a_terminal_is_closed_at_the_end(reglab, folder, monkeypatch):
    monkeypatch.setattr(one_run, "is_terminal", lambda: True)
    assert reglab("train", *WORDS) == 0
    assert read_run(folder).state == State.finished


def test_a_checkpoint_is_left_in_the_run_s_folder(reglab, folder, at_step):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reglab("train", *WORDS)
    assert checkpoint.load(File(folder / "checkpoint.pt"), torch.device("cpu"))["steps_done"] == 2


def test_a_folder_whose_images_changed_is_another_run_s_worth_of_training(reglab, tmp_path):
    def fill(colour):
        for part, name in itertools.product(("train", "test"), ("cats", "dogs")):
            (tmp_path / "pets" / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(4):
                shade = colour + number + 100 * (name == "dogs")
                Image.new("RGB", (32, 32), (shade, 0, 0)).save(tmp_path / "pets" / part / name / f"{number}.png")

    words = ["data.source=folder", f"data.folder={tmp_path / 'pets'}", "model.width=4", "train.epochs=1", "train.batch_size=4"]
    found = []
    for colour in (10, 10, 60):
        fill(colour)
        assert reglab("train", *words) == 0
        (record,) = [read_run(path.parent) for path in (tmp_path / "runs").glob("train/*/run.json")]
        found.append(record)
    assert found[0] == found[1]
    assert found[2].environment.data_fingerprint != found[0].environment.data_fingerprint
