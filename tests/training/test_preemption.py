import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import reglab
from reglab.training.preemption import REQUESTS, Request, Signals
from tests.waiting import PATIENCE

HEARD = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM)


def tell(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("told", "request_"),
    [
        ([], Request.none),
        ([signal.SIGTERM], Request.stop),
        ([signal.SIGUSR2], Request.stop),
        ([signal.SIGUSR1], Request.preempt),
        ([signal.SIGINT], Request.preempt),
        ([signal.SIGUSR1, signal.SIGTERM], Request.stop),
        ([signal.SIGTERM, signal.SIGUSR1], Request.stop),
        ([signal.SIGINT, signal.SIGINT], Request.preempt),
    ],
)
def test_a_signal_becomes_a_request_and_stop_wins(told, request_):
    with Signals() as signals:
        tell(*told)
        assert signals.received == request_


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in HEARD]
    with Signals():
        assert [signal.getsignal(number) for number in HEARD] != before
    assert [signal.getsignal(number) for number in HEARD] == before


def test_handlers_are_restored_after_a_fault():
    before = [signal.getsignal(number) for number in HEARD]
    with pytest.raises(ZeroDivisionError), Signals():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in HEARD] == before


def test_what_was_blocked_waits_until_it_listens():
    """In a process of its own: a signal to a process goes to any of its threads that does not block it."""
    code = """
import os, signal
from reglab.training.preemption import REQUESTS, Signals
signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
os.kill(os.getpid(), signal.SIGUSR1)
with Signals() as signals:
    print(signals.received.name)
os.kill(os.getpid(), signal.SIGUSR2)  # blocked again
"""
    environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=PATIENCE, capture_output=True, text=True)
    assert done.stdout == "preempt\n"


def test_it_can_listen_to_requests_first_and_to_the_rest_later():
    before = [signal.getsignal(number) for number in HEARD]
    with Signals(REQUESTS) as signals:
        assert [signal.getsignal(number) == handler for number, handler in zip(HEARD, before, strict=True)] == [False, False, True, True]
        signals.listen()
        tell(signal.SIGINT)
        assert signals.received == Request.preempt
    assert [signal.getsignal(number) for number in HEARD] == before


def test_a_stop_from_within_wins_over_a_preemption():
    with Signals() as signals:
        signals.stop()
        tell(signal.SIGUSR1)
        assert signals.received == Request.stop
