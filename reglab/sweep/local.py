"""A sweep on this machine, without W&B's server: the same file, W&B's search engine, worker processes.

The folder `runs/<sweep>/` is the whole state: sweep.json holds the cells drawn so far, each run's folder what it came to.
Running a sweep again therefore finishes what is missing and repeats nothing.
"""

import json
import os
import signal
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reglab.atomic import write_whole
from reglab.config import RunConfig, run_id
from reglab.errors import UserError
from reglab.sweep import assignment
from reglab.sweep.search import Search
from reglab.sweep.spec import SweepSpec
from reglab.sweep.workers import GRACE_SECONDS, LOST, Process, Start, cores, last_line, pid, shares, visible_gpus
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import LOG, RECORD, RUN_LOCK, mark_crashed, read_run, write_record, write_run

POLL_SECONDS = 0.25
LEDGER = "sweep.json"
_PARAMETERS = "parameters.yaml"


@dataclass(eq=False)
class Cell:
    """One run that the search asked for, and what it came to so far."""

    run_id: str
    values: dict[str, Any]
    label: str
    epochs: int
    seed: int
    record: RunRecord | None = None

    @classmethod
    def of(cls, values: dict[str, Any], number: int) -> "Cell":
        """A cell of valid values is named after what it does; one that cannot be built, after its place in the sweep."""
        try:
            config = RunConfig.parse(values)
        except UserError:
            return cls(f"unbuildable-{number}", values, "cannot be built", 0, 0)
        return cls(run_id(config), values, config.label, config.train.epochs, config.train.seed)

    @property
    def state(self) -> State:
        return self.record.state if self.record else State.pending

    @property
    def epochs_done(self) -> int:
        return len(self.record.history) if self.record else 0


@dataclass
class _Worker:
    cell: Cell
    process: Process
    slot: int
    record_before: RunRecord | None
    told: set[signal.Signals] = field(default_factory=set)


