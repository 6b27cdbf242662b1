"""A sweep on this machine, without W&B's server: the same file, its search engine, worker processes.

The folder `runs/<sweep>/` is the whole state: sweep.json holds the cells drawn so far, each run's folder what it came to.
Running a sweep again therefore finishes what is missing and repeats nothing. The records alone do as well: without sweep.json the
cells are drawn anew and find their runs, or, of a search that learns, are taken from its runs; a run that was cut off, and whose
checkpoint is not there, starts anew. A run that began under an earlier version of identities keeps its folder and its name.
"""

import json
import statistics
import time
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from reglab import atomic
from reglab.config import DataConfig
from reglab.errors import ReglabError, machine_fault
from reglab.exits import PREEMPTED
from reglab.processes.held import held
from reglab.processes.signals import STOP, Interrupted
from reglab.processes.supervisor import Start, Supervisor, last_line
from reglab.sweep import assignment
from reglab.sweep.draws import Drawn, DrawnCell, read_draws, write_draws
from reglab.sweep.earlier_runs import EarlierRuns
from reglab.sweep.job import BURNT, Job, start_worker
from reglab.sweep.limit import Limit, Rest
from reglab.sweep.machine import cores, shares, visible_gpus
from reglab.sweep.spec import SweepSpec
from reglab.tracking import client
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import RECORD, write_record

POLL_SECONDS = 0.25


@dataclass(eq=False, kw_only=True)
class _CellJob(Job):
    """A cell in the hands of a worker, in one of the places of this machine. `learn` is told what it has come to."""

    cell: DrawnCell
    place: int
    clock_before: float
    started: float
    learn: Callable[[RunRecord], None]

    def look(self) -> None:
        before = self.record
        super().look()
        if self.record and self.record is not before:
            self.cell.record, self.cell.lost = self.record, False  # what there was of it has been replaced
            self.learn(self.record)


