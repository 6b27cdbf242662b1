"""What the agent decides: with a real relay and real files; W&B's agents and workers only pretend, and the clock is moved by hand."""

import errno
import json
import signal
import socket
import subprocess
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest
import typer

from reglab.cli import agent as command
from reglab.errors import MachineError, ReglabError, UserError
from reglab.processes import supervisor
from reglab.processes.signals import STOP
from reglab.sweep import agent as module
from reglab.sweep import health, server_side
from reglab.sweep.agent import SweepAgent
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.slots import slots
from reglab.tracking import storage
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Epoch
from reglab.tracking.store import read_run, write_run
from reglab.tracking.wandb_states import ListedRun
from tests.waiting import PATIENCE

EPOCHS = 4
SWEEP = RemoteSweep("loopback", "p", "s", "grid")


class Worker:
    """A worker that pretends: a script moves it on, a step whenever the agent has looked at it."""

    def __init__(self, run_id, folder, variables, cores, pid, script):
        self.run_id, self.folder, self.variables, self.cores, self.pid = run_id, folder, variables, cores, pid
        self.exitcode, self.told = None, []
        self._script = script(self)

    def join(self, timeout=None):
        assert self.exitcode is not None

    def step(self):
        if self.exitcode is None:
            try:
                next(self._script)
            except StopIteration as end:
                self.exitcode = end.value

    def write(self, state, epochs=0, reason=None, pace=100.0):
        rows = [row(number, pace) for number in range(1, epochs + 1)]
        config = {"train": {"epochs": EPOCHS}}
        write_run(
            self.folder,
            RunRecord(
                run_id=self.run_id,
                sweep="s",
                label="baseline",
                identity="i",
                seed=0,
                config=config,
                state=state,
                reason=reason,
                history=rows,
            ),
        )

    def leave_checkpoint(self):
        storage.checkpoint(self.folder).write(lambda stream: stream.write(b"state"))


def row(number, pace):
    return Epoch(
        epoch=number,
        train_loss=1,
        train_accuracy=0.5,
        lr=0.1,
        time_train_seconds=number,
        time_wall_seconds=pace * number,
        throughput_images_per_second=1,
    )


def trains(worker):
    for epochs in range(EPOCHS):
        worker.write(State.running, epochs)
        yield
        if signal.SIGUSR1 in worker.told:
            worker.leave_checkpoint()
            worker.write(State.preempted, epochs)
            return 75
        if STOP in worker.told:
            worker.write(State.stopped, epochs)
            return 0
    worker.write(State.finished, EPOCHS)
    return 0


def dies(worker):
    worker.write(State.running)
    yield
    worker.write(State.failed, reason="CUDA out of memory")
    return 1


def dies_late(worker):
    worker.write(State.running)
    yield
    worker.write(State.running, 1)
    yield
    worker.write(State.failed, 1, reason="CUDA out of memory")
    return 1


def hands_back(worker):
    yield
    return 75


class WandbAgent:
    """W&B's agent of one slot: takes runs from the server's queue, brings each to the relay, and waits for its client's end."""

    def __init__(self, slot, server, variables):
        self.slot, self.server, self.variables = slot, server, variables
        self.left = slot.count
        self.client, self.exitcode, self.answers = None, None, []

    def poll(self):
        return self.exitcode

    def kill(self):
        self.exitcode = -signal.SIGKILL

    def wait(self):
        assert self.exitcode is not None

    def step(self):
        """As one round of its loop. A client that it leaves behind lives on."""
        if self.client:
            self.hear()
        if self.exitcode is None and self.client is None:
            if self.left == 0 or not self.server.queue:
                self.exitcode = 0
            else:
                self.bring(self.server.queue.popleft())
                self.left = self.left and self.left - 1

    def bring(self, run_id):
        self.client = socket.socket(socket.AF_UNIX)
        self.client.connect(self.variables["REGLAB_AGENT_SOCKET"])
        handed = {"WANDB_RUN_ID": run_id, "WANDB_SWEEP_ID": "s"}
        self.client.sendall(json.dumps({"slot": self.slot.number, "variables": handed}).encode() + b"\n")
        self.client.setblocking(False)

    def hear(self):
        try:
            answer = self.client.recv(1000)
        except BlockingIOError:
            return
        self.answers.append(json.loads(answer)["exit"])
        self.client.close()
        self.client = None


