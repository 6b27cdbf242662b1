"""The runs of a W&B sweep on this machine: a W&B agent for each slot, and workers that are warm already.

W&B's agent of a slot takes a run from the server and starts `reglab train` for it. That process only brings the run here
(`relay`), and waits. The run itself is trained by a fork of a process that has imported everything (`Start`), on the slot's
GPU and cores. So this process decides what becomes of each run:

- on a sound machine it is trained; else it is handed back, and W&B gives it to another agent;
- a worker that is killed goes on from its checkpoint, once for each checkpoint; so does a run that died with another machine;
- another program than `reglab train` is started by the worker, with the command that W&B's agent made for it;
- a slot whose runs die in a row takes no more, nor does the machine.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from reglab.errors import ReglabError, UserError, excerpt
from reglab.exits import BAD_INPUT, FAILED, PREEMPTED
from reglab.names import fault as name_fault
from reglab.processes.signals import PREEMPT
from reglab.sweep import assignment, health
from reglab.sweep.relay import Order, Relay
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.workers import BURNT, GRACE_SECONDS, LOST, Process, Start, last_line, pid, shares, threads
from reglab.tracking import storage
from reglab.tracking.images import KEPT
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import LOG, mark_crashed, read_run, version
from reglab.tracking.wandb_library import STARTED_BY
from reglab.tracking.wandb_project import ListedRun, runs_of_sweep, state_of_sweep

T = TypeVar("T")

POLL_SECONDS = 0.2
STAGGER_SECONDS = 1.0
"""Between the starts of two W&B agents: they import and register one after the other."""

LATE_SECONDS = 2.0
"""How long a run may still arrive from a W&B agent that was just ended."""

TRIES = 5
"""Starts of a W&B agent that bring no run before its slot gives up."""

REFUSALS = 2
"""Answers in a row, half a minute apart, that the key is not good, before the machine takes no more runs: one may be a proxy's."""

STALE_SECONDS = 120.0
"""A run that was not heard of for so long is dead, though W&B waits for it a while longer."""

LOOK_SECONDS = 30.0
"""Between two looks at the sweep's runs on the server."""

AHEAD_SECONDS = 10.0
"""How long before the end of a run its W&B agent may fetch the next one: it takes several seconds to see that a run has ended."""

ANSWER_SECONDS = 15.0
"""How long the server, the store of checkpoints or the GPU's driver may take to answer."""

KILL_SECONDS = 10.0
"""How long a worker that was killed may take to be gone: one that a driver holds may never be."""

_DONE = "done"

_PARAMETERS = "parameters.yaml"


@dataclass(eq=False)
class Job:
    """A run that a worker trains or hands back. `order` is None where no W&B agent asked for it: it died elsewhere."""

    run_id: str
    folder: Path
    variables: dict[str, str]
    process: Process
    order: Order | None
    handed_back: bool
    record_before: RunRecord | None
    record: RunRecord | None = None
    first_epochs: int | None = None
    told: set[signal.Signals] = field(default_factory=set)
    seen: object = None

    def look(self) -> None:
        """Read how far it is."""
        if (now := version(self.folder)) == self.seen:
            return
        self.seen, found = now, _read(self.folder)
        if found and found != self.record_before:
            self.record = found
        if self.first_epochs is None and self.record and self.record.state == State.running:
            self.first_epochs = self.record.steps_done

    @property
    def proven(self) -> bool:
        """Whether it has done something here that a sick machine could not."""
        if self.record is None or self.handed_back:
            return False
        trained = self.first_epochs is not None and self.record.steps_done > self.first_epochs
        return trained or self.record.state in (State.finished, State.stopped, State.diverged)

    @property
    def seconds_left(self) -> float:
        """As its epochs so far let expect; none of them is short enough to foresee before the first has passed."""
        if not self.proven or not self.record or not self.record.history:
            return math.inf
        row = self.record.history[-1]
        epochs: int = self.record.config["train"]["epochs"]
        return (epochs - row.epoch) * row.time_wall_seconds / row.epoch

    def tell(self, what: signal.Signals) -> None:
        """Pass a request on, once. It does not ask for the exit code, which is for one thread to ask."""
        if what not in self.told:
            self.told.add(what)
            with suppress(ProcessLookupError):
                os.kill(pid(self.process), what)