class LocalSweep:
    """Runs a sweep with `workers` processes at a time. Only one process may run a folder's sweep."""

    def __init__(self, spec: SweepSpec, folder: Path, workers: int, start: Start, retry_failed: bool = False):
        self.spec, self.folder, self.workers, self.start, self.retry_failed = spec, folder, workers, start, retry_failed
        self.search = Search(spec.config)
        self.draws: list[Cell] = []  # in the order of the search; what it drew twice is there twice
        self._gpus, self._shares = visible_gpus(), shares(cores(), workers)
        self._running: list[_Worker] = []
        self._launched: set[str] = set()
        self._preempting_since: float | None = None

    @property
    def cells(self) -> list[Cell]:
        """Each run once."""
        return list(dict.fromkeys(self.draws))

    @property
    def undrawn(self) -> int:
        """How many runs the search has yet to draw."""
        return 0 if self.spec.method == "grid" else max((self.spec.run_cap or 0) - len(self.draws), 0)

    def run(self) -> Iterator[None]:
        """Works until nothing is left, yielding some times a second so that the caller can show how it stands.

        Raises UserError where another process runs this sweep, or the folder holds another one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.folder}: another process is running this sweep; wait for it, or give this one another --name") from None
        try:
            self._take_up()
            while self._advance():
                yield
                time.sleep(POLL_SECONDS)
            yield
        finally:
            self._kill()
            lock.release()

    def preempt(self) -> None:
        """Ask every worker to leave a checkpoint, and start no other. Safe to call from a signal handler."""
        self._preempting_since = self._preempting_since or time.monotonic()

    def seconds_left(self) -> float | None:
        """Expected from the epochs so far, or None before there are any."""
        cells = self.cells
        paces = [pace for cell in cells if cell.record and (pace := _seconds_per_epoch(cell.record)) is not None]
        if not paces:
            return None
        epochs = sum(cell.epochs - cell.epochs_done for cell in cells if not cell.state.ended)
        epochs += self.undrawn * max(cell.epochs for cell in cells)
        return statistics.mean(paces) * epochs / self.workers

    def _take_up(self) -> None:
        """The cells that an earlier process drew, with their records; of a grid, all cells."""
        drawn = self._read_ledger()
        if drawn is None:
            drawn = self.spec.grid() if self.spec.method == "grid" else []
        for values in drawn:
            self._add(values)
        self._write_ledger()
        for cell in self.cells:
            self._mark_dead(cell)
            cell.record = read_run(self.folder / cell.run_id)
            if not cell.record and (elsewhere := self._finished_elsewhere(cell)):
                write_run(self.folder / cell.run_id, elsewhere)
                cell.record = elsewhere
            if self.retry_failed and cell.record and cell.state == State.failed:
                self._write(cell, cell.record.changed(state=State.pending, reason=None))

    def _mark_dead(self, cell: Cell) -> None:
        """A run that says it is running, and that nobody holds, has crashed. A worker of a sweep that was killed may still hold its own."""
        folder = self.folder / cell.run_id
        if folder.exists():
            with suppress(Timeout), FileLock(folder / RUN_LOCK, timeout=0):
                mark_crashed(folder)

    def _finished_elsewhere(self, cell: Cell) -> RunRecord | None:
        """The same run, done for another sweep: one arm and seed is trained once, whichever sweeps ask for it.

        Not for a folder of images: two may have one name.
        """
        if cell.values.get("data", {}).get("source") == "folder":
            return None
        for path in sorted(self.folder.parent.glob(f"*/{cell.run_id}/{RECORD}")):
            with suppress(UserError):  # a damaged record is the other sweep's affair
                if (record := read_run(path.parent)) and record.state == State.finished:
                    return record
        return None

    def _add(self, values: dict[str, Any]) -> Cell:
        cell = Cell.of(values, len(self.draws))
        cell = next((known for known in self.draws if known.run_id == cell.run_id), cell)
        self.draws.append(cell)
        return cell

    def _read_ledger(self) -> list[dict[str, Any]] | None:
        path = self.folder / LEDGER
        try:
            stored = json.loads(path.read_bytes())
            asked, drawn = stored["spec"], list(stored["draws"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: remove it; runs that have finished stay") from None
        if asked != self.spec.fingerprint():
            raise UserError(f"{self.folder} holds another sweep than this one: give a --name of its own, or remove the folder")
        return drawn

    def _write_ledger(self) -> None:
        text = json.dumps({"spec": self.spec.fingerprint(), "draws": [cell.values for cell in self.draws]}, indent=1)
        write_whole(self.folder / LEDGER, lambda stream: stream.write(text.encode()))

    def _write(self, cell: Cell, record: RunRecord) -> None:
        write_record(self.folder / cell.run_id, record)
        cell.record = record

    def _advance(self) -> bool:
        """Look after the workers once; false when all is done."""
        for worker in list(self._running):
            exitcode = worker.process.exitcode  # before the record is read: a worker writes its record, then exits
            worker.cell.record = read_run(self.folder / worker.cell.run_id)
            if exitcode is not None:
                self._running.remove(worker)
                self._account_for(worker, exitcode)
        if self._preempting_since is not None:
            self._tell((worker.cell.run_id for worker in self._running), signal.SIGUSR1)
            if time.monotonic() - self._preempting_since > GRACE_SECONDS:
                self._kill()
            return bool(self._running)
        self._tell(self.search.to_stop([(cell.values, cell.record) for cell in self.cells]), signal.SIGUSR2)
        while len(self._running) < self.workers and self._preempting_since is None and (cell := self._next()):
            self._launch(cell)
        return bool(self._running)

    def _next(self) -> Cell | None:
        """What to run now: a known cell that has not ended, or a newly drawn one. Each is launched at most once."""
        for cell in self.cells:
            if not cell.state.ended and cell.run_id not in self._launched:
                return cell
        while self.undrawn:
            cell = self._add(self.search.draw([(cell.values, cell.record) for cell in self.draws]))
            self._write_ledger()
            if not cell.state.ended and cell.run_id not in self._launched:
                return cell
        return None

    def _launch(self, cell: Cell) -> None:
        slot = min(set(range(self.workers)) - {worker.slot for worker in self._running})
        folder = self.folder / cell.run_id
        variables = assignment.hand_over(self.folder.name, cell.run_id, cell.values, folder / _PARAMETERS)
        variables["REGLAB_RUNS"] = str(self.folder.parent)
        variables["WANDB_MODE"] = os.environ.get("WANDB_MODE", "offline")  # no server knows this sweep
        if self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        share = self._shares[slot]
        variables["REGLAB_THREADS"] = str(len(share) or 1)
        self._launched.add(cell.run_id)
        self._running.append(_Worker(cell, self.start(variables, folder / LOG, share), slot, cell.record))

    def _account_for(self, worker: _Worker, exitcode: int) -> None:
        """Correct the record of a worker that did not live to write how it ended, or never began."""
        cell = worker.cell
        if cell.record and cell.state != State.running and cell.record != worker.record_before:
            return
        if exitcode == LOST:
            state, reason = State.crashed, "the server of the workers died; it goes on when the sweep is started again"
        elif exitcode < 0:
            state, reason = State.crashed, f"killed by {signal.Signals(-exitcode).name}; it goes on when the sweep is started again"
        else:
            state, reason = State.failed, f"exit code {exitcode}: {last_line(self.folder / cell.run_id / LOG)}"
        record = cell.record or RunRecord(
            run_id=cell.run_id, sweep=self.folder.name, label=cell.label, identity="", seed=cell.seed, config=cell.values
        )
        self._write(cell, record.changed(state=state, reason=reason))

    def _tell(self, run_ids: Iterable[str], what: signal.Signals) -> None:
        """Signal the workers of these runs, once."""
        wanted = set(run_ids)
        for worker in self._running:
            if worker.cell.run_id in wanted and what not in worker.told and worker.process.exitcode is None:
                worker.told.add(what)
                os.kill(pid(worker.process), what)

    def _kill(self) -> None:
        """End workers that are still there; their runs go on from their last checkpoints another time."""
        for worker in self._running:
            if worker.process.exitcode is None:
                os.kill(pid(worker.process), signal.SIGKILL)
            worker.process.join()
            mark_crashed(self.folder / worker.cell.run_id)
            worker.cell.record = read_run(self.folder / worker.cell.run_id)
        self._running.clear()


def _seconds_per_epoch(record: RunRecord) -> float | None:
    walls = [row.time_wall_seconds for row in record.history]
    return statistics.median(later - earlier for earlier, later in pairwise(walls)) if len(walls) > 1 else None
