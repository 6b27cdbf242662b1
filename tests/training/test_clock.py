from types import SimpleNamespace

import pytest
import torch

from reglab.settings import settings
from reglab.training import clock
from reglab.training.clock import Clock

CPU = torch.device("cpu")


@pytest.fixture
def now(monkeypatch):
    """Time that goes on only when a test says so."""
    time = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: time.seconds))
    return time


def test_only_training_counts_as_training(now):
    both = Clock(CPU)
    now.seconds += 5
    with both.training():
        now.seconds += 2
    now.seconds += 7
    with both.training():
        now.seconds += 3
    assert both.train_seconds == 5
    assert both.wall_seconds == 17


def test_both_clocks_go_on_over_a_resume_without_the_time_between_two_processes(now):
    before = Clock(CPU)
    with before.training():
        now.seconds += 2
    now.seconds += 1
    state = before.state_dict()
    now.seconds += 3600
    after = Clock(CPU)
    now.seconds += 4
    after.load_state_dict(state)
    with after.training():
        now.seconds += 10
    assert after.train_seconds == 12
    assert after.wall_seconds == 3 + 14


def test_the_device_has_done_its_work_before_either_end_is_read(now, monkeypatch):
    def wait(device):
        now.seconds += 100

    monkeypatch.setattr(clock, "synchronize", wait)
    both = Clock(CPU)
    with both.training():
        now.seconds += 1
    assert both.train_seconds == 101  # what it had to do before is not counted, what it was given is


def test_the_host_waits_for_the_step_that_was_eight_before(monkeypatch):
    waited, events = [], []

    class Event:
        def __init__(self, blocking):
            assert blocking  # else the host spins on a core that others need
            events.append(self)

        def record(self, stream):
            assert stream == "the current one"

        def synchronize(self):
            waited.append(events.index(self))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the current one")
    ahead = clock.Ahead(torch.device("cuda"))
    for step in range(20):
        ahead.step()
        assert waited == list(range(step - 7))


@pytest.fixture
def used(monkeypatch):
    """The CPU seconds of this process, as a test has them."""
    cpu = SimpleNamespace(seconds=50.0)
    monkeypatch.setattr(clock, "cpu_seconds", lambda: cpu.seconds)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return cpu


def spend(both, now, used, seconds, cpu):
    with both.training():
        now.seconds += seconds
        used.seconds += cpu


def test_the_cpu_share_is_of_what_the_threads_had_in_training(now, used):
    both = Clock(CPU)
    assert both.cpu_share is None
    spend(both, now, used, 4, 8)
    now.seconds += 100  # an evaluation
    used.seconds += 1
    spend(both, now, used, 6, 2)
    assert both.cpu_seconds == 10
    assert both.cpu_share == 10 / (10 * 2)


def test_the_cpu_share_goes_on_over_a_resume(now, used):
    before, after = Clock(CPU), Clock(CPU)
    spend(before, now, used, 5, 10)
    after.load_state_dict(before.state_dict())
    spend(after, now, used, 5, 0)
    assert (after.cpu_seconds, after.cpu_share) == (10, 0.5)


def test_a_checkpoint_that_counted_no_cpu_seconds_is_gone_on_from(now, used):
    both = Clock(CPU)
    both.load_state_dict({"train_seconds": 100.0, "wall_seconds": 200.0})
    spend(both, now, used, 5, 10)
    assert (both.train_seconds, both.cpu_share) == (105, 1)


def test_on_a_gpu_the_host_decides_nothing(now, used):
    both = Clock(CPU)
    both.device = torch.device("cuda")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "synchronize", lambda device: None)
        spend(both, now, used, 5, 1)
    assert (both.cpu_seconds, both.cpu_share) == (1, None)


def test_a_clock_tells_of_which_other_machines_it_has_seconds(now):
    first, second, third = Clock(CPU), Clock(CPU), Clock(CPU)
    assert first.goes_on_at("one") == []
    second.load_state_dict(first.state_dict())
    assert second.goes_on_at("another") == ["one"]
    third.load_state_dict(second.state_dict())
    assert third.goes_on_at("one") == ["another"]


def test_seconds_of_a_checkpoint_that_tells_no_machine_are_of_other_code(now):
    both = Clock(CPU)
    both.load_state_dict({"train_seconds": 100.0, "wall_seconds": 200.0})
    assert both.goes_on_at("one") == ["an earlier version of reglab"]


def test_how_many_runs_a_gpu_was_for_goes_on_over_a_resume(monkeypatch):
    monkeypatch.setenv("REGLAB_GPU_RUNS", "3")
    settings.cache_clear()
    before = Clock(torch.device("cuda"))
    monkeypatch.delenv("REGLAB_GPU_RUNS")
    settings.cache_clear()
    after, alone, host = Clock(torch.device("cuda")), Clock(torch.device("cuda")), Clock(CPU)
    after.load_state_dict(before.state_dict())
    alone.load_state_dict({"train_seconds": 1.0, "wall_seconds": 1.0})  # of an earlier version
    assert (before.gpu_runs, after.gpu_runs, alone.gpu_runs, host.gpu_runs) == (3, 3, 1, None)


def test_cpu_seconds_are_those_of_all_threads_of_the_process():
    before = clock.cpu_seconds()
    torch.randn(500, 500).matmul(torch.randn(500, 500))
    assert clock.cpu_seconds() >= before