@dataclass(eq=False)
class Slot:
    """A place for one run at a time. `count`: how many it may still take; None: as many as there are."""

    number: int
    gpu: str | None = None
    cores: Sequence[int] = ()
    count: int | None = None
    job: Job | None = None
    agent: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    tries: int = 0
    deaths: int = 0
    over: bool = False
    """Whether W&B said that it has no more runs."""
    out: str | None = None
    """Why it takes no more runs."""

    @property
    def busy(self) -> bool:
        """Whether something goes on in it, or is yet to."""
        return self.agent is not None or self.job is not None or self.out is None

    def close(self, why: str) -> None:
        """Take no more runs: W&B's agent of this slot ends at once, and leaves the run that goes on."""
        self.out = self.out or why
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        self.agent = None


def slots(gpus: Sequence[str], per_gpu: int, cores: Sequence[int], count: int | None = None) -> list[Slot]:
    """The slots of a machine: `per_gpu` on each GPU, or, without a GPU, on the processor; the cores and `count` divided among them."""
    names: list[str | None] = [name for _ in range(per_gpu) for name in gpus] or [None] * per_gpu
    counts = [None if count is None else count // len(names) + (number < count % len(names)) for number in range(len(names))]
    return [Slot(number, *each) for number, each in enumerate(zip(names, shares(cores, len(names)), counts, strict=True))]


class SweepAgent:
    """Works on a sweep with these slots until nothing is left. `say` gets a line whenever something happens."""

    def __init__(self, sweep: RemoteSweep, folder: Path, slots: Sequence[Slot], train: Start, hand_back: Start, say: Callable[[str], None]):
        self.sweep, self.folder, self.slots = sweep, folder, list(slots)
        self.ended: Counter[str] = Counter()
        """How the runs ended that were trained here."""
        self._train, self._hand_back, self._say = train, hand_back, say
        self._relay = Relay()
        self._orders: list[Order] = []
        self._deaths = 0  # since a run last ended well
        self._sound = False  # whether one has completed an epoch since the last death
        self._closing_since: float | None = None
        self._looked = -LOOK_SECONDS
        self._listed: list[ListedRun] = []
        self._state: str | None = "RUNNING"  # the sweep's, as W&B last had it
        self._asked: futures.Future[str | None] | None = None
        self._ask_at = -math.inf
        self._refusals = 0  # of the key, in a row
        self._complained: str | None = None

    @property
    def preempted(self) -> bool:
        """Whether the machine was asked to leave its runs to others."""
        return self._closing_since is not None

    @property
    def complaint(self) -> str | None:
        """Why the machine, or a part of it, took no more runs; None where all is well."""
        return next((slot.out for slot in self.slots if slot.out and slot.out != _DONE), None)

    def preempt(self) -> None:
        """Have every run leave a checkpoint and go back to W&B, and take no other. Safe to call from a signal handler and a thread."""
        self._closing_since = self._closing_since or time.monotonic()
        for slot in self.slots:
            if (job := slot.job) and not job.handed_back:
                job.tell(PREEMPT)  # at once: whoever looks after the slots may be waiting for an answer

    def run(self) -> Iterator[None]:
        """Works until nothing is left, yielding some times a second so that the caller can show how it stands."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._relay:
            try:
                for number, slot in enumerate(self.slots):
                    slot.not_before = time.monotonic() + number * STAGGER_SECONDS
                while self._advance():
                    yield
                yield
            finally:
                for slot in self.slots:
                    slot.close(_DONE)
                    if slot.job:
                        self._kill(slot.job)

    def states_in_sweep(self) -> Counter[str]:
        """How many runs of the whole sweep are in which state, as W&B names them."""
        return Counter(run.state for run in runs_of_sweep(self.sweep.entity, self.sweep.project, self.sweep.sweep_id))

    def _advance(self) -> bool:
        """Look after everything once; false when all is done."""
        self._orders.extend(self._relay.poll(POLL_SECONDS))
        for slot in self.slots:
            if slot.job:
                self._look_after_job(slot, slot.job)
        if self._closing_since is not None:
            return self._close(time.monotonic() - self._closing_since)
        self._take_orders()
        self._watch_sweep()
        for slot in self.slots:
            if not slot.job:
                self._look_after_agent(slot)
        return any(slot.busy for slot in self.slots)

    # Runs that are handed over

    def _take_orders(self) -> None:
        for order in list(self._orders):
            slot = self.slots[order.slot]
            if order.gone:
                self._orders.remove(order)
            elif fault := name_fault(order.variables[assignment.RUN]):
                self._orders.remove(order)
                self._say(f"slot {slot.number}: run {excerpt(order.variables[assignment.RUN])}: {fault}: it is not trained")
                order.answer(BAD_INPUT)
            elif not slot.job and not self._admits(slot):
                self._orders.remove(order)
                self._launch(slot, order.variables, order, handed_back=True)
            elif not slot.job and self._may_risk_another():
                self._orders.remove(order)
                self._launch(slot, order.variables, order)

    def _admits(self, slot: Slot) -> bool:
        """Whether a run may begin in this slot; looks after the machine's health first."""
        if slot.out is None:
            try:
                fault = self._in_time(lambda: health.fault(self.folder, slot.gpu))
            except ReglabError as error:
                fault = f"its disk, its checkpoints or its GPU give {error}"
            if fault and not self.preempted:
                self._take_out(slot, fault)
        return slot.out is None and not self.preempted

    def _in_time(self, ask: Callable[[], T]) -> T:
        """What `ask` returns. Raises ReglabError where it takes too long, or a preemption comes meanwhile; its thread is left behind."""
        answer = _ask(ask)
        for _ in range(round(ANSWER_SECONDS / POLL_SECONDS)):
            if futures.wait([answer], POLL_SECONDS).done:
                return answer.result()
            if self.preempted:
                break
        raise ReglabError(f"no answer within {ANSWER_SECONDS:g} s")

    def _may_risk_another(self) -> bool:
        """Until one run has shown that the machine works, no more are at risk than it may burn."""
        unproven = sum(slot.job is not None and not slot.job.proven for slot in self.slots)
        return self._sound or self._deaths + unproven < BURNT

    def _launch(self, slot: Slot, variables: dict[str, str], order: Order | None, handed_back: bool = False) -> None:
        variables = variables | {"REGLAB_RUNS": str(self.folder.parent)}
        if slot.gpu:
            variables["CUDA_VISIBLE_DEVICES"] = slot.gpu
        variables["REGLAB_THREADS"] = str(threads(slot.cores))
        run_id = variables[assignment.RUN]
        folder = self.folder / run_id
        if self.sweep.program:
            variables["WANDB_DIR"] = str(folder.resolve())  # the agent's is its own
        before = _read(folder)
        process = (self._hand_back if handed_back else self._train)(variables, folder / LOG, slot.cores)
        slot.job = Job(run_id, folder, variables, process, order, handed_back, before)
        slot.tries = 0
        self._say(f"slot {slot.number}: {run_id} {'goes back to W&B' if handed_back else 'begins'}")

    # Runs that go on, and how they end

    def _look_after_job(self, slot: Slot, job: Job) -> None:
        exitcode = job.process.exitcode  # before the record is read: a worker writes its record, then exits
        job.look()
        self._sound = self._sound or job.proven
        if exitcode is not None:
            slot.job = None
            self._account_for(slot, job, exitcode)
        elif job.order:
            for request in job.order.wants:
                job.tell(request)
            if job.order.gone:
                self._kill(job)
            elif self.sweep.method != "bayes" and job.seconds_left < AHEAD_SECONDS:
                job.order.answer(0)  # a bayes search would choose the next run without this one's result
                job.order = None

    def _account_for(self, slot: Slot, job: Job, exitcode: int) -> None:
        if job.handed_back:
            self._answer(job, exitcode)
            return
        if killed := exitcode < 0 or exitcode == LOST:
            _mark_crashed(job.folder)
            job.look()
        if exitcode == 0:
            job.record = job.record or job.record_before  # it had ended here before
        fault = exitcode == PREEMPTED and not job.told and (job.record.reason if job.record else last_line(job.folder / LOG))
        state = job.record.state if job.record else State.preempted if fault else State.failed
        how = f"{_named(job)} {state}"
        if killed:
            how += f": killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else ": the server of the workers died"
        elif state == State.failed:
            how += f": {(job.record and job.record.reason) or last_line(job.folder / LOG)}"
        elif fault:
            how += f": {fault}"
        self._say(f"slot {slot.number}: {how}")
        dropped = job.order is not None and job.order.gone
        if exitcode in (0, PREEMPTED) and not fault:
            self._deaths = slot.deaths = 0
        elif not dropped and exitcode != BAD_INPUT:
            self._count_death(slot, how)
        if killed and not dropped and self._claimed([job.run_id]):
            # It goes on here, or, from a machine that takes no more, elsewhere.
            self._launch(slot, job.variables, job.order, handed_back=bool(slot.out))
            return
        self.ended[state] += 1
        if slot.count is not None:
            slot.count -= 1
        self._answer(job, exitcode)

    def _answer(self, job: Job, exitcode: int) -> None:
        if job.order:
            job.order.answer(exitcode if exitcode >= 0 else FAILED)

    def _count_death(self, slot: Slot, how: str) -> None:
        slot.deaths, self._deaths, self._sound = slot.deaths + 1, self._deaths + 1, False
        if self._deaths >= BURNT:
            for each in self.slots:
                self._take_out(each, f"{self._deaths} runs in a row died on this machine, the last: {how}")
        elif slot.deaths >= BURNT:
            self._take_out(slot, f"{slot.deaths} runs in a row died in it, the last: {how}")

    def _take_out(self, slot: Slot, why: str) -> None:
        if slot.out is None:
            self._say(f"slot {slot.number} takes no more runs: {why}")
        slot.close(why)

    def _kill(self, job: Job) -> None:
        if job.process.exitcode is None:
            os.kill(pid(job.process), signal.SIGKILL)
        job.process.join(KILL_SECONDS)
        _mark_crashed(job.folder)

    def _close(self, seconds: float) -> bool:
        """Have the runs leave their checkpoints, and hand back what still arrives; false when all is done, or time is up."""
        for slot in self.slots:
            slot.close(_DONE)
        self.preempt()
        self._take_orders()
        if seconds > GRACE_SECONDS:
            for slot in self.slots:
                if slot.job:
                    self._end(slot, slot.job)
                    slot.job = None
            return False
        return seconds < LATE_SECONDS or bool(self._orders) or any(slot.job for slot in self.slots)

    def _end(self, slot: Slot, job: Job) -> None:
        """Of a run that did not leave in time: what its record has of its end counts, whether W&B has heard of it or not."""
        self._kill(job)
        job.look()
        late = f"slot {slot.number}: {_named(job)} did not end within {GRACE_SECONDS:.0f} s; it is killed"
        if job.record and job.record.state in KEPT:
            late += f", {job.record.state} before: `reglab sync` sends W&B what it lacks"
            self.ended[job.record.state] += 1
            with suppress(Exception):  # one that stays costs room; each store has kinds of errors of its own
                storage.checkpoint(job.folder).remove()
        self._say(late)

    # W&B's agents

    def _look_after_agent(self, slot: Slot) -> None:
        """Of a slot without a run: find it one that died elsewhere, keep its W&B agent alive, or see that nothing is left."""
        if slot.agent:
            if (exitcode := slot.agent.poll()) is None:
                return
            slot.agent, self._looked, self._ask_at = None, -LOOK_SECONDS, -math.inf
            slot.over = exitcode == 0
            if exitcode:
                self._try_again(slot, exitcode)
        if slot.out or time.monotonic() < slot.not_before:
            return
        if slot.count == 0:
            slot.close(_DONE)
        elif self._may_risk_another() and self._admits(slot) and (run := self._take_up()):
            self._say(f"slot {slot.number}: {run.name} was left by a machine that died")
            self._launch(slot, self._assigned(run), None)
        elif self.preempted:
            return
        elif slot.out is None and not slot.over:
            slot.agent = self._start_agent(slot)
        elif slot.out is None and self._others("preempted"):  # W&B hands them out again
            slot.over = False
            self._try_again(slot, 0)
        elif slot.out is None and any(_age(run) > STALE_SECONDS for run in self._others("running", "preempting")):
            slot.not_before = time.monotonic() + LOOK_SECONDS  # its machine died: W&B will say so
        else:
            slot.close(_DONE)

    def _start_agent(self, slot: Slot) -> subprocess.Popen[bytes]:
        folder = self.folder / "agents" / str(slot.number)
        folder.mkdir(parents=True, exist_ok=True)
        own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # W&B's client of this process
        variables = {
            "WANDB_DIR": str(folder.resolve()),
            "WANDB_AGENT_DISABLE_FLAPPING": "true",  # this agent has rules of its own for runs that die
            "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # the sweep's command is `reglab`
        }
        command = [sys.executable, "-P", "-m", "reglab.tracking.wandb_library", "agent", self.sweep.path]  # nothing of this folder
        if self.sweep.program:
            variables[STARTED_BY] = json.dumps([sys.executable, "-P", "-m", "reglab.sweep.relay"])
        command += [] if slot.count is None else ["--count", str(slot.count)]
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(
                command,
                env=own | variables | self._relay.variables(slot.number),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for this process alone
            )

    def _try_again(self, slot: Slot, exitcode: int) -> None:
        slot.tries += 1
        if slot.tries >= TRIES:
            if exitcode == 0:  # W&B keeps what was preempted to itself: the sweep was ended, or all its runs are there
                slot.close(_DONE)
                return
            said = last_line(self.folder / "agents" / str(slot.number) / LOG)
            self._take_out(slot, f"W&B's agent ended {TRIES} times without a run, the last with exit code {exitcode}: {said}")
        slot.not_before = time.monotonic() + min(2.0**slot.tries, 60.0)

    def _watch_sweep(self) -> None:
        """Say when W&B's page has paused, stopped or deleted the sweep, whose agent waits without a word; nothing waits for the answer."""
        if self._asked is None:
            if time.monotonic() >= self._ask_at:
                self._ask_at = time.monotonic() + LOOK_SECONDS
                self._asked = _ask(lambda: state_of_sweep(self.sweep.entity, self.sweep.project, self.sweep.sweep_id))
            return
        if not self._asked.done():
            return
        asked, self._asked = self._asked, None
        if error := asked.exception():
            self._refusals = self._refusals + 1 if isinstance(error, UserError) else 0
            if self._refusals >= REFUSALS:
                for slot in self.slots:
                    self._take_out(slot, str(error))
            return
        self._refusals = 0
        before, self._state = self._state, asked.result()
        if self._state == before:
            return
        if self._state is None:
            for slot in self.slots:
                self._take_out(slot, "its sweep was deleted at W&B")
        elif self._state == "PAUSED":
            self._say(f"{self.sweep.path} is paused at W&B: this agent waits until it is resumed there")
        elif before == "PAUSED" and self._state in ("PENDING", "RUNNING"):
            self._say(f"{self.sweep.path} is resumed at W&B")
        elif self._state in ("STOPPED", "CANCELED"):
            self._say(f"{self.sweep.path} is {self._state.lower()} at W&B: no more runs begin")

    # What other machines left

    def _others(self, *states: str) -> list[ListedRun]:
        """Runs of the sweep in these states that are not here."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            try:
                self._listed = self._in_time(lambda: runs_of_sweep(self.sweep.entity, self.sweep.project, self.sweep.sweep_id))
            except ReglabError as error:  # what was there the last time is good enough for a while
                if str(error) != self._complained:
                    self._say(f"W&B does not list the sweep's runs: {error}")
                self._complained = str(error)
            self._looked = time.monotonic()
        here = {slot.job.run_id for slot in self.slots if slot.job}
        return [run for run in self._listed if run.state in states and run.name not in here]

    def _take_up(self) -> ListedRun | None:
        """A run that crashed and left a checkpoint: the first machine that asks gets it."""
        crashed = {run.name: run for run in self._others("crashed")}
        return crashed.get(self._claimed(crashed) or "")

    def _claimed(self, run_ids: Iterable[str]) -> str | None:
        """The first of these runs whose checkpoint is there, and this process the first to take it; none where the store is away."""
        try:
            return next((run_id for run_id in run_ids if storage.checkpoint(self.folder / run_id).claim()), None)
        except ReglabError as error:
            self._say(f"no run is taken up: {error}")
            return None

    def _assigned(self, run: ListedRun) -> dict[str, str]:
        variables = assignment.hand_over(self.sweep.sweep_id, run.name, run.config, self.folder / run.name / _PARAMETERS)
        return variables | {"WANDB_ENTITY": self.sweep.entity, "WANDB_PROJECT": self.sweep.project}


def _ask(ask: Callable[[], T]) -> "futures.Future[T]":
    """What `ask` will have returned, in a thread of its own."""
    answer: futures.Future[T] = futures.Future()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()
    return answer


def _age(run: ListedRun) -> float:
    """Seconds since it was last heard of; 0 where nobody knows."""
    return (datetime.now(UTC) - run.heartbeat).total_seconds() if run.heartbeat else 0.0


def _read(folder: Path) -> RunRecord | None:
    """Its record; none, too, where it is damaged, which its worker says."""
    with suppress(UserError):
        return read_run(folder)
    return None


def _mark_crashed(folder: Path) -> None:
    with suppress(UserError, OSError):  # a damaged record, a full disk: the other runs go on
        mark_crashed(folder)


def _named(job: Job) -> str:
    return f"{job.record.label} s{job.record.seed} ({job.run_id})" if job.record and job.record.identity else job.run_id
