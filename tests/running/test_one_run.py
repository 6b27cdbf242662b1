import importlib
import itertools
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace

import pytest
import torch
import yaml
from filelock import FileLock
from PIL import Image

from reglab import reading, techniques
from reglab.config import RunConfig, identity, run_id
from reglab.data import sources
from reglab.errors import UserError
from reglab.running import one_run
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run
from reglab.training import checkpoint, environment, loop
from reglab.training.step import TrainingStep

TINY = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "train": {"epochs": 2, "batch_size": 32},
}
WORDS = [f"{section}.{key}={value}" for section, values in TINY.items() for key, value in values.items()]
CONFIG = RunConfig.parse(TINY)


@pytest.fixture
def reglab(reglab, monkeypatch, tmp_path):
    """Runs a command in this process, in a folder of its own; returns its exit code."""
    monkeypatch.chdir(tmp_path)
    return reglab


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
        step, left = TrainingStep.__call__, [1 + number]

        def wrapped(self, batch):
            step(self, batch)
            left[0] -= 1
            if left[0] == 0:
                action()

        monkeypatch.setattr(TrainingStep, "__call__", wrapped)

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
    (folder / "checkpoint.pt").touch()  # killed behind its record, before it could remove that
    assert reglab("train", *WORDS, "dropout.p=0.5") == 0  # the same run: there are no dropout layers
    assert "holds this run already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.fixture
def as_before(folder):
    """What is in `folder` becomes what an earlier version had left, under its name for the run; returns the folder it is in."""

    def change():
        name = "0123456789ab-s0"
        stored = json.loads((folder / "run.json").read_text())
        del stored["identity_version"]
        (folder / "run.json").write_text(json.dumps(stored | {"run_id": name, "identity": "0123456789ab"}))
        if (left := folder / "checkpoint.pt").exists():
            state = torch.load(left, weights_only=True)
            del state["config"]
            torch.save(state | {"run": name}, left)
        return folder.rename(folder.parent / name)

    return change


def test_a_run_that_an_earlier_version_finished_is_not_trained_again(reglab, runs, as_before, monkeypatch, capsys):
    reglab("train", *WORDS)
    before = as_before()
    monkeypatch.setattr(loop, "train", lambda *arguments: pytest.fail("trained again"))
    assert reglab("train", *WORDS) == 0
    said = capsys.readouterr().err
    assert f"{before} holds this run already" in said
    assert "note: runs of an earlier version of reglab, recognized by their configurations: 1;" in said
    assert reglab("train", *WORDS) == 0
    assert "recognized" not in capsys.readouterr().err  # it is said once
    assert [path.parent for path in runs.glob("*/*/run.json")] == [before]


