"""Real processes that train side by side, and what becomes of them."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

from reglab.running import capacity
from reglab.running.capacity import Place, Reading, Throughput, choice, measure
from tests.waiting import wait_for

ANYWHERE = Place(None, ())


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert not multiprocessing.active_children()


def reading(runs, pace, fault=None):
    return Reading(runs, (Throughput(pace, 1.0),), fault)


@pytest.mark.parametrize(
    ("readings", "chosen"),
    [
        ([reading(1, 100), reading(2, 150), reading(4, 200)], 4),
        ([reading(1, 100), reading(2, 191), reading(4, 200)], 2),
        ([reading(1, 100), reading(2, 189), reading(4, 200)], 4),
        ([reading(4, 100), reading(1, 96)], 1),
        ([reading(1, 100), reading(2, 900, "out of memory")], 1),
    ],
)
def test_the_fewest_runs_within_5_percent_of_the_best_are_the_choice(readings, chosen):
    assert choice(readings).runs == chosen


def test_where_none_fit_there_is_no_choice():
    assert choice([reading(1, 100, "out of memory")]) is None


@pytest.mark.slow
def test_runs_train_side_by_side_and_their_paces_are_summed(make_config, cache):
    core = min(os.sched_getaffinity(0))
    read = measure(make_config(), [Place(None, [core]), ANYWHERE], 0.3)
    assert (read.fault, read.runs, len(read.throughputs)) == (None, 2, 2)
    assert all(pace.images_per_second > 0 and pace.memory_gb > 0 for pace in read.throughputs)
    assert read.images_per_second == sum(pace.images_per_second for pace in read.throughputs)


@pytest.mark.slow
def test_a_run_that_cannot_train_is_a_reading_and_no_traceback(make_config, capfd):
    read = measure(make_config(data={"source": "folder", "folder": "/nowhere"}), [ANYWHERE, ANYWHERE], 0.1)
    assert read.fault.startswith("UserError: data.folder = /nowhere")
    assert "Traceback" not in capfd.readouterr().err


def later(action):
    """Does it to the processes that train, once they are there."""

    def wait():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        action(children[0].pid)

    threading.Thread(target=wait, daemon=True).start()


def is_in(function, thread):
    """Whether a thread is at work in a function."""
    frame = sys._current_frames()[thread]
    while frame and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


@pytest.mark.slow
def test_a_process_that_is_killed_is_a_reading_too(make_config):
    later(lambda pid: os.kill(pid, signal.SIGKILL))
    assert measure(make_config(), [ANYWHERE], 600).fault == "killed by SIGKILL"


@pytest.mark.slow
def test_ctrl_c_ends_every_process(make_config):
    main = threading.get_ident()

    def interrupt(pid):
        wait_for(lambda: is_in(capacity._answers, main))  # elsewhere it may be in a finalizer, where Python swallows an interrupt
        os.kill(os.getpid(), signal.SIGINT)

    later(interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure(make_config(), [ANYWHERE, ANYWHERE], 120)


@pytest.mark.slow
def test_processes_that_never_answer_are_not_waited_for(make_config, monkeypatch):
    monkeypatch.setattr(capacity, "START_SECONDS", 0.01)
    assert measure(make_config(), [ANYWHERE], 600).fault == "no answer within 0.01 s"


def test_all_images_of_every_epoch_count_and_none_is_evaluated(make_run, monkeypatch):
    run = make_run()
    trained = []
    step = type(run.step).__call__
    monkeypatch.setattr(type(run.step), "__call__", lambda self, batch: (trained.append(len(batch.labels)), step(self, batch))[1])
    monkeypatch.setattr(run, "evaluate", lambda batches: pytest.fail("evaluated"))
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 100)  # a hundredth of a second whenever somebody looks
    pace = capacity._images_per_second(run, 0.5)
    assert sum(trained) > 2 * len(run.images.train)
    assert 0.5 < sum(trained) / pace < 0.6


def test_few_images_are_repeated_to_an_epoch_of_some_length(images):
    repeated = capacity._repeated(images, 32)
    assert len(repeated.train) >= 32 * 50
    assert (repeated.train.labels[128:256] == images.train.labels).all()
    assert repeated.test is images.test
