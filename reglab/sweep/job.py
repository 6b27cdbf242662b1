"""A run that a worker of this machine trains: how far it is, as its record says, and what its end means."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reglab.errors import ReglabError
from reglab.exits import PREEMPTED, SERVER_LOST, killed_by
from reglab.processes.supervisor import Child, Process, Start, last_line
from reglab.sweep.machine import threads
from reglab.tracking.record import RunRecord
from reglab.tracking.store import LOG, mark_crashed, read_run, version

BURNT = 3
"""Runs in a row that end by a fault of the machine's, before it takes no more."""


def start_worker(
    start: Start, folder: Path, variables: Mapping[str, str], gpu: str | None, cores: Collection[int], gpu_runs: int = 1
) -> Process:
    """Start a worker for the run of this folder, which the variables hand over, on this GPU, if any, and on these cores.

    `gpu_runs`: how many runs at a time the GPU is for, this one among them.
    """
    place = {"REGLAB_RUNS": str(folder.parent.parent), "REGLAB_THREADS": str(threads(cores))}
    if gpu:
        place |= {"CUDA_VISIBLE_DEVICES": gpu, "REGLAB_GPU_RUNS": str(gpu_runs)}
    return start({**variables, **place}, folder / LOG, cores)


@dataclass(eq=False, kw_only=True)
class Job(Child):
    """A worker's process and its run. `record_before` is what the run had come to as the worker was started."""

    folder: Path
    record_before: RunRecord | None
    record: RunRecord | None = None
    """What it has come to by this worker; None before that has written of it."""
    seen: object = None
    """Which version of the record was read."""

    @property
    def run_id(self) -> str:
        """Its run's, after which the folder is called."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """What its worker says."""
        return self.folder / LOG

    def look(self) -> None:
        """Read how far it is. Raises UserError for a damaged record, MachineError or OSError where the disk does not give it."""
        if (now := version(self.folder)) == self.seen:
            return
        found = read_run(self.folder)
        self.seen = now  # what could not be read is looked at again
        if found and found != self.record_before:
            self.record = found

    def account_for_death(self) -> None:
        """The run goes on from its last checkpoint another time."""
        with suppress(ReglabError, OSError):  # a damaged record, a disk that does not do: the others are looked after all the same
            mark_crashed(self.folder)
            self.look()

    @property
    def killed(self) -> str | None:
        """What ended it, in words; None of one that ended by itself."""
        if self.exitcode == SERVER_LOST:
            return "the server of the workers died"
        return killed_by(self.exitcode) if self.exitcode is not None else None

    @property
    def fault(self) -> str | None:
        """The machine's, by which it ended, in words: it left as one that is asked to, and nobody is known to have asked it."""
        if self.exitcode != PREEMPTED or self.told:
            return None
        return self.record.reason if self.record else last_line(self.log)