def test_a_run_that_an_earlier_version_began_goes_on_from_its_checkpoint_under_its_name(reglab, runs, as_before, at_step):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert reglab("train", *WORDS) == 75
    before = as_before()
    at_step(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert reglab("train", *WORDS) == 75  # cut off again, it has a checkpoint of now and still its name
    assert reglab("train", *WORDS) == 0
    record = read_run(before)
    assert (record.state, record.run_id, record.formerly) == (State.finished, before.name, "0123456789ab")
    assert [row.epoch for row in record.history] == [1, 2]
    assert [path.parent for path in runs.glob("*/*/run.json")] == [before]


def test_a_run_that_is_trained_again_keeps_the_name_that_an_earlier_version_gave_it(reglab, runs, as_before, capsys):
    reglab("train", *WORDS)
    before = as_before()
    created = read_run(before).created
    assert reglab("train", *WORDS, "--again") == 0
    assert read_run(before).created > created
    assert reglab("train", *WORDS) == 0
    assert f"{before} holds this run already" in capsys.readouterr().err
    assert [path.parent for path in runs.glob("*/*/run.json")] == [before]


def test_again_trains_it_anew(reglab, folder):
    reglab("train", *WORDS)
    first = read_run(folder)
    assert reglab("train", *WORDS, "--again") == 0
    second = read_run(folder)
    assert second.state == State.finished
    assert second.created > first.created
    assert [row.train_loss for row in second.history] == [row.train_loss for row in first.history]


def test_again_takes_nothing_away_before_the_run_begins(reglab, folder, monkeypatch):
    keeping = [*WORDS, "train.keep_weights=true"]
    assert reglab("train", *keeping) == 0
    before, kept = read_run(folder), (folder / "weights.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("reglab.training.run.Run.warm_up", lambda _: os.kill(os.getpid(), signal.SIGUSR1))
        assert reglab("train", *keeping, "--again") == 75
    assert read_run(folder) == before and (folder / "weights.safetensors").read_bytes() == kept
    assert reglab("train", *WORDS, "--again") == 0
    assert read_run(folder).weights is None and not (folder / "weights.safetensors").exists()


def test_again_starts_from_the_start(reglab, folder, at_step, capsys):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert reglab("train", *WORDS) == 75
    capsys.readouterr()
    assert reglab("train", *WORDS, "--again") == 0
    assert "resumed" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
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


def test_a_run_that_goes_on_by_other_code_says_that_its_times_are_marked(reglab, folder, at_step, monkeypatch, capsys):
    for commit, code in (("one", 75), ("another", 0)):
        monkeypatch.setattr(environment, "_commit", lambda commit=commit: commit)
        if code:
            at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        assert reglab("train", *WORDS) == code
    (elsewhere,) = read_run(folder).environment.elsewhere
    assert "reglab one, 1 thread" in elsewhere
    assert f"; it went on here after {elsewhere}: its times are marked" in capsys.readouterr().err


def test_a_run_that_w_and_b_s_agent_stops_stays_stopped(reglab, runs, assigned, at_step):
    assigned(TINY)
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert reglab("train") == 0
    folder = runs / "final" / "r1"
    assert (read_run(folder).state, len(read_run(folder).history)) == (State.stopped, 1)
    assert reglab("train") == 0
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


def test_a_checkpoint_of_something_else_is_left_to_the_user(reglab, folder, at_step, capsys):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reglab("train", *WORDS)
    torch.save({"weights": torch.zeros(3)}, folder / "checkpoint.pt")
    before = (folder / "checkpoint.pt").read_bytes()
    capsys.readouterr()
    assert reglab("train", *WORDS) == 2
    assert "remove it to train this run from the start" in capsys.readouterr().err
    assert (folder / "checkpoint.pt").read_bytes() == before


def test_a_damaged_record_is_set_aside_and_the_run_goes_on_from_its_checkpoint(reglab, folder, at_step, caplog):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reglab("train", *WORDS)
    (folder / "run.json").write_bytes(b"\0" * 100)
    assert reglab("train", *WORDS) == 0
    assert "run.json was damaged: it is run.json.damaged now" in caplog.text
    assert read_run(folder).state == State.finished


def test_a_finished_run_whose_history_is_not_whole_says_so(reglab, folder, capsys):
    assert reglab("train", *WORDS) == 0
    (folder / "history.jsonl").unlink()
    assert reglab("train", *WORDS) == 0
    assert "history.jsonl has 0 whole rows of 2 epochs; the summary in run.json stands" in capsys.readouterr().err


def test_a_full_disk_is_no_failure_of_the_run(reglab, folder, monkeypatch, capsys):
    append = LocalRun.epoch

    def full(local, row):
        if row.epoch == 2:
            raise OSError(28, "No space left on device", str(local.folder / "history.jsonl"))
        append(local, row)

    with monkeypatch.context() as patch:
        patch.setattr(LocalRun, "epoch", full)
        assert reglab("train", *WORDS) == 75
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("reglab: ")]
    assert line == (
        f"reglab: {folder / 'history.jsonl'}: there is no room left (No space left on device): make room; the same command goes on then"
    )
    record = read_run(folder)
    assert (record.state, "there is no room left" in record.reason) == (State.preempted, True)
    assert reglab("train", *WORDS) == 0
    assert "resumed after epoch 2" in capsys.readouterr().err  # it was trained, and is in the checkpoint
    assert [row.epoch for row in read_run(folder).history] == [1, 2]


def test_a_run_whose_folder_is_removed_says_so_and_begins_again(reglab, folder, at_step, capsys):
    at_step(6, lambda: shutil.rmtree(folder))
    assert reglab("train", *WORDS) == 75
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("reglab: ")]
    assert line == f"reglab: {folder} was removed while its run trained: the same command begins it again"
    assert reglab("train", *WORDS) == 0
    assert [row.epoch for row in read_run(folder).history] == [1, 2]


