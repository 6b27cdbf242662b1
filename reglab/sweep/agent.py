"""The runs of a W&B sweep on this machine: a W&B agent for each slot, and workers that are warm already.

W&B's agent of a slot takes a run from the server and starts `reglab train` for it. That process only brings the run here
(`relay`), and waits. The run itself is trained by a fork of a process that has imported everything (`Start`), on the slot's
GPU and cores. So this process decides what becomes of each run:

- on a sound machine it is trained; else it is handed back, and W&B gives it to another agent;
- a worker that is killed goes on from its checkpoint, once for each checkpoint; so does a run that died with another machine;
- another program than `reglab train` is started by the worker, with the command that W&B's agent made for it;
- a slot whose runs die in a row takes no more, nor does the machine.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reglab.errors import ReglabError, excerpt
from reglab.exits import BAD_INPUT, FAILED, PREEMPTED
from reglab.names import fault as name_fault
from reglab.processes.supervisor import GRACE_SECONDS, Start, Supervisor, last_line
from reglab.sweep import assignment, health, wandb_agent
from reglab.sweep.job import BURNT, start_worker
from reglab.sweep.relay import Order, Relay
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.server_side import LOOK_SECONDS, ServerSide, in_time
from reglab.sweep.slots import Slot, SlotJob
from reglab.tracking import storage
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import LOG, read_run
from reglab.tracking.wandb_states import ListedRun

if TYPE_CHECKING:
    import subprocess

POLL_SECONDS = 0.2
STAGGER_SECONDS = 1.0
"""Between the starts of two W&B agents: they import and register one after the other."""

LATE_SECONDS = 2.0
"""How long a run may still arrive from a W&B agent that was just ended."""

TRIES = 5
"""Starts of a W&B agent that bring no run before its slot gives up."""

STALE_SECONDS = 120.0
"""A run that was not heard of for so long is dead, though W&B waits for it a while longer."""

AHEAD_SECONDS = 10.0
"""How long before the end of a run its W&B agent may fetch the next one: it takes several seconds to see that a run has ended."""

_DONE = "done"


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
        self._supervisor = Supervisor[SlotJob]()
        self._server = ServerSide(sweep, say, lambda: self.preempted)
        self._error: Exception | None = None

    @property
    def preempted(self) -> bool:
        """Whether the machine was asked to leave its runs to others."""
        return self._supervisor.preempting

    @property
    def complaint(self) -> str | None:
        """Why the machine, or a part of it, took no more runs; None where all is well."""
        return next((slot.out for slot in self.slots if slot.out and slot.out != _DONE), None)

    def preempt(self) -> None:
        """Have every run leave a checkpoint and go back to W&B, and take no other. Safe to call from a signal handler and a thread."""
        self._supervisor.preempt()  # at once: whoever looks after the slots may be waiting for an answer

    def run(self) -> Iterator[None]:
        """Works until nothing is left, yielding some times a second so that the caller can show how it stands.

        Raises any error only when the runs that go on have left.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._relay:
            try:
                for number, slot in enumerate(self.slots):
                    slot.not_before = time.monotonic() + number * STAGGER_SECONDS
                while self._advance_or_close():
                    yield
                if self._error:
                    raise self._error
                yield
            finally:
                for slot in self.slots:
                    slot.close(_DONE)
                self._supervisor.kill_all()

    def states_in_sweep(self) -> Counter[str]:
        """How many runs of the whole sweep are in which state, as W&B names them."""
        return self._server.states()

    def _advance_or_close(self) -> bool:
        """As `_advance`; what goes wrong ends this machine's part as a preemption would: who can leave a checkpoint does."""
        try:
            return self._advance()
        except Exception as error:
            self._error = self._error or error
            self.preempt()
            time.sleep(POLL_SECONDS)  # it may go wrong at every look
            lives = any(job.process.exitcode is None for job in self._supervisor.children)
            return not self._supervisor.out_of_grace and (lives or self._may_hand_back())

    def _advance(self) -> bool:
        """Look after everything once; false when all is done."""
        self._orders.extend(self._relay.poll(POLL_SECONDS))
        for job in self._supervisor.look():
            self._look_after(job)
        if self.preempted:
            return self._close()
        self._take_orders()
        if why := self._server.watch():
            self._take_all_out(why)
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
                fault = in_time(lambda: health.fault(self.folder, slot.gpu), lambda: self.preempted)
            except ReglabError as error:
                fault = f"its disk, its checkpoints or its GPU give {error}"
            if fault and not self.preempted:
                self._take_out(slot, fault)
        return slot.out is None and not self.preempted

    def _may_risk_another(self) -> bool:
        """Until one run has shown that the machine works, no more are at risk than it may burn."""
        unproven = sum(slot.job is not None and not slot.job.proven for slot in self.slots)
        return self._sound or self._deaths + unproven < BURNT

    def _launch(self, slot: Slot, variables: dict[str, str], order: Order | None, handed_back: bool = False) -> None:
        run_id = variables[assignment.RUN]
        folder = self.folder / run_id
        if self.sweep.program:
            variables = variables | {"WANDB_DIR": str(folder.resolve())}  # the agent's is its own
        before = _read(folder)
        start, gpu_runs = self._hand_back if handed_back else self._train, sum(each.gpu == slot.gpu for each in self.slots)
        try:
            process = start_worker(start, folder, variables, slot.gpu, slot.cores, gpu_runs)
        except Exception:
            if order and not handed_back:
                self._orders.append(order)  # to be handed back, as what arrives late
            raise
        slot.job = SlotJob(
            process=process, folder=folder, record_before=before, slot=slot, variables=variables, order=order, handed_back=handed_back
        )
        self._supervisor.add(slot.job)
        slot.tries = 0
        self._say(f"slot {slot.number}: {run_id} {'goes back to W&B' if handed_back else 'begins'}")

    # Runs that go on, and how they end

    def _look_after(self, job: SlotJob) -> None:
        self._sound = self._sound or job.proven
        if job.exitcode is not None:
            job.slot.job = None
            self._account_for(job.slot, job, job.exitcode)
        elif job.order:
            for request in job.order.wants:
                job.tell(request)
            if job.order.gone:
                job.kill()
            elif self.sweep.method != "bayes" and job.seconds_left < AHEAD_SECONDS:
                job.order.answer(0)  # a bayes search would choose the next run without this one's result
                job.order = None

    def _account_for(self, slot: Slot, job: SlotJob, exitcode: int) -> None:
        if job.handed_back:
            self._answer(job, exitcode)
            return
        if killed := job.killed:
            job.account_for_death()
        if exitcode == 0:
            job.record = job.record or job.record_before  # it had ended here before
        fault = job.fault
        state = job.record.state if job.record else State.preempted if fault else State.failed
        how = f"{_named(job)} {state}"
        if killed:
            how += f": {killed}"
        elif state == State.failed:
            how += f": {(job.record and job.record.reason) or last_line(job.log)}"
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

    def _answer(self, job: SlotJob, exitcode: int) -> None:
        if job.order:
            job.order.answer(exitcode if exitcode >= 0 else FAILED)

    def _count_death(self, slot: Slot, how: str) -> None:
        slot.deaths, self._deaths, self._sound = slot.deaths + 1, self._deaths + 1, False
        if self._deaths >= BURNT:
            self._take_all_out(f"{self._deaths} runs in a row died on this machine, the last: {how}")
        elif slot.deaths >= BURNT:
            self._take_out(slot, f"{slot.deaths} runs in a row died in it, the last: {how}")

    def _take_out(self, slot: Slot, why: str) -> None:
        if slot.out is None:
            self._say(f"slot {slot.number} takes no more runs: {why}")
        slot.close(why)

    def _take_all_out(self, why: str) -> None:
        for slot in self.slots:
            self._take_out(slot, why)

    def _close(self) -> bool:
        """Have the runs leave their checkpoints, and hand back what still arrives; false when all is done, or time is up."""
        for slot in self.slots:
            slot.close(_DONE)
        self._take_orders()
        if self._supervisor.out_of_grace:
            for slot in self.slots:
                if slot.job:
                    self._end(slot, slot.job)
                    slot.job = None
            return False
        return any(slot.job for slot in self.slots) or self._may_hand_back()

    def _may_hand_back(self) -> bool:
        """Whether a run has arrived, or may still arrive, that no worker gets any more."""
        return bool(self._orders) or self._supervisor.seconds_preempting < LATE_SECONDS

    def _end(self, slot: Slot, job: SlotJob) -> None:
        """Of a run that did not leave in time: what its record has of its end counts, whether W&B has heard of it or not."""
        self._supervisor.kill(job)
        late = f"slot {slot.number}: {_named(job)} did not end within {GRACE_SECONDS:.0f} s; it is killed"
        if job.record and job.record.state.has_results:
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
            slot.agent = None
            self._server.look_soon()
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
        elif self.preempted or slot.out:
            return
        elif not slot.over:
            slot.agent = self._start_agent(slot)
        elif self._others("preempted"):  # W&B hands them out again
            slot.over = False
            self._try_again(slot, 0)
        elif any(_age(run) > STALE_SECONDS for run in self._others("running", "preempting")):
            slot.not_before = time.monotonic() + LOOK_SECONDS  # its machine died: W&B will say so
        else:
            slot.close(_DONE)

    def _start_agent(self, slot: Slot) -> "subprocess.Popen[bytes]":
        return wandb_agent.start(self.sweep, self._folder_of_agent(slot), slot.count, self._relay.variables(slot.number))

    def _folder_of_agent(self, slot: Slot) -> Path:
        return self.folder / "agents" / str(slot.number)

    def _try_again(self, slot: Slot, exitcode: int) -> None:
        slot.tries += 1
        if slot.tries >= TRIES:
            if exitcode == 0:  # W&B keeps what was preempted to itself: the sweep was ended, or all its runs are there
                slot.close(_DONE)
                return
            said = last_line(self._folder_of_agent(slot) / LOG)
            self._take_out(slot, f"W&B's agent ended {TRIES} times without a run, the last with exit code {exitcode}: {said}")
        slot.not_before = time.monotonic() + min(2.0**slot.tries, 60.0)

    # What other machines left

    def _others(self, *states: str) -> list[ListedRun]:
        """Runs of the sweep in these states that are not here."""
        here = {job.run_id for job in self._supervisor.children}
        return [run for run in self._server.runs(states) if run.name not in here]

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
        variables = assignment.hand_over(self.sweep.sweep_id, run.name, run.config, self.folder / run.name)
        return variables | {"WANDB_ENTITY": self.sweep.entity, "WANDB_PROJECT": self.sweep.project}


def _age(run: ListedRun) -> float:
    """Seconds since it was last heard of; 0 where nobody knows."""
    return (datetime.now(UTC) - run.heartbeat).total_seconds() if run.heartbeat else 0.0


def _read(folder: Path) -> RunRecord | None:
    """Its record; none, too, where it is damaged, which its worker says, or the disk does not give it."""
    with suppress(ReglabError, OSError):
        return read_run(folder)
    return None


def _named(job: SlotJob) -> str:
    return f"{job.record.label} s{job.record.seed} ({job.run_id})" if job.record and job.record.identity else job.run_id
