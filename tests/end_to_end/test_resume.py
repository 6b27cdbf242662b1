"""A run that is interrupted, however and wherever, ends as the run that is not: bit for bit, all but its times."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from reglab.config import RunConfig, run_id
from reglab.data import sources
from reglab.processes.signals import Request, Signals
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import read_run
from reglab.training import checkpoint
from reglab.training.run import Run
from tests.training import trained
from tests.waiting import PATIENCE, wait_for

STEPS, EPOCHS = 4, 2
TIMES = ("time/train_seconds", "time/wall_seconds", "time/cpu_seconds", "throughput/images_per_second")


def timeless(history):
    return [{name: value for name, value in row.metrics().items() if name not in TIMES} for row in history]


def same(one, other, where="state"):
    """Whether two states are equal: tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, f"{where}[{number}]")
    else:
        assert one == other, where


def without_times(run):
    state = run.state_dict()
    for name in ("clock", "seconds_before_epoch", "warmup_seconds", "sums"):  # the sums of a complete epoch are in its history
        del state[name]
    state["history"] = timeless(run.history)
    return state


@pytest.fixture
def train(make_run, make_record, after_step, tmp_path):
    """`train(technique, 3, 2)`: a process trains three steps and is preempted, the next two, the last to the end."""
    fresh = iter(range(1000))

    def go_through(technique, *interruptions, folder=None):
        path = tmp_path / (folder or f"run{next(fresh)}") / "checkpoint.pt"
        for steps in (*interruptions, None):
            run, signals = make_run(**technique), Signals()
            if path.exists():
                torch.rand(5)  # another process stands elsewhere in the random numbers
            if steps:
                after_step(run, steps, lambda signals=signals: setattr(signals, "received", Request.preempt))
            record = trained.train(run, make_record(run), None, [], File(path), signals)
            assert record.state == (State.preempted if steps else State.finished)
        return run

    return go_through


_WHOLE = {}


@pytest.fixture
def whole(train):
    """The state that a run of a technique comes to if nothing interrupts it."""

    def state(technique):
        key = repr(technique)
        if key not in _WHOLE:
            _WHOLE[key] = without_times(train(technique))
        return _WHOLE[key]

    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [pytest.param(1, id="in the first epoch"), pytest.param(4, id="between epochs"), pytest.param(6, id="in the second epoch")]
)
def test_a_technique_resumes_bit_for_bit(train, whole, technique, step):
    same(whole(technique), without_times(train(technique, step)))


EVERYTHING = {
    "batchnorm": {"layers": 1},
    "dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3},
    "agc": {"enabled": True},
    "augment": {"policy": "basic", "rotate": 15},
    "cutout": {"images": 2},
    "optimizer": {"schedule": "cosine", "warmup_epochs": 1},
}


@pytest.mark.parametrize("step", range(1, STEPS * EPOCHS))
def test_a_run_with_everything_resumes_from_any_step(train, whole, step):
    same(whole(EVERYTHING), without_times(train(EVERYTHING, step)))


def test_a_run_resumes_as_often_as_it_must(train, whole):
    same(whole(EVERYTHING), without_times(train(EVERYTHING, *[1] * (STEPS * EPOCHS - 1))))


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(make_run, make_record, after_step, train, whole, tmp_path):
    """Without a word: what came after the checkpoint is done again."""

    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    run = make_run(**EVERYTHING, train={"checkpoint_every": 0})
    after_step(run, 6, kill)
    path = tmp_path / "killed" / "checkpoint.pt"
    with pytest.raises(Killed):
        trained.train(run, make_record(run), None, [], File(path), Signals())
    assert checkpoint.load(File(path))["steps_done"] == 1  # of the second epoch; the sixth step was not saved
    resumed = train(EVERYTHING, folder="killed")
    same(without_times(resumed), whole(EVERYTHING))


# The same through the command, with processes that are really killed