def test_a_preempted_run_that_could_leave_no_checkpoint_does_not_say_it_did(reglab, folder, at_step, monkeypatch, capsys):
    def full(file, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert reglab("train", *WORDS) == 75
    said = capsys.readouterr().err
    assert "no checkpoint could be written" in said
    assert "checkpoint left" not in said


@pytest.mark.parametrize(("variable", "fault"), [("REGLAB_CACHE", "the cache"), ("REGLAB_RUNS", "cannot be written (Not a directory)")])
def test_a_folder_that_cannot_be_written_is_named_with_its_variable(reglab, tmp_path, monkeypatch, capsys, variable, fault):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    assert reglab("train", *WORDS) == 75
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line
    assert f"set {variable} to a folder that can" in line


@pytest.fixture
def interrupted(reglab, at_step, capsys):
    """An unfinished run of two epochs."""
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert reglab("train", *WORDS) == 75
    capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ["train.epochs=3"],
        ["train.epochs=3", "train.eval_every=2"],
        ["train.epochs=3", "optimizer.warmup_epochs=1"],
        ["train.batch_size=16"],
    ],
)
def test_a_run_that_differs_from_an_unfinished_one_in_its_course_only_names_it(reglab, interrupted, capsys, words):
    assert reglab("train", *WORDS, *words) == 0
    keys = sorted(word.partition("=")[0] for word in words)
    values = {"train.epochs": "2", "train.eval_every": "1", "optimizer.warmup_epochs": "0.0", "train.batch_size": "32"}
    its = " ".join(f"{key}={values[key]}" for key in keys)
    said = capsys.readouterr().err
    assert f"this is another run than {run_id(CONFIG)}, which is unfinished and has {its}: it starts at epoch 1" in said


@pytest.mark.parametrize("words", [["train.seed=1", "train.epochs=3"], ["batchnorm.layers=1", "train.epochs=3"], ["data.test_limit=32"]])
def test_a_run_of_another_seed_or_treatment_is_not_compared(reglab, interrupted, capsys, words):
    assert reglab("train", *WORDS, *words) == 0
    assert "another run" not in capsys.readouterr().err


def test_the_unfinished_run_itself_goes_on_and_names_none(reglab, interrupted, capsys):
    assert reglab("train", *WORDS, "train.checkpoint_every=5") == 0
    said = capsys.readouterr().err
    assert "resumed after epoch 1" in said
    assert "another run" not in said


def test_a_finished_run_of_other_length_is_not_named(reglab, capsys):
    assert reglab("train", *WORDS) == 0
    assert reglab("train", *WORDS, "train.epochs=3") == 0
    assert "another run" not in capsys.readouterr().err


def breaks():
    raise RuntimeError("CUDA error:\nan illegal memory access")


def test_a_run_that_breaks_exits_1_and_its_record_says_why_in_one_line(reglab, folder, at_step, capsys):
    at_step(6, breaks)
    assert reglab("train", *WORDS) == 1
    record = read_run(folder)
    assert (record.state, record.reason) == (State.failed, "RuntimeError: CUDA error: an illegal memory access")
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
        def __init__(self, folder, stop=None, hurried=None):
            self.folder = folder

        def begin(self, record):
            return record

        def started(self, record):
            states.append((record.state, (self.folder / "checkpoint.pt").exists()))

        def epoch(self, row):
            pass

        def preempting(self):
            states.append(("preempting", False))

        ended = started

    for module in ("one_run", "not_begun"):
        monkeypatch.setattr(f"reglab.running.{module}.WandbRun", Spy)
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
    assert reglab("train", *WORDS) == 75
    assert [state for state, _ in heard] == [State.running, "preempting", State.preempted]


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


BEFORE = {
    "while images are decoded": "reglab.data.sources.load",
    "while it waits for a lock": "filelock.FileLock.acquire",
    "while the network is built": "reglab.training.run.Run.__init__",
    "while it warms up": "reglab.training.run.Run.warm_up",
}


@pytest.fixture(params=BEFORE.values(), ids=BEFORE)
def hanging(request):
    """`hanging(number)`: something that comes before training does not end by itself; the signal comes meanwhile."""

    hung = pytest.MonkeyPatch()

    def arrange(number):
        def wait(*arguments, **words):
            hung.undo()
            os.kill(os.getpid(), number)
            for _ in range(300):
                time.sleep(0.1)
            pytest.fail("the signal was not heard")

        hung.setattr(request.param, wait)

    yield arrange
    hung.undo()


