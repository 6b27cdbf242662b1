"""Signals to the real command, while it and its workers are at work: what they mean, that nothing stays behind, and that it goes on."""

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

import reglab
from reglab.config import RunConfig, run_id
from reglab.data import sources
from reglab.processes.signals import Signals
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import read_run, read_runs
from reglab.training.run import Run
from tests.training import trained

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")]

FIVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

EPOCHS = 24
KEYS = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "batchnorm": {"layers": 1},
    "dropout": {"layers": 1, "p": 0.1},
    "train": {"epochs": EPOCHS, "batch_size": 32},
}
CONFIG = RunConfig.parse(KEYS)
WORDS = [f"{section}.{key}={value}" for section, keys in KEYS.items() for key, value in keys.items()]
SWEEP = {
    "method": "grid",
    "parameters": {section: {"parameters": {key: {"value": value} for key, value in keys.items()}} for section, keys in KEYS.items()},
}
SWEEP["parameters"]["train"]["parameters"]["seed"] = {"values": [0, 1]}
TIMES = ("time/train_seconds", "time/wall_seconds", "time/cpu_seconds", "throughput/images_per_second")


AS_IN_A_TERMINAL = f"""
import os, signal, sys
for number in {[int(number) for number in FIVE]}:
    signal.signal(number, signal.SIG_DFL)
if os.isatty(0):
    os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""However pytest was started: a shell's background jobs ignore SIGINT. A session hears of the end of the first terminal it opens."""


@pytest.fixture
def start(tmp_path):
    """Starts the command in a session of its own, with one thread, on one core; whatever is left of it at the end is killed."""
    started = []

    def command(*words, under=(), **streams):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        variables = {"PYTHONPATH": str(Path(reglab.__file__).parents[1]), "OMP_NUM_THREADS": "1", "REGLAB_RUNS": str(tmp_path / "runs")}
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", AS_IN_A_TERMINAL, *under, sys.executable, "-m", "reglab", *words],
                env=os.environ | variables,
                cwd=tmp_path,
                start_new_session=True,
                **({"stdin": subprocess.DEVNULL, "stderr": (tmp_path / "said.txt").open("a")} | streams),
            )
        finally:
            os.sched_setaffinity(0, cores)
        started.append(process)
        return process

    yield command
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def said(tmp_path):
    return (tmp_path / "said.txt").read_text


def wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def members(session):
    """The processes of a session that are there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(path.parts[2]))
    return found


def has_begun(*folders):
    """Whether each of these runs is some epochs on."""
    return all((folder / "history.jsonl").exists() and (folder / "history.jsonl").read_bytes().count(b"\n") >= 2 for folder in folders)


@pytest.fixture
def undisturbed(tmp_path, cache, make_record):
    """The history of a run that nobody disturbs, without its times."""

    def train(config):
        run = Run(config, sources.load(config.data, cache), torch.device("cpu"))
        return timeless(trained.train(run, make_record(run), None, [], File(tmp_path / "undisturbed.pt"), Signals()))

    return train


def timeless(record):
    rows = [{name: value for name, value in row.metrics().items() if name not in TIMES} for row in record.history]
    return rows, record.summary.test_accuracy, record.summary.train_clean_accuracy


def test_a_shutdown_leaves_a_checkpoint_of_a_run_by_hand_and_the_same_command_ends_it(start, said, tmp_path, undisturbed):
    folder = tmp_path / "runs" / "train" / run_id(CONFIG)
    process = start("train", *WORDS)
    wait_for(lambda: has_begun(folder))
    process.send_signal(signal.SIGTERM)
    assert process.wait(200) == 75, said()
    assert read_run(folder).state == State.preempted
    assert (folder / "checkpoint.pt").exists()
    assert start("train", *WORDS).wait(300) == 0, said()
    assert "resumed after epoch" in said()
    assert timeless(read_run(folder)) == undisturbed(CONFIG)


@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGHUP, False), (signal.SIGUSR2, True)], ids=["to it", "to all of its processes"])
def test_a_signal_to_a_sweep_leaves_no_process_behind_and_the_same_command_ends_it(start, said, tmp_path, number, to_all):
    """To all of them: a terminal that is closed, a cluster that signals a job."""
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    configs = [RunConfig.parse(KEYS | {"train": KEYS["train"] | {"seed": seed}}) for seed in (0, 1)]
    folders = [tmp_path / "runs" / "two" / run_id(config) for config in configs]
    command = ("sweep", "run", str(file), "--workers", "2")
    process = start(*command)
    wait_for(lambda: has_begun(*folders))
    for pid in members(process.pid) if to_all else [process.pid]:
        os.kill(pid, number)
    assert process.wait(200) == 75, said()
    wait_for(lambda: not members(process.pid), 60)
    assert [record.state for record in read_runs(tmp_path / "runs" / "two")] == [State.preempted] * 2
    assert all((folder / "checkpoint.pt").exists() for folder in folders)
    assert start(*command).wait(300) == 0, said()
    for record in read_runs(tmp_path / "runs" / "two"):
        assert (record.state, [row.epoch for row in record.history]) == (State.finished, list(range(1, EPOCHS + 1)))


def test_a_sweep_whose_worker_was_preempted_says_that_it_is_not_done(start, said, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    folders = [tmp_path / "runs" / "two" / run_id(RunConfig.parse(KEYS | {"train": KEYS["train"] | {"seed": seed}})) for seed in (0, 1)]
    process = start("sweep", "run", str(file))
    wait_for(lambda: has_begun(folders[0]))
    log = folders[0] / "log.txt"
    (worker,) = [pid for pid in members(process.pid) if Path(f"/proc/{pid}/fd/1").resolve() == log.resolve()]
    os.kill(worker, signal.SIGUSR2)
    assert process.wait(300) == 75, said()
    assert [read_run(folder).state for folder in folders] == [State.preempted, State.finished]


def test_a_run_outlives_its_terminal_for_its_checkpoint(start, tmp_path):
    """The terminal's end is a SIGHUP, and whatever is said from then on an error."""
    ours, theirs = pty.openpty()
    process = start("train", *WORDS, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    folder = tmp_path / "runs" / "train" / run_id(CONFIG)
    os.set_blocking(ours, False)

    def begun():
        with suppress(BlockingIOError):
            os.read(ours, 1 << 16)
        return has_begun(folder)

    wait_for(begun)
    os.close(ours)
    assert process.wait(200) == 75
    assert read_run(folder).state == State.preempted
    assert (folder / "checkpoint.pt").exists()


def test_ctrl_c_that_ends_the_reader_of_what_is_said_first_costs_no_checkpoint(start, tmp_path):
    """`reglab train … 2>&1 | tee log`: tee is gone at once."""
    ours, theirs = os.pipe()
    process = start("train", *WORDS, stdout=theirs, stderr=theirs)
    os.close(theirs)
    folder = tmp_path / "runs" / "train" / run_id(CONFIG)
    wait_for(lambda: has_begun(folder))
    os.close(ours)
    process.send_signal(signal.SIGINT)
    assert process.wait(200) == 75
    assert (folder / "checkpoint.pt").exists()


def test_under_nohup_a_closed_terminal_disturbs_no_run(start, said, tmp_path):
    process = start("train", *WORDS, under=["nohup"])
    folder = tmp_path / "runs" / "train" / run_id(CONFIG)
    wait_for(lambda: has_begun(folder))
    process.send_signal(signal.SIGHUP)
    assert process.wait(300) == 0, said()
    assert read_run(folder).state == State.finished


def test_a_signal_at_the_very_start_is_heard(start, said, tmp_path):
    """While its imports are under way, which take seconds."""
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    for number, words in ((signal.SIGINT, ("train", *WORDS)), (signal.SIGHUP, ("sweep", "run", str(file)))):
        process = start(*words)
        wait_for(lambda process=process, number=number: heeds(process.pid, number))
        process.send_signal(number)
        assert process.wait(200) == 75, said()
        wait_for(lambda process=process: not members(process.pid), 60)


def heeds(pid, number):
    """Whether a process has signals of this number wait, or hears them; Python itself hears SIGINT."""
    lines = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Sig"))
    names = ("SigBlk",) if number == signal.SIGINT else ("SigBlk", "SigCgt")
    return any(int(lines[name], 16) >> (number - 1) & 1 for name in names)
