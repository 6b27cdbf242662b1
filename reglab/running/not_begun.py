"""A run of a sweep that does not begin in this process: what its record says of that, and what W&B hears."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from reglab.exits import PREEMPTED
from reglab.processes.signals import Request
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.tracking import client
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import RUN_LOCK, DamagedRecordError, LocalRun, read_run
from reglab.tracking.wandb_run import WandbRun


def not_here() -> int:
    """The run that an agent was handed does not begin on this machine: W&B gives it to another. Returns the exit code.

    If it has begun before, its record says how far it is.
    """
    job = assignment.received()
    assert job and job.run_id, "an agent started it"
    folder = settings().runs / job.sweep / job.run_id
    fresh = RunRecord(run_id=job.run_id, sweep=job.sweep, label=job.run_id, identity="", seed=0, config=job.values)
    hand_back(_known(folder) or fresh, folder)
    return PREEMPTED


def _known(folder: Path) -> RunRecord | None:
    """How far the run is, where its record can be read."""
    with suppress(DamagedRecordError):
        return read_run(folder)
    return None


def hand_back(record: RunRecord, folder: Path) -> None:
    """Have W&B give the run, which is as far as its record says, to another agent."""
    wandb_run = WandbRun(folder)
    wandb_run.started(record)
    wandb_run.preempting()
    wandb_run.ended(record.changed(state=State.preempted))


def ended_before_it_began(request: Request, record: RunRecord, folder: Path) -> RunRecord:
    """The run of a sweep was asked to end before this process trained any of it: its record says so, and W&B hears of it.

    Not where it has ended here before, nor where another process trains it: the record is that one's, and so is what W&B hears.
    Returns what this process's part in it came to.
    """
    ended = latest = _known(folder) or record
    if not latest.state.ended or latest.state == State.failed:
        if request == Request.stop:
            ended = latest.changed(state=State.stopped, reason="stopped on request, before it began")
        else:
            ended = latest.changed(state=State.preempted, reason=None)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / RUN_LOCK, timeout=0):
                local = LocalRun(folder)
                local.ended(ended)
                if request == Request.stop:
                    local.checkpoint.remove()
        except Timeout:
            return ended
    if client.mode() == "online":
        if ended.state == State.preempted:
            hand_back(latest, folder)
        else:
            tell_again(ended, folder, lambda: True)
    return ended


def record_unbuildable(job: assignment.Assignment, reason: str) -> None:
    """Record, here and at W&B, that the run which was handed over failed, since it asks for what cannot be built."""
    name = job.run_id or "unbuildable"
    folder = settings().runs / job.sweep / name
    record = RunRecord(run_id=name, sweep=job.sweep, label=name, identity="", seed=0, config=job.values)
    for sink in (LocalRun(folder), WandbRun(folder)):
        sink.ended(record.changed(state=State.failed, reason=reason))


def tell_again(record: RunRecord, folder: Path, hurried: Callable[[], object]) -> None:
    """W&B hands a run out that has ended here: its process was killed before W&B had the end."""
    wandb_run = WandbRun(folder, hurried=hurried)
    wandb_run.started(record)
    wandb_run.ended(record)