class World:
    """W&B's server and this machine."""

    def __init__(self, tmp_path, monkeypatch):
        self.folder = tmp_path / "runs" / "s"
        self.queue, self.listed, self.said = deque(), [], []
        self.workers, self.handed_back, self.wandb_agents = [], [], []
        self.script, self.seconds, self._pids = trains, 0.0, count(2**30)
        monkeypatch.setattr(supervisor.os, "kill", self.kill)
        monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
        monkeypatch.setattr(server_side, "POLL_SECONDS", 0.001)
        monkeypatch.setattr(module, "STAGGER_SECONDS", 0)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(server_side, "runs_of_sweep", lambda *path: list(self.listed))
        self.state = "RUNNING"
        monkeypatch.setattr(server_side, "state_of_sweep", lambda *path: self.state)

    def agent(self, count=None, number=1, sweep=SWEEP):
        self.crew = SweepAgent(sweep, self.folder, slots([], number, range(8), count), self.train, self.hand_back, self.said.append)
        self.crew._start_agent = self.start_wandb_agent
        return self.crew

    def start_wandb_agent(self, slot):
        self.wandb_agents.append(WandbAgent(slot, self, self.crew._relay.variables(slot.number)))
        return self.wandb_agents[-1]

    def _start(self, variables, log, cores, script, among):
        run_id = variables["WANDB_RUN_ID"]
        among.append(Worker(run_id, self.folder / run_id, variables, cores, next(self._pids), script))
        return among[-1]

    def train(self, variables, log, cores=()):
        return self._start(variables, log, cores, self.script, self.workers)

    def hand_back(self, variables, log, cores=()):
        return self._start(variables, log, cores, hands_back, self.handed_back)

    def kill(self, pid, number):
        (worker,) = [worker for worker in self.workers if worker.pid == pid]
        worker.told.append(number)
        if number == signal.SIGKILL:
            worker.exitcode = -signal.SIGKILL

    def work(self, each=lambda: None, rounds=600):
        left = count(rounds, -1)
        for _ in self.crew.run():
            assert next(left), f"it never ends: {self.said}"
            self.seconds += 0.5
            each()
            for one in (*self.workers, *self.handed_back, *self.wandb_agents):
                one.step()
        return self.crew

    @property
    def trained(self):
        return [worker.run_id for worker in self.workers]

    def list(self, name, state, age=0.0, config=None):
        self.listed.append(ListedRun(name, state, datetime.now(UTC) - timedelta(seconds=age), config or {"train": {"epochs": EPOCHS}}))


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


# Slots


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        ("all", ["GPU-1c0d", "GPU-9a2b"], ["GPU-1c0d", "GPU-9a2b"]),
        ("1", ["GPU-1c0d", "GPU-9a2b"], ["GPU-9a2b"]),  # as nvidia-smi numbers them
        ("GPU-9a2b, 0", ["GPU-1c0d", "GPU-9a2b"], ["GPU-9a2b", "GPU-1c0d"]),
        ("3", ["3", "5"], ["3"]),
    ],
)
def test_gpus_are_chosen_by_their_numbers_or_names(asked, there, found):
    assert command._chosen(asked, there) == found


@pytest.mark.parametrize(("asked", "there"), [("0", ["3", "5"]), ("2", ["GPU-1c0d", "GPU-9a2b"]), ("0", [])])
def test_a_gpu_that_is_not_there_is_refused(asked, there):
    with pytest.raises(ReglabError, match=f"there is no GPU {asked}"):
        command._chosen(asked, there)