def test_a_signal_before_training_begins_ends_the_command_and_leaves_no_run(reglab, folder, hanging, capsys):
    hanging(signal.SIGTERM)
    assert reglab("train", *WORDS) == 75
    assert "the same command goes on" in capsys.readouterr().err
    assert read_run(folder) is None


def test_a_run_that_another_process_trains_is_left_alone(reglab, folder, monkeypatch, capsys):
    monkeypatch.setattr("reglab.running.alone.PATIENCE_SECONDS", 0.1)
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert reglab("train", *WORDS) == 2
    assert "another process is training this run" in capsys.readouterr().err
    assert read_run(folder) is None


@pytest.fixture
def assigned(monkeypatch, tmp_path):
    """Hands a sweep's run over to the next command."""

    def hand_over(values, identity=""):
        for name, value in assignment.hand_over("final", "r1", values, tmp_path, identity).items():
            monkeypatch.setenv(name, value)

    return hand_over


def test_under_a_sweep_the_run_is_the_sweeps(reglab, runs, assigned):
    assigned(TINY | {"batchnorm": {"layers": 1}})
    assert reglab("train") == 0
    record = read_run(runs / "final" / "r1")
    assert (record.state, record.run_id, record.sweep) == (State.finished, "r1", "final")
    assert record.config["batchnorm"] == {"layers": 1}


@pytest.mark.parametrize(
    ("number", "code", "state"), [(signal.SIGUSR1, 75, State.preempted), (signal.SIGTERM, 0, State.stopped)], ids=["preempt", "stop"]
)
def test_under_an_agent_a_signal_before_training_begins_is_in_the_record(reglab, runs, assigned, hanging, number, code, state):
    assigned(TINY)
    hanging(number)
    assert reglab("train") == code
    assert read_run(runs / "final" / "r1").state == state


@pytest.mark.parametrize("hanging", ["reglab.data.sources.load"], indirect=True)
def test_a_signal_leaves_a_run_that_has_ended_as_it_is(reglab, runs, assigned, hanging):
    """W&B may hand it out again: it was not told of the end."""
    assigned(TINY)
    assert reglab("train") == 0
    finished = read_run(runs / "final" / "r1")
    hanging(signal.SIGUSR1)
    assert reglab("train") == 0
    assert read_run(runs / "final" / "r1") == finished


def test_a_signal_while_another_process_trains_the_run_leaves_its_record_alone(reglab, runs, assigned, monkeypatch):
    assigned(TINY)
    folder = runs / "final" / "r1"
    folder.mkdir(parents=True)
    acquire = FileLock.acquire

    def told(self, *arguments, **words):
        os.kill(os.getpid(), signal.SIGUSR1)
        return acquire(self, *arguments, **words)

    with FileLock(folder / ".lock"):
        monkeypatch.setattr("reglab.data.sources.load", lambda *arguments: None)
        monkeypatch.setattr(FileLock, "acquire", told)
        assert reglab("train") == 75
    assert read_run(folder) is None