SWEEP = {
    "method": "grid",
    "parameters": {
        "data": {"parameters": {"source": {"value": "digits"}, "train_limit": {"value": 384}, "test_limit": {"value": 64}}},
        "model": {"parameters": {"width": {"value": 4}}},
        "batchnorm": {"parameters": {"layers": {"value": 1}}},
        "dropout": {"parameters": {"layers": {"value": 2}, "p": {"values": [0.1, 0.3]}}},
        "train": {"parameters": {"epochs": {"value": 2}, "batch_size": {"value": 8}, "checkpoint_every": {"value": 0}}},
    },
}
EPOCH_STEPS = 48


def cells():
    for p in (0.1, 0.3):
        values = {
            section: {key: entry["value"] for key, entry in body["parameters"].items() if "value" in entry}
            for section, body in SWEEP["parameters"].items()
        }
        values["dropout"]["p"] = p
        yield RunConfig.parse(values)


@pytest.fixture
def start(tmp_path):
    """Starts `reglab sweep run`, a run at a time."""
    file = tmp_path / "killed.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    started = []

    def sweep():
        process = subprocess.Popen(
            [sys.executable, "-m", "reglab", "sweep", "run", str(file), "--workers", "1"],
            env=os.environ | {"PYTHONPATH": str(Path(checkpoint.__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=(tmp_path / "said.txt").open("a"),
            start_new_session=True,
        )
        started.append(process)
        return process

    yield sweep
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def in_the_second_epoch(folder):
    """Whether the run in `folder` is some steps into its second epoch."""
    state = checkpoint.load(File(folder / "checkpoint.pt")) if (folder / "checkpoint.pt").exists() else None
    return state is not None and len(state["history"]) == 1 and state["steps_done"] >= 2


def worker(folder):
    """The process that writes this run's log: the test's own great-grandchild."""
    for link in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            if link.readlink() == folder / "log.txt":
                return int(link.parts[2])
        except OSError:
            continue
    return None


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_sweep_whose_processes_are_killed_ends_with_the_history_of_an_undisturbed_one(start, tmp_path, cache, make_record):
    first, second = cells()
    folders = [tmp_path / "runs" / "killed" / run_id(config) for config in (first, second)]

    process = start()
    wait_for(lambda: in_the_second_epoch(folders[0]), lambda: process.poll() is not None)
    os.kill(worker(folders[0]), signal.SIGKILL)  # a worker, in mid-epoch
    wait_for(lambda: (record := read_run(folders[0])) and record.state == State.crashed, lambda: process.poll() is not None)
    assert 0 < checkpoint.load(File(folders[0] / "checkpoint.pt"))["steps_done"] < EPOCH_STEPS
    assert "SIGKILL" in read_run(folders[0]).reason

    wait_for(lambda: in_the_second_epoch(folders[1]), lambda: process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)  # the sweep itself: its worker leaves a checkpoint and ends
    process.wait()
    wait_for(lambda: read_run(folders[1]).state == State.preempted)
    wait_for(lambda: worker(folders[1]) is None)
    assert 0 < checkpoint.load(File(folders[1] / "checkpoint.pt"))["steps_done"] < EPOCH_STEPS

    process = start()
    assert process.wait(timeout=PATIENCE) == 0, (tmp_path / "said.txt").read_text()
    for config, folder in zip((first, second), folders, strict=True):
        record = read_run(folder)
        assert record.state == State.finished
        run = Run(config, sources.load(config.data, cache), torch.device("cpu"))
        undisturbed = trained.train(run, make_record(run), None, [], File(tmp_path / "undisturbed" / "checkpoint.pt"), Signals())
        assert timeless(record.history) == timeless(undisturbed.history)
        assert record.summary.test_accuracy == undisturbed.summary.test_accuracy
        assert record.summary.train_clean_accuracy == undisturbed.summary.train_clean_accuracy
        assert not (folder / "checkpoint.pt").exists()
