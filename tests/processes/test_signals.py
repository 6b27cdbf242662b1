import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import reglab
from reglab.processes import signals as meanings
from reglab.processes.signals import STOP, Interrupted, Request, Signals

FIVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
ROOT = Path(reglab.__file__).parents[1]


@pytest.fixture(autouse=True)
def heard():
    """As in a terminal, however pytest was started: a shell's background jobs ignore SIGINT."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in FIVE}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def tell(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", FIVE)
def test_from_outside_every_signal_preempts(number):
    with Signals() as signals:
        tell(number)
        assert signals.received == Request.preempt


@pytest.mark.parametrize("number", FIVE)
def test_under_w_and_b_s_agent_sigterm_alone_stops(number):
    with Signals(meanings.UNDER_WANDB) as signals:
        tell(number)
        assert signals.received == (Request.stop if number == signal.SIGTERM else Request.preempt)


@pytest.mark.parametrize(
    ("told", "request_"),
    [
        ([], Request.none),
        ([STOP], Request.stop),
        ([signal.SIGUSR1], Request.preempt),
        ([signal.SIGUSR2], Request.preempt),
        ([signal.SIGUSR1, STOP], Request.stop),
        ([STOP, signal.SIGUSR1], Request.stop),
        ([signal.SIGUSR1, signal.SIGUSR1], Request.preempt),
    ],
)
def test_to_a_worker_the_stop_is_a_signal_of_its_own_and_wins(told, request_):
    with Signals(meanings.WORKER) as signals:
        tell(*told)
        assert signals.received == request_


def test_a_worker_leaves_what_comes_to_its_whole_group_to_the_one_that_started_it():
    assert not {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} & meanings.WORKER.keys()
    assert {*FIVE, STOP} <= meanings.ALL  # and all of it is blocked as a worker is started


def test_the_documents_table_is_the_code_s():
    rows = re.findall(r"^\| `(SIG\w+)` \| (.+) \|$", (ROOT / "docs" / "signals.md").read_text(encoding="utf-8"), re.MULTILINE)
    documented = {signal.Signals[name]: [cell.strip() for cell in cells.split("|")] for name, cells in rows}
    assert documented.keys() == meanings.ALL
    for number, cells in documented.items():
        for meaning, cell in zip((meanings.FROM_OUTSIDE, meanings.UNDER_WANDB, meanings.FROM_OUTSIDE, meanings.WORKER), cells, strict=True):
            assert cell == (meaning[number].name if number in meaning else "–"), (number, cell)


def test_what_is_ignored_stays_ignored():
    """As under nohup, and SIGINT in the background of a script."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals() as signals:
        tell(signal.SIGHUP)
        assert signals.received == Request.none
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in FIVE]
    with Signals():
        assert [signal.getsignal(number) for number in FIVE] != before
    assert [signal.getsignal(number) for number in FIVE] == before


def test_handlers_are_restored_after_a_fault():
    before = [signal.getsignal(number) for number in FIVE]
    with pytest.raises(ZeroDivisionError), Signals():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in FIVE] == before


def test_where_it_is_to_be_heeded_at_once_a_request_ends_what_is_waited_for():
    with Signals() as signals:
        with pytest.raises(Interrupted) as caught, signals.at_once():
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.request == Request.preempt
        with pytest.raises(Interrupted), signals.at_once():  # it has come before
            pytest.fail("it goes on")
        with pytest.raises(Interrupted):
            signals.check()


def test_a_request_is_passed_on_as_it_comes_and_where_it_has_come_before():
    heard = []
    with Signals() as signals, signals.at_once():
        with signals.calling(lambda: heard.append("first")):
            tell(signal.SIGHUP, signal.SIGTERM)
        with signals.calling(lambda: heard.append("second")):
            pass
    assert heard == ["first", "first", "second"]


def test_a_stop_does_not_interrupt_an_evaluation():
    signals = Signals()
    signals.stop()
    signals.check()


def test_a_stop_from_within_wins_over_a_preemption():
    with Signals() as signals:
        signals.stop()
        tell(signal.SIGUSR1)
        assert signals.received == Request.stop


@pytest.mark.parametrize(
    "words", [["train"], ["--debug", "train", "a=1"], ["sweep", "run", "x.yaml"], ["study", "run"], ["agent"], ["demo"]]
)
def test_what_comes_before_a_command_listens_waits_until_it_does(words):
    """In a process of its own: a signal to a process goes to any of its threads that does not block it."""
    code = f"""
import os, signal
from reglab.processes.signals import Signals, wait_until_heard
wait_until_heard({words})
os.kill(os.getpid(), signal.SIGHUP)
with Signals() as signals:
    print(signals.received.name)
os.kill(os.getpid(), signal.SIGUSR2)  # blocked again
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60, capture_output=True, text=True)
    assert done.stdout == "preempt\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["report", "build"], ["sweep", "status"], ["doctor"]])
def test_to_any_other_command_a_signal_does_what_it_does_to_any_program(words):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    meanings.wait_until_heard(words)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
