"""A sweep on this machine, without W&B's server: the same file, its search engine, worker processes.

The folder `runs/<sweep>/` is the whole state: sweep.json holds the cells drawn so far, each run's folder what it came to.
Running a sweep again therefore finishes what is missing and repeats nothing. The records alone do as well: without sweep.json the
cells are drawn anew and find their runs, or, of a search that learns, are taken from its runs; a run that was cut off, and whose
checkpoint is not there, starts anew. A run that began under an earlier version of identities keeps its folder and its name.
"""

import json
import os
import signal
import statistics
import time
from collections.abc import Callable, Generator, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from reglab import atomic, reading
from reglab.atomic import write_whole
from reglab.config import DataConfig, RunConfig, identity
from reglab.errors import ReglabError, UserError, machine_fault
from reglab.exits import PREEMPTED
from reglab.processes.signals import PREEMPT, STOP, Interrupted
from reglab.sweep import assignment, ledger
from reglab.sweep.limit import Limit, Rest
from reglab.sweep.spec import SweepSpec
from reglab.sweep.workers import BURNT, GRACE_SECONDS, LOST, Process, Start, cores, last_line, pid, shares, threads, visible_gpus
from reglab.tracking import client, storage
from reglab.tracking.images import refuse_mixed, refuse_other
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import (
    LOG,
    RECORD,
    RUN_LOCK,
    former_names,
    mark_crashed,
    read_run,
    readable,
    set_aside,
    version,
    write_record,
    write_run,
)

POLL_SECONDS = 0.25
LEDGER = "sweep.json"
_MEND_LEDGER = "remove it; runs that have finished stay"
_MOST_LEDGER_BYTES = 16 * 10**6
_PARAMETERS = "parameters.yaml"


@dataclass(eq=False)
class Cell:
    """One run that the search asked for, and what it came to so far."""

    run_id: str
    values: dict[str, Any]
    label: str
    epochs: int
    seed: int
    config: RunConfig | None = None
    record: RunRecord | None = None
    lost: bool = False
    """Whether it was cut off and its checkpoint is not there: it starts anew."""

    @classmethod
    def of(cls, spec: SweepSpec, values: dict[str, Any], number: int) -> "Cell":
        """A cell of valid values is named after what it does; one that cannot be built, after its place in the sweep."""
        try:
            asked = spec.asked(values)
        except UserError:
            return cls(f"unbuildable-{number}", values, "cannot be built", 0, 0)
        epochs = asked.config.train.epochs if asked.config else 0  # another program's are its own affair
        return cls(asked.run_id, values, asked.label, epochs, asked.seed, asked.config)

    @property
    def state(self) -> State:
        """How its run stands; `pending` where none has begun."""
        return self.record.state if self.record else State.pending

    @property
    def epochs_done(self) -> int:
        """How many epochs its run has to go on from."""
        return self.record.steps_done if self.record and not self.lost else 0

    @property
    def has_begun(self) -> bool:
        """Whether it goes on from where it was cut off."""
        return self.record is not None and not self.state.ended and not self.lost


@dataclass
class _Worker:
    cell: Cell
    process: Process
    slot: int
    record_before: RunRecord | None
    clock_before: float
    started: float
    told: set[signal.Signals] = field(default_factory=set)
    seen: object = None
    """Which version of the record was read."""


class Drawn(NamedTuple):
    """What a search has drawn, and whether it found out by itself that there is no more, whatever its `run_cap`."""

    values: list[dict[str, Any]]
    is_over: bool = False


def drawn(root: Path, spec: SweepSpec) -> Drawn:
    """What this sweep has drawn as its folder tells, which is `root` or in it; nothing where none does."""
    for path in (root / LEDGER, *sorted(root.glob(f"*/{LEDGER}"))):
        with suppress(OSError, UserError):  # one that is damaged is an error where the sweep is run
            asked, draws = _ledger(path)
            if asked == spec.fingerprint(whatever_seeds=True):
                return draws
    return Drawn([])