class LocalSweep:
    """Runs a sweep with `workers` processes at a time. Only one process may run a folder's sweep.

    With a `limit` a run is started only if it is expected to end in what is left of it; where nothing tells yet, one is, to see.
    `beyond`: and so is a run that is too long for any call, where nothing else fits: it goes on over several.
    `given` are runs from elsewhere: those that have finished are taken as done here, where images of the user's are not here by their name.
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
        self._earlier = EarlierRuns(spec, folder, given, fingerprint)
        self.engine = spec.search()
        self.complaint: str | None = None
        """Why this machine cannot go on with it, where that ended it."""
        self.draws: list[DrawnCell] = []  # in the order of the search; what it drew twice is there twice
        self._gpus, self._shares = visible_gpus(), shares(cores(), workers)
        self._supervisor = Supervisor[_CellJob]()
        self._launched: set[str] = set()
        self._cut: set[str] = set()
        self._faults = 0  # of the machine's, since a run last ended otherwise
        self._error: Exception | None = None  # that ended it, where that is no fault of the machine's

    @property
    def cells(self) -> list[DrawnCell]:
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
        the folder holds another one, or its runs saw other images; once workers go on, that and any other error only when they have left.
        """
        by_another = f"{self.folder}: another process is running this sweep; wait for it, or give this one another --name"
        with held(self.folder / ".lock", otherwise=by_another):
            try:
                if self.limit:
                    self.limit.learn_from(self.folder.parent)
                    self.limit.learn(self._earlier.given)
                atomic.sweep(self.folder)
                self._take_up()
                if self.limit:
                    self.limit.begin()
                yield
                while self._advance_or_close():
                    yield
                    time.sleep(POLL_SECONDS)
                if self._error:
                    raise self._error
                yield
            finally:
                self._supervisor.kill_all()
                self.engine.close()

    def preempt(self) -> None:
        """Ask every worker to leave a checkpoint, and start no other. Safe to call from a signal handler."""
        self._supervisor.preempt()

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
        self._earlier.learn_former_names()
        drawn = read_draws(self.folder, self.spec)
        if drawn is not None and self.spec.replicates and self.spec.method == "grid":  # more seeds than it had may be asked for now
            known = {json.dumps(values, sort_keys=True) for values in drawn}
            drawn += [values for values in self.spec.grid() if json.dumps(values, sort_keys=True) not in known]
        if drawn is None:
            drawn = self.spec.grid() if self.spec.method == "grid" else self._earlier.learnt_from() if self.spec.learns else []
        for values in drawn:
            self._add(values)
        self.engine = self.spec.search(drawn)
        self._keep_draws()
        for cell in self.cells:
            self._earlier.look_up(cell)
            if self.retry_failed and cell.record and cell.state == State.failed:
                self._write(cell, cell.record.changed(state=State.pending, reason=None))
        refuse_mixed(cell.record for cell in self.cells if cell.record)

    def _add(self, values: dict[str, Any]) -> DrawnCell:
        cell = DrawnCell.of(self.spec, values, len(self.draws))
        former = self._earlier.former_name(cell)
        if former and ((self.folder / former / RECORD).exists() or not any(self.folder.parent.glob(f"*/{cell.run_id}/{RECORD}"))):
            cell.run_id = former
        cell = next((known for known in self.draws if known.run_id == cell.run_id), cell)
        self.draws.append(cell)
        return cell

    def _keep_draws(self, is_over: bool = False) -> None:
        write_draws(self.folder, self.spec, Drawn([cell.values for cell in self.draws], is_over))

    def _write(self, cell: DrawnCell, record: RunRecord) -> None:
        write_record(self.folder / cell.run_id, record)
        cell.record = record

    def _advance_or_close(self) -> bool:
        """As `_advance`; what goes wrong ends the sweep as a preemption would: who can leave a checkpoint does."""
        try:
            return self._advance()
        except (OSError, ReglabError) as error:
            if fault := machine_fault(error):
                self.complaint = self.complaint or str(fault)
            else:
                self._error = self._error or error
            self.preempt()
            return self._is_leaving() and any(job.process.exitcode is None for job in self._supervisor.children)

    def _advance(self) -> bool:
        """Look after the workers once; false when all is done."""
        for job in self._supervisor.look():
            if job.exitcode is not None:
                self._account_for(job, job.exitcode)
        if self.limit and self.limit.left <= 0:
            self.preempt()
        if self._supervisor.preempting:
            return self._is_leaving()
        self._tell_engine()
        self._stop(self.engine.prune())
        try:
            while len(self._supervisor.children) < self.workers and not self._supervisor.preempting and (cell := self._next()):
                self._launch(cell)
        except Interrupted:  # while the images of a newly drawn run were looked at
            self.preempt()
        return bool(self._supervisor.children)

    def _is_leaving(self) -> bool:
        """Whether there is a worker yet of those that were told to leave; one that takes too long is killed."""
        if self._supervisor.out_of_grace or (self.limit and self.limit.is_over):
            self._cut |= {job.run_id for job in self._supervisor.children}
            self._supervisor.kill_all()
        return bool(self._supervisor.children)

    def _learn(self, record: RunRecord) -> None:
        if self.limit:
            self.limit.learn([record])

    def _stop(self, run_ids: Iterable[str]) -> None:
        """Have these runs end, and keep what they have reached."""
        wanted = set(run_ids)
        for job in self._supervisor.children:
            if job.run_id in wanted:
                job.tell(STOP)

    def _next(self) -> DrawnCell | None:
        """What to run now: a known cell that has not ended, or a newly drawn one. Each is launched at most once."""
        if cell := self._first_that_fits(self._waiting()):
            return cell
        while self.undrawn and self._may_draw():
            self._tell_engine()
            if (values := self.engine.ask()) is None:  # it has found out that there is no more
                self._keep_draws(is_over=True)
                break
            cell = self._add(values)
            self._keep_draws()
            if not cell.record and cell.run_id not in self._launched:
                self._earlier.look_up(cell)
            if cell in self._waiting() and self._first_that_fits([cell]):
                return cell
        return self._first_beyond(self._waiting()) if self.beyond else None

    def _tell_engine(self) -> None:
        for number, cell in enumerate(self.draws):
            self.engine.tell(number, cell.record)

    def _waiting(self) -> list[DrawnCell]:
        """What was not launched yet, the runs first that have begun."""
        waiting = [cell for cell in self.cells if not cell.state.ended and cell.run_id not in self._launched]
        return sorted(waiting, key=lambda cell: not cell.has_begun)

    def _may_draw(self) -> bool:
        """A search that learns draws nothing ahead of its runs, so that a limit does not change what it finds."""
        if not self.limit:
            return True
        return self.limit.can_start and not (self.spec.learns and self._waiting())

    def _first_that_fits(self, cells: Iterable[DrawnCell]) -> DrawnCell | None:
        return next((cell for cell in cells if not self.limit or self._fits(cell, self.limit)), None)

    def _fits(self, cell: DrawnCell, limit: Limit) -> bool:
        """Whether it is expected to end in time; of those of which no run tells, one at a time is started to see."""
        expected = self._expected(cell)
        if expected is not None:
            return expected <= limit.left
        seen_to = {_kind(job.cell) for job in self._supervisor.children}
        return limit.can_start and _kind(cell) not in seen_to

    def _first_beyond(self, cells: Iterable[DrawnCell]) -> DrawnCell | None:
        """A run that a whole call is too short for: it would never begin otherwise."""
        limit = self.limit
        if limit is None or not limit.can_start:
            return None
        return next((cell for cell in cells if limit.is_short_for(self._expected(cell))), None)

    def _expected(self, cell: DrawnCell) -> float | None:
        """Seconds of a worker for what is left of it; None where no run tells, or there is no limit to ask."""
        if self.spec.program:
            return self._seconds_of_a_run() if self.limit else None
        return self.limit.expected(cell.config, cell.epochs - cell.epochs_done) if self.limit else None

    def _seconds_of_a_run(self) -> float | None:
        """What those of another program that have finished took on average; None before any has."""
        ended = [cell.record for cell in self.cells if cell.record and cell.state == State.finished]
        return statistics.mean((record.updated - record.created).total_seconds() for record in ended) if ended else None

    def _launch(self, cell: DrawnCell) -> None:
        place = min(set(range(self.workers)) - {job.place for job in self._supervisor.children})
        folder = self.folder / cell.run_id
        variables = assignment.hand_over(self.folder.name, cell.run_id, cell.values, folder, cell.identity)
        variables |= client.of_local_sweep(self.spec.config)
        gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
        gpu_runs = len(range(place % len(self._gpus), self.workers, len(self._gpus))) if self._gpus else 1
        self._launched.add(cell.run_id)
        clock_before = cell.record.history[-1].time_wall_seconds if cell.record and cell.record.history and cell.epochs_done else 0.0
        job = _CellJob(
            process=start_worker(self.start, folder, variables, gpu, self._shares[place], gpu_runs),
            folder=folder,
            record_before=cell.record,
            cell=cell,
            place=place,
            clock_before=clock_before,
            started=time.monotonic(),
            learn=self._learn,
        )
        self._supervisor.add(job)

    def _account_for(self, job: _CellJob, exitcode: int) -> None:
        """Correct the record of a worker that did not live to write how it ended, or never began."""
        cell = job.cell
        self._count_fault(job)
        if job.record and job.record.state != State.running:
            if self.limit and job.record.state == State.finished and job.record.summary:
                self.limit.time(time.monotonic() - job.started, job.record, job.clock_before)
            return
        if exitcode == PREEMPTED:  # before it had begun
            return
        if job.killed:
            state, reason = State.crashed, f"{job.killed}; it goes on when the sweep is started again"
        else:
            state, reason = State.failed, f"exit code {exitcode}: {last_line(job.log)}"
        record = cell.record or RunRecord(
            run_id=cell.run_id,
            sweep=self.folder.name,
            label=cell.label,
            identity=cell.identity,
            seed=cell.seed,
            config=cell.values,
            program=self.spec.program and self.spec.program.shown,
        )
        self._write(cell, record.changed(state=state, reason=reason))

    def _count_fault(self, job: _CellJob) -> None:
        """Of the machine's: some in a row, and no other worker is started."""
        if job.exitcode != PREEMPTED or job.told:
            self._faults = 0
        elif reason := job.fault:
            self._faults += 1
            if self._faults >= BURNT:
                self.complaint = f"{self._faults} runs in a row, the last: {reason}"
                self.preempt()


def _kind(cell: DrawnCell) -> Hashable:
    """Runs of one kind tell of each other what they take."""
    return (cell.config.model, cell.config.data) if cell.config else None


def _seconds_per_epoch(record: RunRecord) -> float | None:
    walls = [row.time_wall_seconds for row in record.history]
    return statistics.median(later - earlier for earlier, later in pairwise(walls)) if len(walls) > 1 else None