def test_a_run_gets_its_slot_s_gpu_and_cores(world, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(health, "fault", lambda folder, gpu: None)
    world.queue.extend("abcd")
    world.agent(number=2)
    world.crew.slots = slots(["3", "5"], 1, range(4))
    world.work()
    seen = {(worker.variables["CUDA_VISIBLE_DEVICES"], worker.variables["REGLAB_THREADS"], tuple(worker.cores)) for worker in world.workers}
    assert seen == {("3", "2", (0, 1)), ("5", "2", (2, 3))}
    assert {worker.variables["REGLAB_GPU_RUNS"] for worker in world.workers} == {"1"}


def test_a_run_is_told_how_many_its_gpu_is_for(world, monkeypatch):
    monkeypatch.setattr(health, "fault", lambda folder, gpu: None)
    world.queue.extend("abc")
    world.agent(number=3)
    world.crew.slots = slots(["3"], 3, range(3))
    world.work()
    assert {worker.variables["REGLAB_GPU_RUNS"] for worker in world.workers} == {"3"}


def test_slots_without_cores_of_their_own_have_one_thread_each(world):
    """All the cores' threads in each of them would spin for each other."""
    world.queue.extend("ab")
    world.agent(number=2)
    world.crew.slots = slots([], 3, range(2))
    world.work()
    assert {(worker.variables["REGLAB_THREADS"], tuple(worker.cores)) for worker in world.workers} == {("1", ())}


# A sweep to its end


def test_it_works_until_w_and_b_has_no_more(world):
    world.queue.extend("abcde")
    crew = world.agent(number=2)
    world.work()
    assert sorted(world.trained) == list("abcde")
    assert crew.ended == {"finished": 5}
    assert crew.complaint is None
    assert len(world.wandb_agents) == 2
    assert {answer for each in world.wandb_agents for answer in each.answers} == {0}


def test_it_takes_as_many_as_it_is_told_to(world):
    world.queue.extend("abcdef")
    world.agent(count=3, number=2)
    world.work()
    assert sorted(world.trained) == list("abc")
    assert len(world.queue) == 3


def test_a_configuration_that_cannot_be_built_is_no_death(world):
    def unbuildable(worker):
        yield
        worker.write(State.failed, reason="dropout.p = 2")
        return 2

    world.script = unbuildable
    world.queue.extend("abcdef")
    crew = world.agent()
    world.work()
    assert crew.ended == {"failed": 6}
    assert crew.complaint is None


def test_what_a_client_hears_goes_to_its_worker(world):
    world.queue.extend("ab")
    world.agent()

    def stop():
        if len(world.workers) == 1 and world.workers[0].exitcode is None and (client := world.wandb_agents[0].client):
            client.sendall(json.dumps({"signal": int(STOP)}).encode() + b"\n")

    crew = world.work(stop)
    assert crew.ended == {"stopped": 1, "finished": 1}


def test_a_run_whose_client_is_killed_is_killed_and_nobody_blames_the_machine(world):
    def never(worker):
        worker.write(State.running)
        worker.leave_checkpoint()
        while True:
            yield

    world.script = never
    world.queue.extend("abcd")
    world.agent()

    def kill_client():
        wandb_agent = world.wandb_agents[-1]
        if world.workers and world.workers[-1].exitcode is None and wandb_agent.client:
            wandb_agent.client.close()
            wandb_agent.client = None

    crew = world.work(kill_client)
    assert crew.ended == {"crashed": 4}
    assert crew.complaint is None


# What W&B's page does to the sweep


def test_it_says_when_its_sweep_is_paused_and_when_it_goes_on(world):
    """W&B's own agent waits without a word."""
    world.state = "PAUSED"
    waiting = deque(["a"])
    world.agent()

    class Waits(WandbAgent):
        def step(self):
            if world.state != "PAUSED":
                super().step()

    def start(slot):
        world.wandb_agents.append(Waits(slot, world, world.crew._relay.variables(slot.number)))
        return world.wandb_agents[-1]

    world.crew._start_agent = start

    def resume():
        time.sleep(0.001)
        if any("is paused at W&B: this agent waits until it is resumed there" in line for line in world.said):
            world.state = "RUNNING"
            if waiting:
                world.queue.append(waiting.popleft())

    world.work(resume, rounds=20_000)
    assert world.trained == ["a"]
    assert [line.count("paused") for line in world.said if "paused" in line] == [1]


def test_it_says_that_its_sweep_was_deleted_and_lets_what_goes_on_end(world):
    world.queue.extend("ab")
    crew = world.agent()

    def holds(worker):
        worker.write(State.running)
        while not crew.complaint:
            yield
        worker.write(State.finished, EPOCHS)
        return 0

    world.script = holds

    def delete():
        time.sleep(0.001)
        if world.workers:
            world.state = None

    world.work(delete, rounds=20_000)
    assert crew.complaint == "its sweep was deleted at W&B"
    assert crew.ended == {"finished": 1}
    assert world.trained == ["a"]


def test_a_server_that_does_not_say_how_the_sweep_stands_is_asked_again(world, monkeypatch):
    answers = deque([ReglabError("away")])

    def state(*path):
        if answers:
            raise answers.popleft()
        return "STOPPED"

    monkeypatch.setattr(server_side, "state_of_sweep", state)
    world.agent()
    left = deque(["a"])

    def bring():
        time.sleep(0.001)
        if left and any("is stopped at W&B: no more runs begin" in line for line in world.said):
            left.popleft()
            world.wandb_agents[-1].exitcode = 0

    world.crew._start_agent = lambda slot: world.wandb_agents.append(Never(slot, world, {})) or world.wandb_agents[-1]
    world.work(bring, rounds=20_000)
    assert not left


class Never(WandbAgent):
    def step(self):
        pass


# The next run in time


def ends_slowly(pace):
    def script(worker):
        for epochs in range(EPOCHS):
            worker.write(State.running, epochs, pace=pace)
            yield
            yield
        worker.write(State.finished, EPOCHS)
        yield
        return 0

    return script


@pytest.mark.parametrize(("method", "pace", "ahead"), [("grid", 5.0, True), ("grid", 100.0, False), ("bayes", 5.0, False)])
def test_the_next_run_is_fetched_shortly_before_the_end_of_the_one_before(world, method, pace, ahead):
    world.script = ends_slowly(pace)
    world.queue.extend("ab")
    world.agent(sweep=RemoteSweep("loopback", "p", "s", method))
    fetched = []
    world.work(lambda: fetched.append(len(world.workers) == 1 and world.workers[0].exitcode is None and not world.queue))
    assert any(fetched) == ahead
    assert world.trained == ["a", "b"]
    assert not any(worker.exitcode for worker in world.workers)


# Machines that are sick


def test_three_deaths_in_a_row_and_the_machine_takes_no_more(world):
    world.script = dies
    world.queue.extend("abcdef")
    crew = world.agent()
    world.work()
    assert world.trained == list("abc")
    assert "3 runs in a row died on this machine, the last: baseline s0 (c) failed: CUDA out of memory" in crew.complaint
    assert len(world.queue) == 3  # nothing is taken and thrown away


def test_so_do_three_that_first_complete_an_epoch(world):
    world.script = dies_late
    world.queue.extend("abcdef")
    crew = world.agent()
    world.work()
    assert world.trained == list("abc")
    assert "3 runs in a row died on this machine" in crew.complaint


def test_eight_slots_burn_three_runs_too(world):
    world.script = dies
    world.queue.extend("abcdefghijklmnop")
    crew = world.agent(number=8)
    world.work()
    assert len(world.workers) == 3
    assert len(world.handed_back) + len(world.queue) == 13  # what W&B had handed out meanwhile goes back
    assert "died on this machine" in crew.complaint


def test_once_a_run_shows_that_the_machine_works_all_slots_run(world):
    world.script = ends_slowly(100.0)
    world.queue.extend("abcdefghijklmnop")
    world.agent(number=8)
    before, after = [], []

    def look():
        jobs = [slot.job for slot in world.crew.slots if slot.job]
        (after if any(job.proven for job in jobs) or world.crew.ended else before).append(len(jobs))

    world.work(look)
    assert max(before) == 3
    assert max(after) == 8


def test_a_slot_that_kills_its_runs_is_out_while_the_others_work_on(world):
    def depends(worker):
        return (yield from (dies if 0 in worker.cores else trains)(worker))

    world.script = depends
    world.queue.extend(f"run{number}" for number in range(20))
    crew = world.agent(number=2)
    world.work()
    assert crew.ended == {"failed": 3, "finished": 17}
    assert "3 runs in a row died in it" in crew.complaint


def test_a_run_that_works_makes_up_for_the_deaths_before(world):
    world.script = lambda worker: (dies if worker.run_id in "abde" else trains)(worker)
    world.queue.extend("abcdef")
    crew = world.agent()
    world.work()
    assert crew.ended == {"failed": 4, "finished": 2}
    assert crew.complaint is None


def test_a_machine_that_falls_sick_hands_its_next_run_back(world, monkeypatch):
    world.queue.extend("abc")
    crew = world.agent()
    monkeypatch.setattr(health, "fault", lambda folder, gpu: "0.1 GB free" if len(world.workers) == 1 else None)
    world.work()
    assert world.trained == ["a"]
    assert [worker.run_id for worker in world.handed_back] == ["b"]
    assert list(world.queue) == ["c"]
    assert crew.complaint == "0.1 GB free"
    assert crew.ended == {"finished": 1}


# Workers that are killed


def killed_after(checkpoints):
    """Is killed, time and again, as long as it leaves new checkpoints; then trains."""
    left = count(checkpoints, -1)

    def script(worker):
        worker.write(State.running, 1)
        yield
        if next(left) > 0:
            worker.leave_checkpoint()
            return -signal.SIGKILL
        return (yield from trains(worker))

    return script


def test_a_worker_that_is_killed_goes_on_from_its_checkpoint_under_the_same_client(world):
    world.script = killed_after(2)
    world.queue.extend("a")
    crew = world.agent()
    world.work()
    assert world.trained == ["a", "a", "a"]
    assert crew.ended == {"finished": 1}
    assert world.wandb_agents[0].answers == [0]


def test_without_a_new_checkpoint_it_does_not_go_round_and_round(world):
    def script(worker):
        worker.write(State.running, 1)
        if len(world.workers) == 1:
            worker.leave_checkpoint()
        yield
        return -signal.SIGKILL

    world.script = script
    world.queue.extend("a")
    crew = world.agent()
    world.work()
    assert world.trained == ["a", "a"]
    assert crew.ended == {"crashed": 1}
    assert read_run(world.folder / "a").state == State.crashed


def test_on_a_machine_that_takes_no_more_it_goes_to_another(world):
    world.script = killed_after(5)
    world.queue.extend("a")
    crew = world.agent()
    world.work()
    assert world.trained == ["a", "a", "a"]
    assert [worker.run_id for worker in world.handed_back] == ["a"]
    assert "killed by SIGKILL" in crew.complaint


# Runs that other machines left


def test_a_run_that_crashed_elsewhere_goes_on_here_once(world):
    world.list("lost", "crashed")
    world.list("fine", "finished")
    world.list("gone", "crashed")  # left no checkpoint
    storage.checkpoint(world.folder / "lost").write(lambda stream: stream.write(b"state"))
    world.queue.extend("a")
    world.agent()
    world.work()
    assert world.trained == ["lost", "a"]
    assert world.workers[0].variables["WANDB_SWEEP_ID"] == "s"
    assert world.workers[0].variables["WANDB_PROJECT"] == "p"
    assert "epochs: 4" in (world.folder / "lost" / "parameters.yaml").read_text()
    assert any("lost was left by a machine that died" in line for line in world.said)


def test_two_machines_do_not_both_take_it_up(world):
    world.list("lost", "crashed")
    storage.checkpoint(world.folder / "lost").write(lambda stream: stream.write(b"state"))
    assert storage.checkpoint(world.folder / "lost").claim()  # the other was first
    world.agent()
    world.work()
    assert world.trained == []


def test_a_run_that_went_silent_is_waited_for_until_w_and_b_gives_it_up(world):
    world.list("lost", "running", age=300)
    storage.checkpoint(world.folder / "lost").write(lambda stream: stream.write(b"state"))
    world.agent()

    def give_up():
        if world.seconds > 100 and world.listed[0].state == "running":
            world.listed.clear()
            world.list("lost", "crashed")

    world.work(give_up)
    assert world.trained == ["lost"]


def test_a_run_that_goes_on_elsewhere_is_not_waited_for(world):
    world.list("alive", "running", age=10)
    world.agent()
    world.work(rounds=20)
    assert world.trained == []


def test_a_run_that_was_preempted_elsewhere_is_asked_for_again(world):
    """W&B hands it out again."""
    world.list("back", "preempted")
    world.agent()

    def requeue():
        if world.seconds > 3 and world.listed:
            world.queue.append("back")
            world.listed.clear()

    world.work(requeue)
    assert world.trained == ["back"]


def test_a_listing_that_fails_ends_nothing(world, monkeypatch):
    def fails(*path):
        raise ReglabError("503")

    monkeypatch.setattr(server_side, "runs_of_sweep", fails)
    world.queue.extend("a")
    crew = world.agent()
    world.work()
    assert crew.ended == {"finished": 1}
    assert "W&B does not list the sweep's runs: 503" in world.said


@pytest.mark.parametrize("broken", ["claim", "modified"])
def test_a_store_that_is_away_ends_nothing(world, monkeypatch, broken):
    def away(self):
        raise ReglabError("503")

    world.list("lost", "crashed")
    storage.checkpoint(world.folder / "lost").write(lambda stream: stream.write(b"state"))
    monkeypatch.setattr(storage.File, broken, away)
    world.script = killed_after(1)
    world.queue.extend("ab")
    crew = world.agent()
    world.work()
    assert crew.ended == {"crashed": 1, "finished": 1}
    assert "no run is taken up: 503" in world.said


def test_a_damaged_record_is_one_run_s_affair(world):
    def damaged(worker):
        (worker.folder).mkdir(parents=True)
        (worker.folder / "run.json").write_text("{")
        yield
        return 2

    world.script = lambda worker: (damaged if worker.run_id == "a" else trains)(worker)
    world.queue.extend("ab")
    crew = world.agent(number=2)
    world.work()
    assert crew.ended == {"failed": 1, "finished": 1}


@pytest.mark.parametrize("error", [MachineError("its disk does not answer"), OSError(5, "Input/output error")], ids=type)
def test_a_disk_that_gives_no_record_for_a_while_ends_no_run(world, monkeypatch, error):
    looks = count(1)

    def away(folder):
        if next(looks) <= 4:
            raise error
        return read_run(folder)

    for name in ("agent", "job"):
        monkeypatch.setattr(f"reglab.sweep.{name}.read_run", away)
    world.queue.extend("ab")
    crew = world.agent(number=2)
    world.work()
    assert crew.ended == {"finished": 2}
    assert next(looks) > 5
    assert [worker.told for worker in world.workers] == [[], []]


def test_a_run_that_had_ended_here_before_is_as_it_was(world):
    def told_again(worker):
        yield
        return 0

    Worker("a", world.folder / "a", {}, (), 1, trains).write(State.finished, EPOCHS)
    world.script = told_again
    world.queue.extend("a")
    crew = world.agent()
    world.work()
    assert crew.ended == {"finished": 1}


@pytest.mark.parametrize("is_known", [False, True])
def test_a_run_of_which_nobody_knows_when_it_was_heard_is_not_waited_for(world, is_known):
    world.listed.append(ListedRun("a", "running", datetime.now(UTC) if is_known else None, {}))
    world.agent()
    world.work(rounds=20)
    assert world.crew.complaint is None


# Whatever does not answer


@contextmanager
def nothing_answers(monkeypatch, module_, name):
    answer = threading.Event()
    monkeypatch.setattr(server_side, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(module_, name, lambda *words: answer.wait(PATIENCE))
    yield
    answer.set()


def test_a_server_that_does_not_answer_is_not_waited_for(world, monkeypatch):
    world.queue.extend("a")
    crew = world.agent()
    with nothing_answers(monkeypatch, server_side, "runs_of_sweep"):
        world.work()
    assert crew.ended == {"finished": 1}
    assert "W&B does not list the sweep's runs: no answer within 0.3 s" in world.said


def test_a_store_or_a_driver_that_does_not_answer_is_a_fault(world, monkeypatch):
    world.queue.extend("a")
    crew = world.agent()
    with nothing_answers(monkeypatch, health, "fault"):
        world.work()
    assert world.trained == []
    assert crew.complaint == "its disk, its checkpoints or its GPU give no answer within 0.3 s"


def test_a_preemption_reaches_the_runs_while_the_agent_waits_for_an_answer(world, monkeypatch):
    """And it waits no longer."""
    world.queue.extend("ab")
    crew = world.agent(number=2)
    told, answers, answered = [], threading.Event(), []

    def hangs(folder, gpu):
        if world.workers:
            crew.preempt()
            told.extend(world.workers[0].told)
            answered.append(answers.wait(PATIENCE))

    monkeypatch.setattr(health, "fault", hangs)
    world.work()
    assert told == [signal.SIGUSR1]
    assert crew.ended == {"preempted": 1}
    assert [worker.run_id for worker in world.handed_back] in ([], ["b"])
    assert not answered
    answers.set()


# W&B's agents that end


def test_an_agent_that_breaks_is_started_again_later_and_later_and_then_given_up(world):
    starts = []

    def broken(slot):
        starts.append(world.seconds)
        made = WandbAgent(slot, world, world.crew._relay.variables(slot.number))
        made.exitcode = 1
        return made

    crew = world.agent()
    crew._start_agent = broken
    log = world.folder / "agents" / "0" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("wandb: ERROR the server is away\n")
    world.work()
    waits = [later - earlier for earlier, later in pairwise(starts)]
    assert len(starts) == 5
    assert waits == sorted(waits)
    assert waits[-1] >= 16
    assert "W&B's agent ended 5 times without a run, the last with exit code 1: wandb: ERROR the server is away" in crew.complaint


def test_a_preempted_run_that_w_and_b_keeps_is_nobody_s_fault(world):
    """Its sweep was cancelled, say."""
    world.list("back", "preempted")
    crew = world.agent()
    world.work()
    assert len(world.wandb_agents) == module.TRIES
    assert crew.complaint is None


def test_w_and_b_s_agent_gets_a_client_of_its_own(world, monkeypatch):
    seen = []
    monkeypatch.setenv("WANDB_SERVICE", "the agent's own")
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, **options: seen.append(env))
    with module.Relay() as relay:
        crew = SweepAgent(SWEEP, world.folder, slots([], 1, [0]), world.train, world.hand_back, world.said.append)
        crew._relay = relay
        crew._start_agent(crew.slots[0])
    assert "WANDB_SERVICE" not in seen[0]


# The exit code


@pytest.mark.parametrize(("here", "there", "code"), [("finished", "finished", 0), ("failed", "pending", 1), ("finished", "failed", 1)])
def test_the_exit_code_counts_what_failed_here_though_w_and_b_does_not_know(world, here, there, code):
    crew = world.agent()
    crew.ended[here] = 1
    crew.states_in_sweep = lambda: Counter({there: 1})
    if code:
        with pytest.raises(typer.Exit) as end:
            command._close(crew)
        assert end.value.exit_code == code
    else:
        command._close(crew)


# Preemption


def test_preempted_every_run_leaves_a_checkpoint_and_nothing_more_begins(world):
    world.queue.extend("abcdef")
    crew = world.agent(number=2)
    world.work(lambda: crew.preempt() if len(world.workers) == 2 else None)
    assert sorted(world.trained) == ["a", "b"]
    assert crew.ended == {"preempted": 2}
    assert [answer for each in world.wandb_agents for answer in each.answers] in ([], [75, 75])
    assert len(world.queue) == 4
    assert all(each.exitcode == -signal.SIGKILL for each in world.wandb_agents)


def test_a_run_that_arrives_too_late_is_handed_back(world):
    world.queue.extend("ab")
    crew = world.agent()
    late = []

    def preempt():
        if world.workers and not crew.preempted:
            crew.preempt()
        elif crew.preempted and not late:
            late.append(WandbAgent(crew.slots[0], world, crew._relay.variables(0)))
            late[0].bring("late")

    world.work(preempt)
    assert [worker.run_id for worker in world.handed_back] == ["late"]


def test_a_worker_that_does_not_hear_is_killed_in_time(world):
    def deaf(worker):
        worker.write(State.running, 1)
        while True:
            yield

    world.script = deaf
    world.queue.extend("a")
    crew = world.agent()
    world.work(lambda: crew.preempt() if world.workers else None)
    assert world.workers[0].told == [signal.SIGUSR1, signal.SIGKILL]
    assert "slot 0: baseline s0 (a) did not end within 25 s; it is killed" in world.said
    assert read_run(world.folder / "a").state == State.crashed
    assert world.seconds < 30


@pytest.mark.parametrize(("hands_back_too", "handed_back"), [(True, ["b"]), (False, [])])
def test_an_error_in_a_start_is_raised_when_the_other_runs_have_left_their_checkpoints(world, hands_back_too, handed_back):
    train, hand_back = world.train, world.hand_back
    full = OSError(errno.ENOSPC, "No space left on device", "train.log")

    def starts_one(variables, log, cores=()):
        if variables["WANDB_RUN_ID"] == "b":
            raise full
        return train(variables, log, cores)

    def hands_back_perhaps(variables, log, cores=()):
        if not hands_back_too:
            raise OSError(errno.EIO, "Input/output error")
        return hand_back(variables, log, cores)

    world.train, world.hand_back = starts_one, hands_back_perhaps
    world.queue.extend("ab")
    crew = world.agent(number=2)
    with pytest.raises(OSError, match="No space left") as raised:
        world.work()
    assert raised.value is full
    assert [worker.told for worker in world.workers] == [[signal.SIGUSR1]]
    assert crew.ended == {"preempted": 1}
    assert storage.checkpoint(world.folder / "a").modified()
    assert [worker.run_id for worker in world.handed_back] == handed_back


def test_an_error_that_comes_at_every_look_is_raised_as_soon_as_the_runs_have_left(world, monkeypatch):
    world.queue.extend("ab")
    crew = world.agent()
    poll = crew._relay.poll

    def breaks(seconds):
        if world.workers:
            raise OSError(errno.EMFILE, "Too many open files")
        return poll(seconds)

    monkeypatch.setattr(crew._relay, "poll", breaks)
    with pytest.raises(OSError, match="Too many open files"):
        world.work()
    assert [(worker.told, worker.exitcode) for worker in world.workers] == [([signal.SIGUSR1], 75)]
    assert storage.checkpoint(world.folder / "a").modified()
    assert world.seconds < 5


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a" * 300])
def test_a_run_whose_name_is_a_path_is_not_trained_and_the_others_are(world, tmp_path, name):
    world.queue.extend([name, "r1"])
    world.agent()
    world.work()
    assert world.trained == ["r1"]
    assert any("it is not trained" in line for line in world.said)
    assert not (tmp_path.parent / "x").exists()


def test_a_finished_run_that_waits_for_w_and_b_until_it_is_killed_is_counted_and_leaves_no_checkpoint(world):
    def waits(worker):
        worker.leave_checkpoint()
        worker.write(State.finished, EPOCHS)
        while True:
            yield

    world.script = waits
    world.queue.extend("a")
    crew = world.agent()
    world.work(lambda: crew.preempt() if world.workers else None)
    assert crew.ended == {"finished": 1}
    assert (
        "slot 0: baseline s0 (a) did not end within 25 s; it is killed, finished before: `reglab sync` sends W&B what it lacks"
        in world.said
    )
    assert not storage.checkpoint(world.folder / "a").modified()
    assert read_run(world.folder / "a").state == State.finished


def gives_up(worker):
    worker.write(State.running)
    yield
    worker.write(State.preempted, reason="/runs: there is no room left (No space left on device): make room")
    return 75


def test_three_runs_in_a_row_that_meet_a_fault_of_the_machine_take_it_out(world):
    world.script = gives_up
    world.queue.extend("abcdef")
    crew = world.agent()
    world.work()
    assert len(world.workers) == 3
    assert crew.ended == {"preempted": 3}
    assert "3 runs in a row died on this machine" in crew.complaint
    assert "there is no room left" in crew.complaint


def test_runs_that_it_told_to_leave_are_no_fault_of_the_machine(world):
    world.queue.extend("abc")
    crew = world.agent(number=3)
    world.work(lambda: crew.preempt() if len(world.workers) == 3 else None)
    assert crew.ended == {"preempted": 3}
    assert crew.complaint is None


def test_a_key_that_is_refused_ends_it_with_one_line(world, monkeypatch):
    def refuse(*path):
        raise UserError("W&B does not take the key (401); `wandb login` sets it")

    monkeypatch.setattr(server_side, "state_of_sweep", refuse)
    monkeypatch.setattr(server_side, "runs_of_sweep", refuse)
    monkeypatch.setattr(WandbAgent, "step", lambda agent: None)  # it tries for ever
    crew = world.agent()
    world.work()
    assert crew.complaint == "W&B does not take the key (401); `wandb login` sets it"
    assert sum("does not list" in line for line in world.said) <= 1
    assert 30 <= world.seconds < 120


def test_a_key_that_is_refused_once_is_no_reason_to_end(world, monkeypatch):
    answers = iter([UserError("401"), "RUNNING", UserError("401"), "RUNNING"])

    def state(*path):
        answer = next(answers, "RUNNING")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(server_side, "state_of_sweep", state)
    world.queue.extend("abc")
    crew = world.agent()
    world.work(lambda: setattr(world, "seconds", world.seconds + 5))
    assert crew.complaint is None
    assert crew.ended == {"finished": 3}