def _ledger(path: Path) -> tuple[str, Drawn]:
    """What the sweep of a folder asks for, and what it has drawn. Raises UserError for a damaged one, FileNotFoundError for none."""
    try:
        stored = reading.parsed(reading.whole(path, _MOST_LEDGER_BYTES, _MEND_LEDGER))
        asked, draws = stored["spec"], stored["draws"]
        if not isinstance(asked, str) or not isinstance(draws, list) or not all(isinstance(values, dict) for values in draws):
            raise ValueError("what a sweep asks for is a text, and each draw a mapping")
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {_MEND_LEDGER}") from None
    return asked, Drawn(draws, stored.get("over") is True)


class LocalSweep:
    """Runs a sweep with `workers` processes at a time. Only one process may run a folder's sweep.

    With a `limit` a run is started only if it is expected to end in what is left of it; where nothing tells yet, one is, to see.
    `beyond`: and so is a run that is too long for any call, where nothing else fits: it goes on over several.
    `given` are runs from elsewhere: those that have finished are taken as done here, those of a folder of images by its name.
    `fingerprint` tells that of the images here, so that no run on other images of the same name is taken as done; it may raise
    Interrupted, which is a preemption.
    """

    def __init__(
        self,
        spec: SweepSpec,
        folder: Path,
        workers: int,
        start: Start,
        retry_failed: bool = False,
        limit: Limit | None = None,
        beyond: bool = True,
        given: Iterable[RunRecord] = (),
        fingerprint: Callable[[DataConfig], str] | None = None,
    ):
        self.spec, self.folder, self.workers, self.start, self.retry_failed = spec, folder, workers, start, retry_failed
        self.limit, self.beyond = limit, beyond
        self._fingerprint, self._fingerprints = fingerprint, dict[DataConfig, str]()
        given = [record for record in given if record.state == State.finished]
        refuse_mixed(given)
        self._given = {(record.identity, record.seed): record for record in given}
        self._former_names = {key: record.run_id for key, record in self._given.items() if record.has_former_name}
        self.engine = spec.search()
        self.complaint: str | None = None
        """Why this machine cannot go on with it, where that ended it."""
        self.draws: list[Cell] = []  # in the order of the search; what it drew twice is there twice
        self._gpus, self._shares = visible_gpus(), shares(cores(), workers)
        self._running: list[_Worker] = []
        self._launched: set[str] = set()
        self._cut: set[str] = set()
        self._faults = 0  # of the machine's, since a run last ended otherwise
        self._preempting_since: float | None = None

    @property
    def cells(self) -> list[Cell]:
        """Each run once."""
        return list(dict.fromkeys(self.draws))

    @property
    def undrawn(self) -> int:
        """How many runs the search has yet to draw; one where it ends by itself, and has not yet."""
        if self.spec.method == "grid" or self.engine.exhausted:
            return 0
        return 1 if self.spec.run_cap is None else max(self.spec.run_cap - len(self.draws), 0)

    def run(self) -> Generator[None, None, None]:
        """Works until nothing is left, yielding some times a second so that the caller can show how it stands.

        At its first yield it has looked at what there is, and nothing is begun: until then it may be interrupted at any moment.
        Ends early where the machine cannot go on, and says why in `complaint`. Raises UserError where another process runs this sweep,
        the folder holds another one, or its runs saw other images.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.folder}: another process is running this sweep; wait for it, or give this one another --name") from None
        try:
            if self.limit:
                self.limit.learn_from(self.folder.parent)
                self.limit.learn(self._given.values())
            atomic.sweep(self.folder)
            self._take_up()
            if self.limit:
                self.limit.begin()
            yield
            while self._advance_or_close():
                yield
                time.sleep(POLL_SECONDS)
            yield
        finally:
            self._kill()
            self.engine.close()
            lock.release()

    def preempt(self) -> None:
        """Ask every worker to leave a checkpoint, and start no other. Safe to call from a signal handler."""
        self._preempting_since = self._preempting_since or time.monotonic()

    def seconds_left(self) -> float | None:
        """Expected from the epochs so far, or None before there are any."""
        cells = self.cells
        if self.spec.program:
            each, left = self._seconds_of_a_run(), sum(not cell.state.ended for cell in cells) + self.undrawn
            return each and each * left / self.workers
        paces = [pace for cell in cells if cell.record and (pace := _seconds_per_epoch(cell.record)) is not None]
        if not paces:
            return None
        epochs = sum(cell.epochs - cell.epochs_done for cell in cells if not cell.state.ended)
        epochs += self.undrawn * max(cell.epochs for cell in cells)
        return statistics.mean(paces) * epochs / self.workers

    @property
    def names(self) -> frozenset[str]:
        """Of all runs: their ids, and names for those that the search has yet to draw."""
        return frozenset([cell.run_id for cell in self.cells] + self._undrawn_names)

    @property
    def _undrawn_names(self) -> list[str]:
        return [f"{self.folder.name}: undrawn {number}" for number in range(self.undrawn)]

    def rest(self) -> Rest:
        """The runs that another call would begin or go on with, now that this one is over; not those that died by themselves."""
        died = self._launched - self._cut
        left = [cell for cell in self.cells if not cell.state.ended and not (cell.state == State.crashed and cell.run_id in died)]
        return Rest({cell.run_id: self._expected(cell) for cell in left} | dict.fromkeys(self._undrawn_names))

    def _take_up(self) -> None:
        """The cells that an earlier process drew, with their records; of a grid, all cells."""
        self._former_names |= former_names(readable(path.parent for path in sorted(self.folder.parent.glob(f"*/*/{RECORD}"))))
        drawn = self._read_ledger()
        if drawn is not None and self.spec.replicates and self.spec.method == "grid":  # more seeds than it had may be asked for now
            known = {json.dumps(values, sort_keys=True) for values in drawn}
            drawn += [values for values in self.spec.grid() if json.dumps(values, sort_keys=True) not in known]
        if drawn is None:
            drawn = self.spec.grid() if self.spec.method == "grid" else self._learnt_from() if self.spec.learns else []
        for values in drawn:
            self._add(values)
        self.engine = self.spec.search(drawn)
        self._write_ledger()
        for cell in self.cells:
            self._look_up(cell)
            if self.retry_failed and cell.record and cell.state == State.failed:
                self._write(cell, cell.record.changed(state=State.pending, reason=None))
        refuse_mixed(cell.record for cell in self.cells if cell.record)

    def _learnt_from(self) -> list[dict[str, Any]]:
        """What a search has drawn that learns from its runs, as they tell it: it would draw others now that they have ended."""
        here = [record for path in self.folder.glob(f"*/{RECORD}") if (record := set_aside(path.parent))]
        known = {(record.identity, record.seed) for record in here}
        given = [record for key, record in self._given.items() if record.sweep == self.folder.name and key not in known]
        records = sorted(here + given, key=lambda record: record.created)
        return [values for record in records if record.identity and (values := ledger.draw(self.spec, record))][: self.spec.run_cap]

    def _look_up(self, cell: Cell) -> None:
        """What the cell's run came to, here or elsewhere."""
        folder = self.folder / cell.run_id
        self._mark_dead(cell)
        cell.record = set_aside(folder)
        elsewhere = self._given_as_finished(cell) or (None if cell.record else self._finished_elsewhere(cell))
        self._compare_images(cell, elsewhere or cell.record)
        if elsewhere:
            write_run(folder, elsewhere)
            cell.record = elsewhere
        if cell.record and not cell.state.ended and not self.spec.program:  # which keeps checkpoints of its own, or none
            with suppress(ReglabError):  # a store that cannot be asked now: the run's own process will say so
                cell.lost = storage.checkpoint(folder).modified() is None

    def _compare_images(self, cell: Cell, record: RunRecord | None) -> None:
        """Before a run is taken as done, or goes on. Raises UserError where it saw other images than a worker would train on."""
        data = cell.config.data if cell.config else None
        if self._fingerprint and record and record.state != State.failed and data and data.source == "folder" and data.is_here:
            if data not in self._fingerprints:
                self._fingerprints[data] = self._fingerprint(data)
            refuse_other(record, self._fingerprints[data], self.folder / cell.run_id if record is cell.record else "--from")

    def _given_as_finished(self, cell: Cell) -> RunRecord | None:
        """The same arm and seed among the runs that were given, under this cell's name: W&B gives its runs names of its own."""
        is_whole = cell.state.ended and cell.state != State.failed and not (cell.record and cell.record.damage)
        if cell.config is None or cell.state == State.running or is_whole:
            return None
        if cell.config.train.keep_weights:  # which no record brings
            return None
        record = self._given.get((identity(cell.config), cell.seed))
        if record is None or (cell.record and cell.record.damage and not record.history):
            return None
        return record.model_copy(update={"run_id": cell.run_id, "without_history": True if not record.history else None})

    def _mark_dead(self, cell: Cell) -> None:
        """A run that says it is running, and that nobody holds, has crashed. A worker of a sweep that was killed may still hold its own."""
        folder = self.folder / cell.run_id
        if folder.exists():
            with suppress(Timeout), FileLock(folder / RUN_LOCK, timeout=0):
                set_aside(folder)
                mark_crashed(folder)

    def _finished_elsewhere(self, cell: Cell) -> RunRecord | None:
        """The same run, done for another sweep: one arm and seed is trained once, whichever sweeps ask for it.

        Not of another program, which may have changed, nor for a folder of images: two may have one name. Where weights are wanted, one
        that kept them, and a copy of them.
        """
        if self.spec.program or cell.values.get("data", {}).get("source") == "folder":
            return None
        for path in sorted(self.folder.parent.glob(f"*/{cell.run_id}/{RECORD}")):
            with suppress(UserError):  # a damaged record is the other sweep's affair
                record = read_run(path.parent)
                if record and record.state == State.finished and self._has_what_is_wanted(cell, record, path.parent):
                    return record
        return None

    def _has_what_is_wanted(self, cell: Cell, record: RunRecord, there: Path) -> bool:
        """Whether weights are there to be copied where the cell keeps them, and were; always where it does not."""
        if cell.config is None or not cell.config.train.keep_weights:
            return True
        return record.weights is not None and storage.weights(there).copy(storage.weights(self.folder / cell.run_id))

    def _add(self, values: dict[str, Any]) -> Cell:
        cell = Cell.of(self.spec, values, len(self.draws))
        former = self._former_name(cell)
        if former and ((self.folder / former / RECORD).exists() or not any(self.folder.parent.glob(f"*/{cell.run_id}/{RECORD}"))):
            cell.run_id = former
        cell = next((known for known in self.draws if known.run_id == cell.run_id), cell)
        self.draws.append(cell)
        return cell

    def _former_name(self, cell: Cell) -> str | None:
        """What its run is called, here or where it was given, if that began under an earlier version of identities: it keeps that name."""
        return self._former_names.get((identity(cell.config), cell.seed)) if cell.config else None

    def _read_ledger(self) -> list[dict[str, Any]] | None:
        path = self.folder / LEDGER
        try:
            asked, drawn = _ledger(path)
        except FileNotFoundError:
            return None
        if asked != self.spec.fingerprint(whatever_seeds=True):
            raise UserError(f"{self.folder} holds another sweep than this one: give a --name of its own, or remove the folder")
        return drawn.values

    def _write_ledger(self, is_over: bool = False) -> None:
        stored = {"spec": self.spec.fingerprint(whatever_seeds=True), "draws": [cell.values for cell in self.draws]}
        text = json.dumps(stored | ({"over": True} if is_over else {}), indent=1)
        write_whole(self.folder / LEDGER, lambda stream: stream.write(text.encode()))

    def _write(self, cell: Cell, record: RunRecord) -> None:
        write_record(self.folder / cell.run_id, record)
        cell.record = record

    def _advance_or_close(self) -> bool:
        """As `_advance`; a disk that does not do ends the sweep as a preemption would: what can leave a checkpoint does."""
        try:
            return self._advance()
        except OSError as error:
            if self.complaint or not (fault := machine_fault(error)):
                raise
            self.complaint = str(fault)
            self.preempt()
            return True

    def _advance(self) -> bool:
        """Look after the workers once; false when all is done."""
        for worker in list(self._running):
            exitcode = worker.process.exitcode  # before the record is read: a worker writes its record, then exits
            self._look_at(worker)
            if exitcode is not None:
                self._running.remove(worker)
                self._account_for(worker, exitcode)
        if self.limit and self.limit.left <= 0:
            self.preempt()
        if self._preempting_since is not None:
            self._tell((worker.cell.run_id for worker in self._running), PREEMPT)
            if time.monotonic() - self._preempting_since > GRACE_SECONDS or (self.limit and self.limit.is_over):
                self._cut |= {worker.cell.run_id for worker in self._running}
                self._kill()
            return bool(self._running)
        self._tell_engine()
        self._tell(self.engine.prune(), STOP)
        try:
            while len(self._running) < self.workers and self._preempting_since is None and (cell := self._next()):
                self._launch(cell)
        except Interrupted:  # while the images of a newly drawn run were looked at
            self.preempt()
        return bool(self._running)

    def _look_at(self, worker: _Worker) -> None:
        """How far it is, for the limit to learn from."""
        cell = worker.cell
        if (now := version(self.folder / cell.run_id)) == worker.seen:
            return
        worker.seen = now
        cell.record = read_run(self.folder / cell.run_id)
        if cell.record and cell.record != worker.record_before:
            cell.lost = False  # what there was of it has been replaced
            if self.limit:
                self.limit.learn([cell.record])

    def _next(self) -> Cell | None:
        """What to run now: a known cell that has not ended, or a newly drawn one. Each is launched at most once."""
        if cell := self._first_that_fits(self._waiting()):
            return cell
        while self.undrawn and self._may_draw():
            self._tell_engine()
            if (values := self.engine.ask()) is None:  # it has found out that there is no more
                self._write_ledger(is_over=True)
                break
            cell = self._add(values)
            self._write_ledger()
            if not cell.record and cell.run_id not in self._launched:
                self._look_up(cell)
            if cell in self._waiting() and self._first_that_fits([cell]):
                return cell
        return self._first_beyond(self._waiting()) if self.beyond else None

    def _tell_engine(self) -> None:
        for number, cell in enumerate(self.draws):
            self.engine.tell(number, cell.record)

    def _waiting(self) -> list[Cell]:
        """What was not launched yet, the runs first that have begun."""
        waiting = [cell for cell in self.cells if not cell.state.ended and cell.run_id not in self._launched]
        return sorted(waiting, key=lambda cell: not cell.has_begun)

    def _may_draw(self) -> bool:
        """A search that learns draws nothing ahead of its runs, so that a limit does not change what it finds."""
        if not self.limit:
            return True
        return self.limit.can_start and not (self.spec.learns and self._waiting())

    def _first_that_fits(self, cells: Iterable[Cell]) -> Cell | None:
        return next((cell for cell in cells if not self.limit or self._fits(cell, self.limit)), None)

    def _fits(self, cell: Cell, limit: Limit) -> bool:
        """Whether it is expected to end in time; of those of which no run tells, one at a time is started to see."""
        expected = self._expected(cell)
        if expected is not None:
            return expected <= limit.left
        seen_to = {_kind(worker.cell) for worker in self._running}
        return limit.can_start and _kind(cell) not in seen_to

    def _first_beyond(self, cells: Iterable[Cell]) -> Cell | None:
        """A run that a whole call is too short for: it would never begin otherwise."""
        limit = self.limit
        if limit is None or not limit.can_start:
            return None
        return next((cell for cell in cells if limit.is_short_for(self._expected(cell))), None)

    def _expected(self, cell: Cell) -> float | None:
        """Seconds of a worker for what is left of it; None where no run tells, or there is no limit to ask."""
        if self.spec.program:
            return self._seconds_of_a_run() if self.limit else None
        return self.limit.expected(cell.config, cell.epochs - cell.epochs_done) if self.limit else None

    def _seconds_of_a_run(self) -> float | None:
        """What those of another program that have finished took on average; None before any has."""
        ended = [cell.record for cell in self.cells if cell.record and cell.state == State.finished]
        return statistics.mean((record.updated - record.created).total_seconds() for record in ended) if ended else None

    def _launch(self, cell: Cell) -> None:
        slot = min(set(range(self.workers)) - {worker.slot for worker in self._running})
        folder = self.folder / cell.run_id
        variables = assignment.hand_over(self.folder.name, cell.run_id, cell.values, folder / _PARAMETERS)
        variables["REGLAB_RUNS"] = str(self.folder.parent)
        variables |= client.of_local_sweep(self.spec.config)
        if self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        share = self._shares[slot]
        variables["REGLAB_THREADS"] = str(threads(share))
        self._launched.add(cell.run_id)
        clock_before = cell.record.history[-1].time_wall_seconds if cell.record and cell.record.history and cell.epochs_done else 0.0
        process = self.start(variables, folder / LOG, share)
        self._running.append(_Worker(cell, process, slot, cell.record, clock_before, time.monotonic()))

    def _account_for(self, worker: _Worker, exitcode: int) -> None:
        """Correct the record of a worker that did not live to write how it ended, or never began."""
        cell = worker.cell
        self._count_fault(worker, exitcode)
        if cell.record and cell.state != State.running and cell.record != worker.record_before:
            if self.limit and cell.state == State.finished and cell.record.summary:
                self.limit.time(time.monotonic() - worker.started, cell.record, worker.clock_before)
            return
        if exitcode == PREEMPTED:  # before it had begun
            return
        if exitcode == LOST:
            state, reason = State.crashed, "the server of the workers died; it goes on when the sweep is started again"
        elif exitcode < 0:
            state, reason = State.crashed, f"killed by {signal.Signals(-exitcode).name}; it goes on when the sweep is started again"
        else:
            state, reason = State.failed, f"exit code {exitcode}: {last_line(self.folder / cell.run_id / LOG)}"
        record = cell.record or RunRecord(
            run_id=cell.run_id,
            sweep=self.folder.name,
            label=cell.label,
            identity="",
            seed=cell.seed,
            config=cell.values,
            program=self.spec.program and self.spec.program.shown,
        )
        self._write(cell, record.changed(state=state, reason=reason))

    def _count_fault(self, worker: _Worker, exitcode: int) -> None:
        """A worker that nobody told to leave has met a fault of the machine's; some in a row, and no other is started."""
        if exitcode != PREEMPTED or worker.told:
            self._faults = 0
            return
        record = worker.cell.record
        reason = record.reason if record and record != worker.record_before else last_line(self.folder / worker.cell.run_id / LOG)
        if reason is None:  # somebody told it, and not this process
            return
        self._faults += 1
        if self._faults >= BURNT:
            self.complaint = f"{self._faults} runs in a row, the last: {reason}"
            self.preempt()

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
            with suppress(ReglabError, OSError):  # a disk that does not do: the others are ended all the same
                mark_crashed(self.folder / worker.cell.run_id)
                worker.cell.record = read_run(self.folder / worker.cell.run_id)
        self._running.clear()


def _kind(cell: Cell) -> Hashable:
    """Runs of one kind tell of each other what they take."""
    return (cell.config.model, cell.config.data) if cell.config else None


def _seconds_per_epoch(record: RunRecord) -> float | None:
    walls = [row.time_wall_seconds for row in record.history]
    return statistics.median(later - earlier for earlier, later in pairwise(walls)) if len(walls) > 1 else None
