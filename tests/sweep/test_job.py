"""What a worker's run has come to, and what its end means: with real records, and a process that only pretends."""

import signal
from types import SimpleNamespace

import pytest

from reglab.errors import MachineError
from reglab.exits import FAILED, PREEMPTED, SERVER_LOST
from reglab.processes.signals import PREEMPT
from reglab.sweep import job as module
from reglab.sweep.job import Job
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import LOG, read_run, write_run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "s" / "r"


@pytest.fixture
def write(folder):
    def kept(state, reason=None):
        write_run(folder, RunRecord(run_id="r", sweep="s", label="l", identity="i", seed=0, config={}, state=state, reason=reason))
        return read_run(folder)

    return kept


@pytest.fixture
def make(folder):
    def job(before=None, exitcode=None):
        return Job(process=SimpleNamespace(pid=1, exitcode=exitcode), folder=folder, record_before=before, exitcode=exitcode)

    return job


def test_what_was_there_before_it_is_not_its_doing(make, write):
    job = make(before=write(State.preempted))
    job.look()
    assert job.record is None
    write(State.running)
    job.look()
    assert job.record.state == State.running


def test_what_the_disk_does_not_give_once_is_looked_at_again(make, write, monkeypatch):
    job = make()
    write(State.finished)
    with monkeypatch.context() as away, pytest.raises(MachineError):
        away.setattr(module, "read_run", lambda folder: (_ for _ in ()).throw(MachineError("its disk does not answer")))
        job.look()
    job.look()
    assert job.record.state == State.finished


def test_a_worker_that_died_leaves_a_run_that_has_crashed(make, write):
    job = make()
    write(State.running)
    job.account_for_death()
    assert job.record.state == State.crashed


def test_a_damaged_record_keeps_nobody_from_the_others(make, folder, write):
    job = make()
    write(State.running)
    (folder / "run.json").write_bytes(b"\xff")
    job.account_for_death()
    assert job.record is None


@pytest.mark.parametrize(
    ("exitcode", "killed"),
    [(None, None), (0, None), (FAILED, None), (-signal.SIGKILL, "killed by SIGKILL"), (SERVER_LOST, "the server of the workers died")],
)
def test_what_ended_it_is_said_of_one_that_did_not_end_by_itself(make, exitcode, killed):
    assert make(exitcode=exitcode).killed == killed


def test_one_that_leaves_unasked_tells_of_a_fault_of_the_machine(make, folder, write):
    folder.mkdir(parents=True)
    (folder / LOG).write_text("one\nno room left\n")
    job = make(exitcode=PREEMPTED)
    assert job.fault == "no room left"  # it never began
    write(State.preempted, reason="its disk is full")
    job.look()
    assert job.fault == "its disk is full"
    assert make(exitcode=FAILED).fault is None


def test_one_that_was_asked_to_leave_tells_of_none(make, folder, write):
    job = make(exitcode=PREEMPTED)
    write(State.preempted)
    job.look()
    assert job.fault is None  # somebody else asked it
    job = make(exitcode=PREEMPTED)
    job.told.add(PREEMPT)
    assert job.fault is None
