import os
import signal

import pytest

from reglab.training.preemption import Request, Signals

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
