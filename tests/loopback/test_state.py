"""A run's stream and its states, without a client."""

import pytest

from tests.loopback.state import HISTORY, Run, World

ROWS = {"files": {HISTORY: {"offset": 0, "content": ['{"_step": 0}', '{"_step": 1}']}}}


def test_a_request_that_comes_twice_changes_nothing():
    run = Run()
    run.receive(ROWS)
    run.receive(ROWS)
    assert run.history == [{"_step": 0}, {"_step": 1}]


def test_a_crashed_run_that_speaks_again_runs():
    run, world = Run(heard=0), World()
    world.settle([run])
    assert run.state == "crashed"
    run.receive(ROWS)
    assert run.state == "running"


@pytest.mark.parametrize(
    ("preempting", "stop", "exitcode", "state"),
    [
        (False, False, 0, "finished"),
        (False, False, 1, "failed"),
        (False, False, None, "crashed"),
        (False, True, 255, "killed"),
        (True, False, 0, "finished"),
        (True, False, 75, "preempted"),
        (True, False, None, "preempted"),
    ],
)
def test_how_a_run_ends(preempting, stop, exitcode, state):
    run = Run(preempting=preempting, stop_requested=stop)
    run.end(exitcode)
    assert run.state == state