@pytest.mark.parametrize(
    ("number", "heard_"), [(signal.SIGUSR1, ["running", "preempting", "preempted"]), (signal.SIGTERM, ["stopped"] * 2)]
)
def test_w_and_b_hears_of_a_run_that_was_interrupted_before_it_began(reglab, assigned, heard, monkeypatch, number, heard_):
    """W&B gives it to another agent at once, or has its end."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("reglab.data.sources.load", lambda *arguments: os.kill(os.getpid(), number))
    assigned(TINY)
    reglab("train")
    assert [state for state, _ in heard] == heard_


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


@pytest.mark.parametrize(("variables", "cores", "threads"), [({"REGLAB_THREADS": "2"}, 1, 2), ({}, 4, 3), ({}, 1, 1)])
def test_threads_are_as_set_else_pytorch_s_and_no_more_than_there_are_cores(reglab, monkeypatch, variables, cores, threads):
    wanted = []
    monkeypatch.setattr(torch, "set_num_threads", wanted.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr("reglab.running.threads.cores", lambda: range(cores))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert reglab("train", *WORDS, "train.epochs=1") == 0
    assert wanted == [threads]


def test_a_bar_on_a_terminal_is_closed_at_the_end(reglab, folder, monkeypatch):
    monkeypatch.setattr("reglab.running.announced.is_terminal", lambda: True)
    assert reglab("train", *WORDS) == 0
    assert read_run(folder).state == State.finished


def test_a_checkpoint_is_left_in_the_run_s_folder(reglab, folder, at_step):
    at_step(6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reglab("train", *WORDS)
    assert checkpoint.load(File(folder / "checkpoint.pt"))["steps_done"] == 2


def pets(root, colour):
    """A folder of images, all of a `colour`, in two classes."""
    for part, name in itertools.product(("train", "test"), ("cats", "dogs")):
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(4):
            shade = colour + number + 100 * (name == "dogs")
            Image.new("RGB", (32, 32), (shade, 0, 0)).save(root / part / name / f"{number}.png")
    return root


PETS = ["data.source=folder", "model.width=4", "train.epochs=1", "train.batch_size=4"]


def test_a_run_on_other_images_of_one_name_is_refused_and_the_finished_one_stays(reglab, tmp_path, capsys):
    one, other = (f"data.folder={pets(tmp_path / name / 'pets', colour)}" for name, colour in (("a", 10), ("b", 60)))
    assert reglab("train", *PETS, one) == 0
    (folder,) = [path.parent for path in (tmp_path / "runs").glob("train/*/run.json")]
    before = read_run(folder)
    capsys.readouterr()
    assert reglab("train", *PETS, other) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and before.environment.data_fingerprint in line and "data.name=" in line and "--again" in line
    assert read_run(folder) == before
    assert reglab("train", *PETS, one) == 0
    assert read_run(folder) == before
    assert reglab("train", *PETS, other, "data.name=others") == 0
    assert read_run(folder) == before
    assert reglab("train", *PETS, other, "--again") == 0
    assert read_run(folder).environment.data_fingerprint not in (None, before.environment.data_fingerprint)


def test_a_run_on_images_that_were_corrected_since_is_replaced_only_if_asked(reglab, tmp_path, capsys):
    words = [*PETS, f"data.folder={pets(tmp_path / 'pets', 10)}"]
    assert reglab("train", *words) == 0
    (folder,) = [path.parent for path in (tmp_path / "runs").glob("train/*/run.json")]
    before = read_run(folder)
    pets(tmp_path / "pets", 60)
    assert reglab("train", *words) == 2
    assert read_run(folder) == before
    assert reglab("train", *words, "--again") == 0


def test_an_interrupted_run_is_not_begun_anew_on_other_images(reglab, tmp_path, at_step):
    one, other = (f"data.folder={pets(tmp_path / name / 'pets', colour)}" for name, colour in (("a", 10), ("b", 60)))
    at_step(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert reglab("train", *PETS, one) == 75
    assert reglab("train", *PETS, other) == 2
    assert reglab("train", *PETS, one) == 0


def test_under_a_sweep_other_images_are_a_failed_run_that_w_and_b_hears_of_and_what_there_was_goes_on(
    reglab, tmp_path, runs, monkeypatch, at_step, heard
):
    one, other = (pets(tmp_path / name / "pets", colour) for name, colour in (("a", 10), ("b", 60)))

    def train(folder):
        values = {"data": {"source": "folder", "folder": str(folder)}, "model": {"width": 4}, "train": {"epochs": 1, "batch_size": 4}}
        for name, value in assignment.hand_over("final", "r1", values, tmp_path).items():
            monkeypatch.setenv(name, value)
        return reglab("train")

    at_step(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert train(one) == 75
    heard.clear()
    for _ in range(2):  # nor does a second try begin it anew
        assert train(other) == 2
        record = read_run(runs / "final" / "r1")
        assert (record.state, "holds this run on other images" in record.reason) == (State.failed, True)
    assert {state for state, _ in heard} == {State.failed}
    assert train(one) == 0
    assert read_run(runs / "final" / "r1").state == State.finished


def test_the_other_runs_are_read_once_as_a_run_begins(reglab, interrupted, folder, monkeypatch, capsys):
    whole, records = reading.whole, []

    def counted(path, *bounds):
        records.extend([path] if path == folder / "run.json" else [])
        return whole(path, *bounds)

    monkeypatch.setattr(reading, "whole", counted)
    assert reglab("train", *WORDS, "train.epochs=3") == 0
    assert "another run" in capsys.readouterr().err
    assert len(records) == 1


def test_a_background_that_nothing_shows_is_another_arm_on_the_same_images(reglab, tmp_path):
    words = [*PETS, f"data.folder={pets(tmp_path / 'pets', 10)}"]
    assert reglab("train", *words) == reglab("train", *words, "data.background=black") == 0
    records = [read_run(path.parent) for path in (tmp_path / "runs").glob("train/*/run.json")]
    assert len(records) == 2 and len({record.environment.data_fingerprint for record in records}) == 1


SMALL = """
from torch import nn

