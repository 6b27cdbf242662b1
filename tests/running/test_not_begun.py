"""A run that was asked to end before it began: what its record says, and what W&B hears."""

import pytest
from filelock import FileLock

from reglab.processes.signals import Request
from reglab.running import not_begun
from reglab.running.not_begun import ended_before_it_began
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import RUN_LOCK, read_run, write_run


@pytest.fixture
def heard(monkeypatch):
    """The states that W&B hears of."""
    states = []

    class Spy:
        def __init__(self, folder, hurried=None):
            pass

        def started(self, record):
            states.append(record.state)

        def preempting(self):
            states.append("preempting")

        ended = started

    monkeypatch.setattr(not_begun, "WandbRun", Spy)
    monkeypatch.setattr(not_begun.client, "mode", lambda: "online")
    return states


@pytest.mark.parametrize(("request_", "state"), [(Request.preempt, State.preempted), (Request.stop, State.stopped)])
def test_of_a_run_that_another_process_trains_nobody_is_told_anything(tmp_path, heard, request_, state):
    folder = tmp_path / "runs" / "s" / "r"
    running = RunRecord(run_id="r", sweep="s", label="l", identity="i", seed=0, config={}, state=State.running)
    write_run(folder, running)
    with FileLock(folder / RUN_LOCK):
        assert ended_before_it_began(request_, running, folder).state == state
    assert read_run(folder).state == State.running
    assert heard == []
    ended_before_it_began(request_, running, folder)
    assert read_run(folder).state == heard[-1] == state
