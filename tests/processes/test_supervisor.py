"""Real processes, looked after to their end."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from reglab.processes import supervisor
from reglab.processes.signals import PREEMPT, STOP
from reglab.processes.supervisor import Child, Subprocess, Supervisor
from tests.waiting import wait_for

LISTENS = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR1})
sys.exit(75)
"""
"""Leaves when it is asked to."""

DEAF = """
import signal, time
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


class Accounted(Child):
    """Notes in which order it is asked for what."""

    def __init__(self, process):
        super().__init__(process=process)
        self.asked = []

    def look(self):
        self.asked.append(("look", self.exitcode))

    def account_for_death(self):
        self.asked.append(("death", self.process.exitcode))


@pytest.fixture
def start():
    started = []

    def begin(code):
        process = Subprocess([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return Accounted(process)

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def ended(crew):
    """The children that have ended, once one has."""
    found = []
    wait_for(lambda: found.extend(child for child in crew.look() if child.exitcode is not None) or found)
    return found


def test_what_is_asked_to_leave_leaves_and_is_a_child_no_longer(start):
    crew = Supervisor()
    child = start(LISTENS)
    crew.add(child)
    assert list(crew.look()) == [child] and child.exitcode is None
    crew.preempt()
    assert ended(crew) == [child]
    assert (child.exitcode, child.told, crew.children) == (75, {PREEMPT}, [])
    assert child.asked[-1] == ("look", 75)  # what it wrote last is read
    assert ("death", 75) not in child.asked


def test_each_thing_is_told_once_and_nothing_to_what_has_ended(start, monkeypatch):
    sent = []
    child = start(DEAF)
    with monkeypatch.context() as patch:
        patch.setattr(supervisor.os, "kill", lambda pid, number: sent.append(number))
        for what in (PREEMPT, STOP, PREEMPT, STOP):
            child.tell(what)
        child.exitcode = 0
        child.tell(signal.SIGTERM)
    assert sent == [PREEMPT, STOP]


def test_one_that_starts_while_the_others_are_asked_to_leave_is_asked_too(start):
    crew = Supervisor()
    crew.preempt()
    child = start(LISTENS)
    crew.add(child)
    assert ended(crew) == [child]
    assert child.exitcode == 75


def test_what_does_not_leave_in_time_is_killed_and_accounted_for(start, monkeypatch):
    crew = Supervisor()
    crew.add(start(DEAF))
    crew.add(start(DEAF))
    assert crew.seconds_preempting == 0
    crew.preempt()
    assert not crew.out_of_grace
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.0)
    assert crew.out_of_grace
    children = list(crew.children)
    crew.kill_all()
    assert crew.children == []
    assert [child.asked for child in children] == [[("death", -signal.SIGKILL)]] * 2


def test_the_grace_begins_with_the_first_request(monkeypatch):
    crew, now = Supervisor(), [0.0]
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0]))
    crew.preempt()
    now[0] = 4.0
    crew.preempt()
    assert crew.seconds_preempting == 4.0


def test_one_that_is_gone_before_it_is_told_is_no_error(start):
    child = start(LISTENS)
    child.process.kill()
    child.process.wait()
    child.tell(PREEMPT)
    child.kill()


@pytest.mark.parametrize(
    ("written", "said"), [("one\ntwo\n\n", "two"), ("", "it said nothing"), (None, "it said nothing"), ("a\rb\n", "b")]
)
def test_the_last_word_of_a_worker(tmp_path, written, said):
    if written is not None:
        (tmp_path / "log.txt").write_text(written)
    assert supervisor.last_line(tmp_path / "log.txt") == said