def small(classes, side, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, 8), nn.ReLU(), nn.Linear(8, classes))
"""


@pytest.fixture
def hot(tmp_path, monkeypatch):
    """Writes the module of a network of the user's."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "hot.py").write_text(text, encoding="utf-8")

    write(SMALL)
    yield write
    sys.modules.pop("hot", None)


OWN = TINY | {"model": {"name": "hot:small"}}


def test_in_a_notebook_an_edited_network_is_refused_until_it_is_reloaded_and_is_another_run_then(reglab, hot):
    before = one_run.train(OWN)
    hot(SMALL.replace("nn.ReLU()", "nn.Sigmoid()"))
    with pytest.raises(UserError, match=r"^model.name = hot:small: the file of hot has changed .*importlib.reload\(hot\)"):
        one_run.train(OWN)
    importlib.reload(sys.modules["hot"])
    after = one_run.train(OWN)
    assert after.state == State.finished
    assert len({before.identity, after.identity}) == len({before.code["model.name"], after.code["model.name"]}) == 2
    assert before.history[-1].train_loss != after.history[-1].train_loss
    hot(SMALL)
    assert one_run.train(OWN) == read_run(settings().runs / "train" / before.run_id)  # which has finished, and is not imported


def test_a_run_of_a_sweep_whose_code_was_edited_since_it_was_named_waits_for_another_name(reglab, hot, runs, assigned, heard, capsys):
    assigned(OWN, "0123456789ab")
    assert reglab("train") == 75
    line = (
        "model.name = hot:small: the code was edited since its sweep named this run: start the sweep again, which trains the code as it is"
    )
    assert line in capsys.readouterr().err
    record = read_run(runs / "final" / "r1")
    assert (record.state, record.identity, record.code, record.environment) == (State.preempted, "0123456789ab", None, None)
    assert record.reason.startswith(line) and not heard
    assigned(OWN, identity(RunConfig.parse(OWN)))
    assert reglab("train") == 0


def test_a_run_whose_code_is_edited_as_it_begins_is_recorded_as_none(reglab, hot, runs, monkeypatch, capsys):
    load = sources.load

    def edits(*arguments):
        hot(SMALL.replace("nn.ReLU()", "nn.Sigmoid()"))
        return load(*arguments)

    monkeypatch.setattr(sources, "load", edits)
    assert reglab("train", *WORDS[:-3], *WORDS[-2:], "model.name=hot:small") == 75
    assert "model.name = hot:small: the code was edited as this run began: begin it again" in capsys.readouterr().err
    (record,) = (read_run(path.parent) for path in runs.glob("*/*/run.json"))
    assert (record.state, record.environment) == (State.preempted, None)


def test_a_technique_that_was_edited_after_the_process_had_read_its_hash_trains_nothing_under_that(reglab, runs, monkeypatch, capsys):
    """A worker is a fork of a process that began before, and imports what the technique does as it is now."""
    agc = next(each for each in techniques.TECHNIQUES if each.name == "agc")
    for source, code in (("0123456789ab", 75), (agc.code, 0)):
        foreign = tuple(replace(each, source=source) if each is agc else each for each in techniques.TECHNIQUES)
        monkeypatch.setattr("reglab.config.run.TECHNIQUES", foreign)
        assert reglab("train", *WORDS, "agc.enabled=true") == code
        said = capsys.readouterr().err
        assert ("technique agc: the code was edited since this process or its sweep began: start that again" in said) == bool(code)
        assert reglab("train", *WORDS) == 0  # in which it does nothing
        capsys.readouterr()


def test_results_of_other_code_than_their_name_says_are_not_taken_for_this_run_s(reglab, hot, runs, capsys):
    record = one_run.train(OWN)
    path = runs / "train" / record.run_id / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "0123456789ab"}))
    with pytest.raises(UserError, match="holds a run of other code than its name says, 0123456789ab-s0: rename the folder"):
        one_run.train(OWN)
