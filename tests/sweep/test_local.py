"""Sweeps with workers that only pretend: generators that write records, one turn each time the sweep looks after them."""

import json
import shutil
import signal
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from filelock import FileLock

from reglab.config import RunConfig, identity, run_id
from reglab.errors import MachineError, ReglabError, UserError
from reglab.processes import supervisor
from reglab.processes.signals import STOP, Interrupted, Request
from reglab.sweep import draws, ledger, local, spec
from reglab.sweep import limit as limits
from reglab.sweep.draws import DRAWS, drawn
from reglab.sweep.engines.random import Random
from reglab.sweep.limit import Limit
from reglab.sweep.local import LocalSweep
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Epoch, Summary
from reglab.tracking.store import HISTORY, LOG, RECORD, read_run, read_runs, write_run

EPOCHS = 4

MACHINE = Environment(
    device="a CPU",
    torch="2",
    python="3",
    threads=1,
    precision="fp32",
    compiled=False,
    reglab="0",
    data="digits",
    data_fingerprint="f",
    train_images=1,
    test_images=1,
)


class Job:
    """A worker that only pretends. `told` are the signals it got."""

    def __init__(self, variables, log, cores, pid, script):
        self.variables, self.log, self.cores, self.pid, self.exitcode, self.told = variables, log, tuple(cores), pid, None, []
        self.run_id, self.folder = (
            variables["WANDB_RUN_ID"],
            Path(variables["REGLAB_RUNS"]) / variables["WANDB_SWEEP_ID"] / variables["WANDB_RUN_ID"],
        )
        stored = yaml.safe_load(Path(variables["WANDB_SWEEP_PARAM_PATH"]).read_text())
        self.values = {key: entry["value"] for key, entry in stored.items() if key != "wandb_version"}
        self.script = script(self)

    def join(self, timeout=None):
        assert self.exitcode is not None

    def turn(self):
        if self.exitcode is None:
            try:
                next(self.script)
            except StopIteration as end:
                self.exitcode = end.value

    def write(self, state, epochs=0, reason=None, accuracy=0.5, pace=10.0):
        config = RunConfig.parse(self.values)
        rows = [row(number, accuracy, pace) for number in range(1, epochs + 1)]
        summary = Summary(val_accuracy=accuracy, time_train_seconds=1, time_wall_seconds=pace * epochs, parameters=1, epochs=epochs)
        record = RunRecord(
            run_id=self.run_id,
            sweep=self.variables["WANDB_SWEEP_ID"],
            label=config.label,
            identity=identity(config),
            seed=config.train.seed,
            config=self.values,
            state=state,
            reason=reason,
            environment=MACHINE,
            history=rows,
            summary=summary if state in (State.finished, State.stopped) else None,
        )
        write_run(self.folder, record)


def row(number, accuracy=0.5, pace=10.0):
    return Epoch(
        epoch=number,
        train_loss=1,
        train_accuracy=accuracy,
        val_accuracy=accuracy,
        lr=0.1,
        time_train_seconds=number,
        time_wall_seconds=pace * number,
        throughput_images_per_second=1,
    )


class Workers:
    """Starts jobs, keeps them, and passes signals on to them."""

    def __init__(self):
        self.jobs, self.script, self.most, self._pids = [], finishes, 0, count(2**30)

    def start(self, variables, log, cores=()):
        job = Job(variables, log, cores, next(self._pids), self.script)
        self.jobs.append(job)
        return job

    def kill(self, pid, number):
        (job,) = [job for job in self.jobs if job.pid == pid]
        job.told.append(number)
        if number == signal.SIGKILL:
            job.exitcode = -signal.SIGKILL

    @property
    def running(self):
        return [job for job in self.jobs if job.exitcode is None]

    def work(self, sweep, each=lambda: None):
        """Runs a sweep to its end; `each()` is called whenever it has looked after its workers."""
        course = sweep.run()
        next(course)
        for turn, _ in enumerate(course):
            assert turn < 10_000, "it never ends"
            each()
            self.most = max(self.most, len(self.running))
            for job in self.running:
                job.turn()
        return sweep


def finishes(job):
    for epochs in range(EPOCHS):
        job.write(State.running, epochs)
        yield
        if STOP in job.told:
            job.write(State.stopped, epochs)
            return 0
        if signal.SIGUSR1 in job.told:
            job.write(State.preempted, epochs)
            return 75
    job.write(State.finished, EPOCHS)
    return 0


@pytest.fixture
def workers(monkeypatch):
    made = Workers()
    monkeypatch.setattr(supervisor.os, "kill", made.kill)
    monkeypatch.setattr(local, "POLL_SECONDS", 0)
    return made


@pytest.fixture
def make_sweep(tmp_path, workers):
    """A sweep over these keys, in the folder runs/mine."""

    def make(keys, count=1, retry_failed=False, folder="mine", **more):
        path = tmp_path / f"{folder}.yaml"
        path.write_text(yaml.safe_dump(keys))
        return LocalSweep(spec.read(path), tmp_path / "runs" / folder, count, workers.start, retry_failed, **more)

    return make


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


def grid(**sections):
    return {"method": "grid", "parameters": nested(**{"train": {"epochs": {"value": EPOCHS}}, **sections})}


SEEDS = {"epochs": {"value": EPOCHS}, "seed": {"values": [0, 1, 2]}}
THREE = grid(train=SEEDS)
RANDOM = {
    "method": "random",
    "run_cap": 5,
    "parameters": nested(train=SEEDS | {"seed": {"min": 0, "max": 10**6}}, data={"source": {"values": ["digits"]}}),
}


def states(sweep):
    return [cell.state for cell in sweep.cells]


# What is run


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_cell_is_run_once_by_so_many_workers_at_a_time(make_sweep, workers, count):
    sweep = workers.work(make_sweep(THREE, count))
    assert states(sweep) == [State.finished] * 3
    assert sorted(job.values["train"]["seed"] for job in workers.jobs) == [0, 1, 2]
    assert workers.most == min(count, 3)


def test_a_run_s_folder_is_named_after_what_it_does(make_sweep, workers, tmp_path):
    workers.work(make_sweep(THREE))
    expected = {run_id(RunConfig.parse({"train": {"epochs": EPOCHS, "seed": seed}})) for seed in (0, 1, 2)}
    assert {path.name for path in (tmp_path / "runs" / "mine").iterdir() if path.is_dir()} == expected


def test_cells_that_are_one_arm_are_one_run(make_sweep, workers):
    """Without dropout layers the probability does not matter."""
    sweep = workers.work(make_sweep(grid(dropout={"layers": {"values": [0, 1]}, "p": {"values": [0.2, 0.5, 0.8]}})))
    assert len(sweep.draws) == 6
    assert len(sweep.cells) == len(workers.jobs) == 4
    assert states(sweep) == [State.finished] * 4


@pytest.mark.parametrize("count", [1, 3])
def test_a_search_draws_as_many_runs_as_its_cap(make_sweep, workers, count):
    sweep = workers.work(make_sweep(RANDOM, count))
    assert len(sweep.draws) == len(workers.jobs) == 5
    assert sweep.undrawn == 0
    assert workers.most == count


def test_what_a_search_draws_twice_counts_twice_and_runs_once(make_sweep, workers):
    keys = RANDOM | {"run_cap": 8, "parameters": nested(train=SEEDS | {"seed": {"values": [0, 1]}})}
    sweep = workers.work(make_sweep(keys, 2))
    assert len(sweep.draws) == 8
    assert len(workers.jobs) == len(sweep.cells) == 2


def test_a_search_that_drew_something_twice_is_complete(make_sweep, workers):
    keys = RANDOM | {"parameters": nested(optimizer={"lr": {"distribution": "q_uniform", "min": 0.1, "max": 0.3, "q": 0.1}})}
    sweep = workers.work(make_sweep(keys))
    assert len(sweep.cells) < len(sweep.draws) == 5
    for root in (sweep.folder, sweep.folder.parent):
        draws = drawn(root, sweep.spec).values
        assert len(draws) == 5
        assert ledger.reckon(sweep.spec, read_runs(sweep.folder), draws).complete
    assert drawn(sweep.folder, make_sweep(RANDOM, folder="other").spec).values == []


def test_a_cap_holds_for_a_grid_too(make_sweep, workers):
    """As on W&B's server."""
    workers.work(make_sweep(THREE | {"run_cap": 2}))
    assert len(workers.jobs) == 2


def test_a_search_is_told_what_its_runs_came_to(make_sweep, workers, monkeypatch):
    seen, ask = [], Random.ask
    monkeypatch.setattr(Random, "ask", lambda engine: (seen.append([trial.record for trial in engine.trials]), ask(engine))[1])
    workers.work(make_sweep(RANDOM))
    assert [len(records) for records in seen] == [0, 1, 2, 3, 4]
    assert all(record.state == State.finished and record.summary.val_accuracy == 0.5 for record in seen[-1])


def test_a_cell_that_cannot_be_built_is_a_run_of_its_own(make_sweep, workers):
    """A file that is checked has none; one that an earlier version drew may. A layer without a probability is none."""
    sound = RANDOM | {"run_cap": 12, "parameters": nested(dropout={"layers": {"values": [0, 1]}, "p": {"values": [0.1]}})}

    def script(job):
        record = RunRecord(
            run_id=job.run_id, sweep="mine", label="", identity="", seed=0, config=job.values, state=State.failed, reason="no p"
        )
        write_run(job.folder, record)
        yield
        return 2

    workers.script = script
    sweep = make_sweep(sound)
    sweep.spec.config["parameters"]["dropout"]["parameters"]["p"]["values"].append(None)
    workers.work(sweep)
    unbuildable = [cell for cell in sweep.cells if cell.run_id.startswith("unbuildable-")]
    assert unbuildable
    assert all(cell.state == State.failed and cell.record.reason == "no p" for cell in unbuildable)


# What is run again


def test_running_a_sweep_again_repeats_nothing(make_sweep, workers):
    workers.work(make_sweep(THREE))
    again = workers.work(make_sweep(THREE))
    assert len(workers.jobs) == 3
    assert states(again) == [State.finished] * 3


def test_a_search_goes_on_where_it_was(make_sweep, workers):
    first = make_sweep(RANDOM)
    workers.work(first, lambda: first.preempt() if len(workers.jobs) == 3 else None)
    before = [cell.values for cell in first.draws]
    assert len(before) == 3
    second = workers.work(make_sweep(RANDOM))
    assert [cell.values for cell in second.draws][:3] == before
    assert len(second.draws) == 5
    assert states(second) == [State.finished] * 5
    workers.jobs.clear()
    whole = workers.work(make_sweep(RANDOM, folder="undisturbed"))
    assert [cell.values for cell in whole.draws] == [cell.values for cell in second.draws]


def test_what_a_search_draws_is_written_down_before_it_is_run(make_sweep, workers, tmp_path):
    """A search that learns would draw something else after a crash."""
    written = []

    def script(job):
        written.append(json.loads((tmp_path / "runs" / "mine" / DRAWS).read_text())["draws"][-1])
        yield from finishes(job)
        return 0

    workers.script = script
    sweep = workers.work(make_sweep(RANDOM), lambda: None)
    assert written == [cell.values for cell in sweep.draws]


def ends(state, code=0):
    def script(job):
        job.write(State.running, 1)
        yield
        job.write(state, 1)
        return code

    return script


@pytest.mark.parametrize("state", [State.stopped, State.diverged, State.failed])
def test_a_run_that_ended_otherwise_is_not_repeated(make_sweep, workers, state):
    workers.script = ends(state)
    workers.work(make_sweep(THREE))
    again = workers.work(make_sweep(THREE))
    assert len(workers.jobs) == 3
    assert states(again) == [state] * 3


@pytest.mark.parametrize(("state", "runs"), [(State.failed, 6), (State.diverged, 3), (State.stopped, 3)])
def test_only_failed_runs_are_retried_when_asked_for(make_sweep, workers, state, runs):
    workers.script = ends(state)
    workers.work(make_sweep(THREE))
    workers.script = finishes
    again = workers.work(make_sweep(THREE, retry_failed=True))
    assert len(workers.jobs) == runs
    assert states(again) == [State.finished if state == State.failed else state] * 3


@pytest.mark.parametrize("state", [State.running, State.preempted, State.crashed, State.pending])
def test_a_run_that_can_go_on_does(make_sweep, workers, state):
    """`running`: the machine went down."""
    workers.work(make_sweep(THREE))
    folder = workers.jobs[1].folder
    write_run(folder, read_run(folder).changed(state=state, summary=None))
    again = workers.work(make_sweep(THREE))
    assert [job.folder for job in workers.jobs[3:]] == [folder]
    assert states(again) == [State.finished] * 3


def test_a_run_that_another_sweep_has_finished_is_taken_over(make_sweep, workers, tmp_path):
    workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": [1]}}), folder="earlier"))
    sweep = workers.work(make_sweep(THREE))
    assert [job.values["train"]["seed"] for job in workers.jobs] == [1, 0, 2]
    assert states(sweep) == [State.finished] * 3
    assert len(read_run(tmp_path / "runs" / "mine" / sweep.cells[1].run_id).history) == EPOCHS


def test_a_run_that_another_sweep_has_not_finished_is_not(make_sweep, workers):
    workers.script = ends(State.failed)
    workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": [1]}}), folder="earlier"))
    workers.script = finishes
    assert states(workers.work(make_sweep(THREE))) == [State.finished] * 3
    assert len(workers.jobs) == 4


def test_another_sweep_in_the_same_folder_is_refused(make_sweep, workers):
    workers.work(make_sweep(THREE))
    other = make_sweep(grid(train=SEEDS | {"seed": {"values": [0, 1]}}))
    with pytest.raises(UserError, match="holds another sweep"):
        workers.work(other)
    assert len(workers.jobs) == 3


def test_the_same_sweep_with_another_description_is_not(make_sweep, workers):
    workers.work(make_sweep(THREE))
    workers.work(make_sweep(THREE | {"description": "better words"}))
    assert len(workers.jobs) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_ledger_is_told(make_sweep, workers, tmp_path, content):
    workers.work(make_sweep(THREE))
    (tmp_path / "runs" / "mine" / DRAWS).write_text(content)
    with pytest.raises(UserError, match=DRAWS):
        workers.work(make_sweep(THREE))


# Who runs it


def test_a_sweep_that_another_process_runs_is_refused(make_sweep, workers, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with FileLock(tmp_path / "runs" / "mine" / ".lock"), pytest.raises(UserError, match="another process is running this sweep"):
        workers.work(make_sweep(THREE))
    assert not workers.jobs
    assert not (tmp_path / "runs" / "mine" / DRAWS).exists()
    workers.work(make_sweep(THREE))


def test_two_at_once_are_refused_and_the_first_goes_on(make_sweep, workers):
    def intrude():
        with pytest.raises(UserError, match="another process"):
            next(make_sweep(THREE).run())

    assert states(workers.work(make_sweep(THREE), intrude)) == [State.finished] * 3


def test_a_sweep_that_is_given_up_leaves_no_worker_and_no_lock(make_sweep, workers):
    sweep = make_sweep(THREE, 2)
    steps = sweep.run()
    next(steps)
    assert not workers.jobs
    next(steps)
    for job in workers.running:
        job.turn()
    steps.close()
    assert [job.told for job in workers.jobs] == [[signal.SIGKILL]] * 2
    assert states(sweep) == [State.crashed, State.crashed, State.pending]
    assert states(workers.work(make_sweep(THREE))) == [State.finished] * 3


def test_a_worker_that_cannot_be_started_leaves_no_other_behind(make_sweep, workers, monkeypatch):
    sweep = make_sweep(THREE, 2)

    def start(variables, log, cores=()):
        if workers.jobs:
            raise OSError("no more processes")
        return workers.start(variables, log, cores)

    monkeypatch.setattr(sweep, "start", start)
    with pytest.raises(OSError, match="no more processes"):
        workers.work(sweep)
    assert [job.told for job in workers.jobs] == [[signal.SIGUSR1]]
    workers.work(make_sweep(THREE))


# Workers that die


def dies(code, said="", begins=True):
    def script(job):
        with job.log.open("a") as stream:
            stream.write(said)
        if begins:
            job.write(State.running, 1)
        yield
        return code

    return script


@pytest.mark.parametrize("begins", [True, False], ids=["in mid-run", "at once"])
def test_a_killed_worker_s_run_is_crashed_and_goes_on_another_time(make_sweep, workers, begins):
    workers.script = dies(-signal.SIGKILL, begins=begins)
    sweep = workers.work(make_sweep(THREE))
    assert states(sweep) == [State.crashed] * 3
    assert len(workers.jobs) == 3  # a machine that kills everything is not fed with the same run for ever
    for cell in sweep.cells:
        assert cell.record == read_run(sweep.folder / cell.run_id)
        assert "SIGKILL" in cell.record.reason
        assert len(cell.record.history) == begins
    workers.script = finishes
    assert states(workers.work(make_sweep(THREE))) == [State.finished] * 3


@pytest.mark.parametrize("begins", [True, False], ids=["in mid-run", "at once"])
@pytest.mark.parametrize(("said", "told"), [("first\nValueError: wrong\n\n  \n", "ValueError: wrong"), ("", "it said nothing")])
def test_a_failing_worker_s_run_is_failed_with_the_last_thing_it_said(make_sweep, workers, begins, said, told):
    workers.script = dies(3, said, begins)
    sweep = workers.work(make_sweep(THREE))
    assert states(sweep) == [State.failed] * 3
    assert sweep.cells[0].record.reason == f"exit code 3: {told}"
    assert (sweep.cells[0].record.seed, sweep.cells[0].record.label) == (0, "baseline")
    assert read_run(sweep.folder / sweep.cells[0].run_id).reason == f"exit code 3: {told}"


def test_a_worker_that_ends_well_without_a_word_has_failed(make_sweep, workers):
    workers.script = dies(0)
    assert states(workers.work(make_sweep(THREE))) == [State.failed] * 3


def test_a_failure_that_a_worker_recorded_keeps_its_reason(make_sweep, workers):
    def script(job):
        yield
        job.write(State.failed, reason="out of memory")
        return 1

    workers.script = script
    assert workers.work(make_sweep(THREE)).cells[0].record.reason == "out of memory"


@pytest.mark.parametrize(("code", "state"), [(3, State.failed), (-signal.SIGKILL, State.crashed)])
def test_a_retried_run_that_dies_before_it_begins_is_not_left_pending(make_sweep, workers, code, state):
    workers.script = ends(State.failed)
    workers.work(make_sweep(THREE))
    workers.script = dies(code, "no space left\n", begins=False)
    assert states(workers.work(make_sweep(THREE, retry_failed=True))) == [state] * 3


def test_a_preempted_run_that_fails_before_it_begins_is_failed(make_sweep, workers):
    workers.script = ends(State.preempted, 75)
    workers.work(make_sweep(THREE))
    workers.script = dies(1, "ImportError: no torch\n", begins=False)
    sweep = workers.work(make_sweep(THREE))
    assert states(sweep) == [State.failed] * 3
    assert "ImportError: no torch" in sweep.cells[0].record.reason


# Early termination

STOPPING = {
    **THREE,
    "parameters": THREE["parameters"] | {"data": {"parameters": {"validation": {"value": 8}}}},
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
}


def competes(job):
    """Seed 1 is bad."""
    accuracy = 0.1 if job.values["train"]["seed"] == 1 else 0.9
    for epochs in range(EPOCHS):
        job.write(State.running, epochs, accuracy=accuracy)
        yield
        if STOP in job.told:
            job.write(State.stopped, epochs, accuracy=accuracy)
            return 0
        if signal.SIGUSR1 in job.told:
            job.write(State.preempted, epochs, accuracy=accuracy)
            return 75
    job.write(State.finished, EPOCHS, accuracy=accuracy)
    return 0


def test_early_termination_tells_the_bad_run_to_stop_and_no_other(make_sweep, workers):
    workers.script = competes
    sweep = workers.work(make_sweep(STOPPING, 3))
    assert [set(job.told) for job in workers.jobs] == [set(), {STOP}, set()]
    assert states(sweep) == [State.finished, State.stopped, State.finished]


def test_without_early_termination_no_run_is_told_to_stop(make_sweep, workers):
    workers.script = competes
    workers.work(make_sweep(THREE, 3))
    assert [job.told for job in workers.jobs] == [[], [], []]


def test_a_bad_run_that_goes_on_is_stopped_even_before_it_listens(make_sweep, workers):
    """It was preempted; what it reached is worse than the others. The signal waits until the run listens."""
    workers.script = competes
    workers.work(make_sweep(STOPPING, 1))
    bad = workers.jobs[1]
    bad.write(State.preempted, 3, accuracy=0.1)

    def begins_late(job):
        for _ in range(3):
            yield
        return (yield from competes(job))

    workers.script = begins_late
    assert states(workers.work(make_sweep(STOPPING, 1))) == [State.finished, State.stopped, State.finished]


# Preemption


def test_a_preempted_sweep_tells_every_worker_starts_nothing_more_and_goes_on_later(make_sweep, workers):
    sweep = make_sweep(THREE, 2)
    rounds = count(1)
    workers.work(sweep, lambda: sweep.preempt() if next(rounds) == 2 else None)
    assert [set(job.told) for job in workers.jobs] == [{signal.SIGUSR1}, {signal.SIGUSR1}]
    assert states(sweep) == [State.preempted, State.preempted, State.pending]
    again = workers.work(make_sweep(THREE, 2))
    assert states(again) == [State.finished] * 3
    assert len(workers.jobs) == 5


@pytest.mark.parametrize("count", [1, 2])
def test_a_sweep_that_is_preempted_while_it_starts_a_worker_passes_it_on(make_sweep, workers, monkeypatch, count):
    """Starting the first takes seconds: torch is imported."""
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    sweep = make_sweep(THREE, count)
    start = sweep.start

    def interrupted(variables, log, cores=()):
        sweep.preempt()
        return start(variables, log, cores)

    monkeypatch.setattr(sweep, "start", interrupted)

    def never(job):
        while signal.SIGUSR1 not in job.told:
            job.write(State.running)
            yield
        job.write(State.preempted)
        return 75

    workers.script = never
    workers.work(sweep)
    assert [set(job.told) for job in workers.jobs] == [{signal.SIGUSR1}]
    assert states(sweep) == [State.preempted, State.pending, State.pending]


def test_a_worker_that_does_not_react_in_time_is_killed(make_sweep, workers, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    sweep = make_sweep(THREE)

    def deaf(job):
        while True:
            job.write(State.running, 1)
            yield

    workers.script = deaf
    rounds = count(1)
    workers.work(sweep, lambda: sweep.preempt() if next(rounds) == 2 else None)
    (job,) = workers.jobs
    assert set(job.told[:-1]) == {signal.SIGUSR1}
    assert job.told[-1] == signal.SIGKILL
    assert states(sweep) == [State.crashed, State.pending, State.pending]


# A limit on the time


@pytest.fixture
def clock(monkeypatch):
    """A clock that `clock.tick` moves on by ten seconds, an epoch: with its start, a run takes an epoch more than it has."""
    made = SimpleNamespace(now=0.0)
    made.tick = lambda: setattr(made, "now", made.now + 10)
    pretended = SimpleNamespace(monotonic=lambda: made.now, sleep=lambda seconds: None)
    monkeypatch.setattr(limits, "time", pretended)
    monkeypatch.setattr(local, "time", pretended)
    monkeypatch.setattr(supervisor, "time", pretended)
    return made


def trains(job):
    """As many epochs as its configuration asks for, from where the record says that it is."""
    before = read_run(job.folder)
    has_checkpoint = (job.folder / "checkpoint.pt").exists()
    for epochs in range(len(before.history) if before and has_checkpoint else 0, job.values["train"]["epochs"]):
        job.write(State.running, epochs)
        yield
        if signal.SIGUSR1 in job.told:
            job.write(State.preempted, epochs)
            (job.folder / "checkpoint.pt").touch()
            return 75
    job.write(State.finished, job.values["train"]["epochs"])
    return 0


def lengths(*epochs):
    return grid(train={"epochs": {"values": list(epochs)}})


def launched(workers):
    return [job.values["train"]["epochs"] for job in workers.jobs]


def test_a_run_is_started_only_if_it_is_expected_to_end_in_time(make_sweep, workers, clock):
    sweep = make_sweep(THREE, limit=Limit(130))  # of which 25 are kept for the end
    workers.work(sweep, clock.tick)
    assert states(sweep) == [State.finished, State.finished, State.pending]
    assert list(sweep.rest().runs) == [sweep.cells[2].run_id]
    assert sweep.rest().seconds == pytest.approx(50)
    assert clock.now < 130
    again = workers.work(make_sweep(THREE, limit=Limit(130)), clock.tick)
    assert states(again) == [State.finished] * 3
    assert not again.rest().runs
    assert len(workers.jobs) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_a_shorter_run_is_started_where_the_next_does_not_fit(make_sweep, workers, clock, count):
    workers.script = trains
    sweep = workers.work(make_sweep(lengths(4, 10, 1, 2), count, limit=Limit(125), beyond=False), clock.tick)
    assert launched(workers) == [4, 1, 2]
    assert states(sweep) == [State.finished, State.pending, State.finished, State.finished]


def test_a_run_that_is_too_long_for_any_call_goes_on_over_several_when_nothing_else_fits(make_sweep, workers, clock):
    workers.script = trains
    keys = lengths(4, 20, 2)
    sweep = workers.work(make_sweep(keys, limit=Limit(145)), clock.tick)
    assert launched(workers) == [4, 2, 20]
    assert states(sweep) == [State.finished, State.preempted, State.finished]
    done = sweep.cells[1].epochs_done
    assert done > 0
    again = workers.work(make_sweep(keys, limit=Limit(345)), clock.tick)
    assert states(again) == [State.finished] * 3


def test_a_run_that_is_too_long_for_any_call_waits_where_other_sweeps_come_first(make_sweep, workers, clock):
    workers.script = trains
    sweep = workers.work(make_sweep(lengths(4, 20, 2), limit=Limit(145), beyond=False), clock.tick)
    assert launched(workers) == [4, 2]
    assert sweep.limit.is_short_for(sweep.rest().seconds)


def test_when_the_time_is_up_a_run_leaves_its_checkpoint_and_another_call_does_only_the_rest(make_sweep, workers, clock):
    workers.script = trains
    sweep = workers.work(make_sweep(lengths(10), limit=Limit(105)), clock.tick)
    assert workers.jobs[0].told == [signal.SIGUSR1]
    assert states(sweep) == [State.preempted]
    assert clock.now < 105
    rest = (10 - sweep.cells[0].epochs_done) * 10
    assert sweep.rest().seconds == pytest.approx(rest + limits.STARTUP_SECONDS)
    again = workers.work(make_sweep(lengths(10), limit=Limit(105)), clock.tick)
    assert states(again) == [State.finished]


def test_a_worker_that_does_not_hear_that_the_time_is_up_is_killed_before_it_is(make_sweep, workers, clock):
    def deaf(job):
        while True:
            job.write(State.running, 1)
            yield

    workers.script = deaf
    sweep = workers.work(make_sweep(THREE, limit=Limit(20)), lambda: setattr(clock, "now", clock.now + 1))
    (job,) = workers.jobs
    assert (job.told[0], job.told[-1]) == (signal.SIGUSR1, signal.SIGKILL)
    assert clock.now <= 21
    assert len(sweep.rest().runs) == 3


def test_what_died_by_itself_is_not_left_to_another_call(make_sweep, workers, clock):
    workers.script = dies(-signal.SIGKILL)
    sweep = workers.work(make_sweep(THREE, limit=Limit(1000)), clock.tick)
    assert states(sweep) == [State.crashed] * 3
    assert not sweep.rest().runs


@pytest.mark.parametrize(("has_checkpoint", "first"), [(True, [2]), (False, [0])])
def test_a_run_that_has_begun_goes_first_and_needs_only_its_rest(make_sweep, workers, clock, has_checkpoint, first):
    workers.work(make_sweep(THREE))
    for job in workers.jobs:
        shutil.rmtree(job.folder)
    begun = workers.jobs[2]
    begun.folder.mkdir()
    begun.write(State.preempted, EPOCHS - 1)
    if has_checkpoint:
        (begun.folder / "checkpoint.pt").touch()
    workers.jobs.clear()
    workers.script = trains
    workers.work(make_sweep(THREE, limit=Limit(70), beyond=False), clock.tick)
    assert [job.values["train"]["seed"] for job in workers.jobs] == first


def test_where_no_run_tells_one_is_started_to_see_and_the_others_wait_for_it(make_sweep, workers, clock):
    seen = []
    workers.work(make_sweep(THREE, 3, limit=Limit(1000)), lambda: (seen.append(len(workers.running)), clock.tick()))
    assert seen[:4] == [1, 1, 3, 3]


def test_runs_of_other_sweeps_tell_too(make_sweep, workers, clock):
    workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": [7]}}), folder="earlier"))
    workers.work(make_sweep(THREE, limit=Limit(50), beyond=False), clock.tick)
    assert len(workers.jobs) == 1


@pytest.mark.parametrize(("method", "draws"), [("bayes", 2), ("random", 5)])
def test_a_search_that_learns_draws_nothing_ahead_of_its_runs(make_sweep, workers, clock, method, draws):
    data = {"data": {"parameters": {"source": {"value": "digits"}, "validation": {"value": 8}}}}
    keys = RANDOM | {"method": method, "metric": {"name": "val/accuracy", "goal": "maximize"}, "parameters": RANDOM["parameters"] | data}
    sweep = workers.work(make_sweep(keys, limit=Limit(100)), clock.tick)
    assert len(workers.jobs) == 1
    assert len(sweep.draws) == draws
    assert len(sweep.rest().runs) == 4


# Going on from the records alone


def only_records(tmp_path):
    """What another machine is given: neither sweep.json nor checkpoints."""
    for path in (tmp_path / "runs").rglob("*"):
        if path.is_file() and path.name not in (RECORD, HISTORY):
            path.unlink()


@pytest.mark.parametrize("keys", [THREE, RANDOM], ids=["grid", "random"])
def test_the_records_alone_tell_what_is_done(make_sweep, workers, tmp_path, keys):
    before = workers.work(make_sweep(keys))
    only_records(tmp_path)
    workers.jobs.clear()
    again = workers.work(make_sweep(keys))
    assert not workers.jobs
    assert states(again) == states(before)


def test_what_a_run_left_that_was_killed_behind_its_record_is_removed(make_sweep, workers):
    sweep = workers.work(make_sweep(THREE))
    done, failed, _ = (sweep.folder / cell.run_id for cell in sweep.cells)
    workers.jobs[1].write(State.failed, 1)
    for folder in (done, failed):
        (folder / "checkpoint.pt.before").touch()
    workers.work(make_sweep(THREE))
    assert not list(done.glob("checkpoint*"))
    assert list(failed.glob("checkpoint*"))  # it may be run again


def test_a_run_that_was_cut_off_and_has_no_checkpoint_starts_anew(make_sweep, workers, tmp_path):
    workers.work(make_sweep(THREE))
    workers.jobs[1].write(State.preempted, 3)
    only_records(tmp_path)
    seen, sweep = [], make_sweep(THREE)
    workers.work(sweep, lambda: seen.append(sweep.cells[1].epochs_done))
    assert len(workers.jobs) == 4
    assert seen == sorted(seen)
    assert states(sweep) == [State.finished] * 3


# Runs of an earlier version of identities


def as_before(folder):
    """The runs in a sweep's folder as an earlier version named them; returns their names."""
    names = set()
    for number, path in enumerate(sorted(folder.glob(f"*/{RECORD}"))):
        stored = json.loads(path.read_text())
        before = f"{number:012}"
        name = f"{before}-s{stored['seed']}"
        del stored["identity_version"]
        path.write_text(json.dumps(stored | {"identity": before, "run_id": name}))
        path.parent.rename(folder / name)
        names.add(name)
    return names


@pytest.mark.parametrize("keys", [THREE, RANDOM], ids=["grid", "random"])
def test_what_an_earlier_version_finished_is_done_under_its_name(make_sweep, workers, keys):
    done = workers.work(make_sweep(keys))
    names = as_before(done.folder)
    workers.jobs.clear()
    again = workers.work(make_sweep(keys))
    assert not workers.jobs
    assert again.names == names
    assert {path.parent.name for path in done.folder.glob(f"*/{RECORD}")} == names


@pytest.mark.parametrize("checkpoint", [True, False])
def test_what_an_earlier_version_began_goes_on_under_its_name(make_sweep, workers, checkpoint):
    done = workers.work(make_sweep(THREE))
    workers.jobs[1].write(State.preempted, 3)
    names = as_before(done.folder)
    (begun,) = (path.parent for path in done.folder.glob(f"*/{RECORD}") if json.loads(path.read_text())["state"] == "preempted")
    if checkpoint:
        (begun / "checkpoint.pt").write_bytes(b"")
    workers.jobs.clear()
    workers.script = ends(State.finished)
    again = make_sweep(THREE)
    seen = []
    workers.work(again, lambda: seen.append(again.rest().runs.keys()))
    assert [job.run_id for job in workers.jobs] == [begun.name]
    assert again.names == names


def test_another_sweep_s_run_of_an_earlier_version_is_taken_over_under_its_name(make_sweep, workers):
    names = as_before(workers.work(make_sweep(THREE, folder="other")).folder)
    workers.jobs.clear()
    mine = workers.work(make_sweep(THREE))
    assert not workers.jobs
    assert {path.parent.name for path in mine.folder.glob(f"*/{RECORD}")} == names


def test_a_run_of_now_is_not_called_by_a_name_of_before(make_sweep, workers):
    """It was trained anew, and the one of before came from another machine afterwards."""
    mine = workers.work(make_sweep(THREE))
    names = mine.names
    other = workers.work(make_sweep(THREE, folder="other"))
    as_before(other.folder)
    workers.jobs.clear()
    assert workers.work(make_sweep(THREE)).names == names
    assert not workers.jobs


BAYES = RANDOM | {"method": "bayes", "metric": {"name": "val/accuracy", "goal": "maximize"}}
BAYES["parameters"] = BAYES["parameters"] | nested(data={"source": {"value": "digits"}, "validation": {"value": 100}})


@pytest.mark.parametrize(("sweep", "is_drawn"), [("mine", True), ("another", False)])
def test_a_search_that_learns_takes_what_it_is_given_of_its_own_and_no_other_sweep_s(make_sweep, workers, sweep, is_drawn):
    of = {"train": {"epochs": EPOCHS, "seed": 7}, "data": {"source": "digits", "validation": 100}}
    done = workers.work(make_sweep(BAYES, given=[given(of, sweep=sweep)]))
    assert (7 in [cell.seed for cell in done.cells]) is is_drawn
    assert len(done.draws) == 5
    assert len(workers.jobs) == 5 - is_drawn


def given(of, **changes):
    config = RunConfig.parse(of)
    record = RunRecord(
        run_id="w4ndb1d", sweep="s", label="", identity=identity(config), seed=config.train.seed, config=of, state=State.finished
    )
    return record.model_copy(update=changes)


def test_finished_runs_that_are_given_are_done_and_others_are_not(make_sweep, workers):
    one, two = ({"train": {"epochs": EPOCHS, "seed": seed}} for seed in (0, 1))
    sweep = workers.work(make_sweep(THREE, given=[given(one), given(two, state=State.preempted)]))
    assert [job.values["train"]["seed"] for job in workers.jobs] == [1, 2]
    assert read_run(sweep.folder / sweep.cells[0].run_id).run_id == sweep.cells[0].run_id
    workers.work(make_sweep(THREE))
    assert len(workers.jobs) == 2


def test_a_given_run_takes_the_place_of_one_that_was_cut_off_and_of_none_that_has_ended(make_sweep, workers):
    workers.work(make_sweep(THREE))
    workers.jobs[0].write(State.preempted, 2)
    workers.jobs[1].write(State.diverged, 2)
    records = [given({"train": {"epochs": EPOCHS, "seed": seed}}) for seed in (0, 1)]
    assert states(workers.work(make_sweep(THREE, given=records))) == [State.finished, State.diverged, State.finished]
    assert len(workers.jobs) == 3


@pytest.mark.parametrize(("name", "runs"), [("pets", 0), ("cars", 1)])
def test_of_a_folder_of_images_a_given_run_counts_by_its_name(make_sweep, workers, name, runs):
    there = {"train": {"epochs": EPOCHS}, "data": {"source": "folder", "folder": "/elsewhere", "name": "pets"}}
    here = grid(data={"source": {"value": "folder"}, "folder": {"value": "/here"}, "name": {"value": name}})
    workers.work(make_sweep(here, given=[given(there)]))
    assert len(workers.jobs) == runs


@pytest.fixture(params=["folder", "file", "function", "cell"])
def own_images(request, tmp_path):
    """The keys of a sweep over images of the user's, of which a fingerprint tells whether they are the same."""
    (tmp_path / "pets.npz").touch()
    file = {"source": {"value": "npz"}, "file": {"value": str(tmp_path / "pets.npz")}}
    return {
        "folder": grid(data={"source": {"value": "folder"}, "folder": {"value": str(tmp_path)}}),
        "file": grid(data=file),
        "function": grid(data={"source": {"value": "tests.data.own:grey"}}),
        "cell": grid()
        | {"parameters": grid()["parameters"] | {"cell": {"values": [f"data.source=npz data.file={tmp_path / 'pets.npz'}"]}}},
    }[request.param]


@pytest.mark.parametrize(("fingerprint", "runs"), [("f", 1), ("g", 2)])
def test_another_sweep_s_run_on_images_of_the_user_s_is_taken_over_where_they_are_the_same(
    make_sweep, workers, own_images, fingerprint, runs
):
    workers.work(make_sweep(own_images, folder="earlier", fingerprint=lambda data: "f"))
    workers.work(make_sweep(own_images, fingerprint=lambda data: fingerprint))
    assert len(workers.jobs) == runs


def test_where_nobody_tells_of_the_images_no_other_sweep_s_run_on_them_is_taken_over(make_sweep, workers, own_images):
    workers.work(make_sweep(own_images, folder="earlier"))
    workers.work(make_sweep(own_images))
    assert len(workers.jobs) == 2


def test_a_run_on_other_images_of_the_user_s_is_not_taken_as_done(make_sweep, workers, own_images):
    for _ in range(2):
        workers.work(make_sweep(own_images, fingerprint=lambda data: "f"))
    with pytest.raises(UserError, match=r"holds this run on other images .* that of these is g"):
        workers.work(make_sweep(own_images, fingerprint=lambda data: "g"))
    assert len(workers.jobs) == 1


OWN = grid(model={"name": {"value": "tests.models.own:small"}}, data={"source": {"value": "digits"}})


def of_other_code(folder):
    """The one run in a sweep's folder becomes one of code that was edited after the sweep had named it; returns its own identity."""
    (path,) = folder.glob(f"*/{RECORD}")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "0" * 12}))
    return path.parent


def test_another_sweep_s_run_of_other_code_than_its_name_says_is_not_taken_over(make_sweep, workers):
    workers.work(make_sweep(OWN, folder="earlier"))
    workers.work(make_sweep(OWN, folder="second"))
    assert len(workers.jobs) == 1
    for folder in ("earlier", "second"):
        of_other_code(make_sweep(OWN, folder=folder).folder)
    workers.work(make_sweep(OWN))
    assert len(workers.jobs) == 2


def test_results_of_other_code_than_their_name_says_are_not_done_and_not_lost(make_sweep, workers):
    there = of_other_code(workers.work(make_sweep(OWN)).folder)
    with pytest.raises(UserError, match=rf"^{there} holds a run of other code than its name says, {'0' * 12}-s0: rename the folder to"):
        workers.work(make_sweep(OWN))
    there.rename(there.with_name(f"{'0' * 12}-s0"))
    sweep = workers.work(make_sweep(OWN))
    assert (len(workers.jobs), states(sweep)) == (2, [State.finished])
    assert sorted(record.identity for record in read_runs(sweep.folder)) == sorted(["0" * 12, sweep.cells[0].identity])


@pytest.mark.parametrize("state", [State.failed, State.preempted])
def test_a_run_of_other_code_that_came_to_nothing_makes_room(make_sweep, workers, state):
    workers.work(make_sweep(OWN))
    workers.jobs[0].write(state, 1)
    of_other_code(make_sweep(OWN).folder)
    assert states(workers.work(make_sweep(OWN))) == [State.finished]


def test_a_worker_is_told_what_its_run_was_named_after(make_sweep, workers, monkeypatch):
    monkeypatch.setattr("reglab.config.identities.source", lambda reference: "before")
    sweep = make_sweep(OWN)
    course = sweep.run()
    next(course)
    monkeypatch.setattr("reglab.config.identities.source", lambda reference: "after")
    next(course)
    assert (
        [f"{job.variables['REGLAB_IDENTITY']}-s0" for job in workers.jobs]
        == [job.run_id for job in workers.jobs]
        == [sweep.cells[0].run_id]
    )
    course.close()


KEPT = {"train": {"epochs": {"value": EPOCHS}, "seed": {"value": 0}, "keep_weights": {"value": True}}}


def test_where_weights_are_wanted_a_run_that_finished_without_is_trained(make_sweep, workers):
    workers.work(make_sweep(grid(train={"seed": {"value": 0}}), folder="earlier"))
    workers.work(make_sweep(grid(**KEPT)))
    assert len(workers.jobs) == 2


def test_where_weights_are_wanted_they_are_copied_from_the_sweep_that_kept_them(make_sweep, workers):
    sweep = workers.work(make_sweep(grid(**KEPT), folder="earlier"))
    there = sweep.folder / sweep.cells[0].run_id
    write_run(there, read_run(there).changed(weights="hash"))
    (there / "weights.safetensors").write_bytes(b"weights")
    sweep = workers.work(make_sweep(grid(**KEPT)))
    here = sweep.folder / sweep.cells[0].run_id
    assert len(workers.jobs) == 1
    assert read_run(here).weights == "hash"
    assert (here / "weights.safetensors").read_bytes() == b"weights"


def test_a_given_run_without_weights_is_no_substitute_where_they_are_wanted(make_sweep, workers):
    run = {"train": {"epochs": EPOCHS, "seed": 0}}
    workers.work(make_sweep(grid(**KEPT), folder="one", given=[given(run)]))
    assert len(workers.jobs) == 1
    workers.work(make_sweep(grid(**KEPT), folder="other", given=[given(run, weights="hash")]))
    assert len(workers.jobs) == 2  # a record brings no weights


PETS = {"source": {"value": "folder"}, "folder": {"value": "."}, "name": {"value": "pets"}}


def test_a_run_on_other_images_of_one_name_is_not_taken_as_done(make_sweep, workers):
    workers.work(make_sweep(grid(data=PETS), fingerprint=lambda data: "f"))
    workers.work(make_sweep(grid(data=PETS), fingerprint=lambda data: "f"))
    (folder,) = [job.folder for job in workers.jobs]
    before = read_run(folder)
    with pytest.raises(UserError, match=rf"{folder} holds this run on other images .* fingerprint is f, that of these is g: .*data.name="):
        workers.work(make_sweep(grid(data=PETS), fingerprint=lambda data: "g"))
    assert read_run(folder) == before and len(workers.jobs) == 1


def test_a_run_that_was_cut_off_goes_on_on_no_other_images(make_sweep, workers):
    def is_cut_off(job):
        job.write(State.preempted, 1)
        yield
        return 75

    workers.script = is_cut_off
    sweep = workers.work(make_sweep(grid(data=PETS), fingerprint=lambda data: "f"))
    before = read_run(sweep.folder / sweep.cells[0].run_id)
    with pytest.raises(UserError, match="holds this run on other images"):
        workers.work(make_sweep(grid(data=PETS), fingerprint=lambda data: "g"))
    assert read_run(sweep.folder / sweep.cells[0].run_id) == before and len(workers.jobs) == 1


def test_an_interruption_while_images_are_looked_at_preempts_the_runs_that_go_on(make_sweep, workers):
    """A search draws one more, whose run is there: its images have to be decoded, and a signal ends that."""
    keys = RANDOM | {"run_cap": 2, "parameters": nested(train=RANDOM["parameters"]["train"]["parameters"], data=PETS)}
    sweep = workers.work(make_sweep(keys, fingerprint=lambda data: "f"))
    first, second = (sweep.folder / cell.run_id for cell in sweep.cells)
    (sweep.folder / DRAWS).unlink()
    (first / "run.json").unlink()

    def interrupted(data):
        raise Interrupted(Request.preempt)

    sweep = workers.work(make_sweep(keys, 2, fingerprint=interrupted))
    assert workers.jobs[-1].told == [signal.SIGUSR1]
    assert [read_run(folder).state for folder in (first, second)] == [State.preempted, State.finished]
    assert sweep.rest().runs


def test_a_given_run_on_other_images_of_one_name_is_refused(make_sweep, workers):
    data = {"source": "folder", "folder": "/elsewhere", "name": "pets"}
    there = given({"train": {"epochs": EPOCHS}, "data": data}, environment=MACHINE)
    with pytest.raises(UserError, match="--from holds this run on other images"):
        workers.work(make_sweep(grid(data=PETS), given=[there], fingerprint=lambda data: "g"))
    assert not workers.jobs
    workers.work(make_sweep(grid(data=PETS), given=[there], fingerprint=lambda data: "f"))
    assert not workers.jobs


def test_given_runs_on_two_sets_of_one_name_are_refused(make_sweep):
    values = {"train": {"epochs": EPOCHS}, "data": {"source": "folder", "folder": "/elsewhere", "name": "pets"}}
    there = [given(values, environment=MACHINE.model_copy(update={"data_fingerprint": fingerprint})) for fingerprint in "fg"]
    with pytest.raises(UserError, match=r"fingerprints f \(1 run, .*\) and g \(1 run"):
        make_sweep(grid(data=PETS), given=there)


def test_where_the_images_are_not_here_nothing_is_compared_with_them(make_sweep, workers):
    def fail(data):
        raise AssertionError("asked for")

    data = PETS | {"folder": {"value": "/nowhere/pets"}}
    for _ in range(2):
        workers.work(make_sweep(grid(data=data), fingerprint=fail))
    assert len(workers.jobs) == 1


# How long it takes


def test_the_time_left_follows_from_the_epochs_so_far(make_sweep, workers):
    sweep, left = make_sweep(THREE), []
    workers.work(sweep, lambda: left.append(sweep.seconds_left()))
    known = [seconds for seconds in left if seconds is not None]
    assert left[:2] == [None, None]  # before there are two epochs to compare
    assert known[0] == pytest.approx(10 * (3 * EPOCHS - 2))  # ten seconds an epoch
    assert known == sorted(known, reverse=True)
    assert known[-1] == 0


def test_the_time_left_is_shared_by_the_workers_and_counts_what_is_not_drawn_yet(make_sweep, workers):
    sweep, left = make_sweep(RANDOM, 2), []
    workers.work(sweep, lambda: left.append(sweep.seconds_left()))
    first = next(seconds for seconds in left if seconds is not None)
    assert first == pytest.approx(10 * (5 * EPOCHS - 2 * 2) / 2)
    assert left[-1] == 0


# What a worker is given


def test_a_worker_is_given_its_run(make_sweep, workers, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(local, "cores", lambda: range(7))
    workers.work(make_sweep(THREE, 2))
    job = workers.jobs[0]
    assert job.variables["WANDB_SWEEP_ID"] == "mine"
    assert job.variables["WANDB_RUN_ID"] == run_id(RunConfig.parse(job.values))
    assert job.variables["REGLAB_RUNS"] == str(tmp_path / "runs")
    assert job.variables["REGLAB_THREADS"] == "3"
    assert job.log == job.folder / LOG


def test_where_there_are_too_few_cores_each_worker_has_a_thread_on_any_of_them(make_sweep, workers, monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: range(2))
    workers.work(make_sweep(THREE, 3))
    assert {(job.variables["REGLAB_THREADS"], job.cores) for job in workers.jobs} == {("1", ())}


@pytest.mark.parametrize("names", ["", "0,1"])
def test_each_worker_has_cores_of_its_own_beside_a_gpu_too(make_sweep, workers, gpus, monkeypatch, names):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(local, "cores", lambda: [1, 2, 4, 5, 7])
    gpus(names)
    workers.work(make_sweep(THREE, 2))
    assert {(job.variables["REGLAB_THREADS"], job.cores) for job in workers.jobs} == {("2", (1, 2)), ("2", (4, 5))}


def test_workers_share_the_gpus_evenly(make_sweep, workers, gpus):
    gpus("3,5")
    seen = []
    workers.work(
        make_sweep(grid(train=SEEDS | {"seed": {"values": list(range(6))}}), 4),
        lambda: seen.append(sorted(job.variables["CUDA_VISIBLE_DEVICES"] for job in workers.running)),
    )
    assert seen[0] == ["3", "3", "5", "5"]
    assert all(abs(names.count("3") - names.count("5")) <= 1 for names in seen[:6])
    assert {job.variables["REGLAB_GPU_RUNS"] for job in workers.jobs} == {"2"}


def test_each_run_is_told_how_many_its_gpu_is_for(make_sweep, workers, gpus):
    gpus("3,5")
    workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": list(range(6))}}), 3))
    assert {(job.variables["CUDA_VISIBLE_DEVICES"], job.variables["REGLAB_GPU_RUNS"]) for job in workers.jobs} == {("3", "2"), ("5", "1")}


def test_a_gpu_that_is_free_again_is_used_again(make_sweep, workers, gpus):
    gpus("3,5")

    def script(job):
        turns = 2 if job.values["train"]["seed"] == 0 else 8
        for _ in range(turns):
            yield
        job.write(State.finished, 1)
        return 0

    workers.script = script
    workers.work(make_sweep(THREE, 2))
    assert [job.variables["CUDA_VISIBLE_DEVICES"] for job in workers.jobs] == ["3", "5", "3"]


# Faults of the machine


def gives_up(job):
    job.write(State.running)
    yield
    job.write(State.preempted, reason="/runs: there is no room left")
    return 75


def test_runs_in_a_row_that_meet_a_fault_of_the_machine_end_the_sweep_which_goes_on_later(make_sweep, workers):
    workers.script = gives_up
    sweep = workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": list(range(6))}})))
    assert len(workers.jobs) == 3
    assert sweep.complaint == "3 runs in a row, the last: /runs: there is no room left"
    assert len(sweep.rest().runs) == 6
    workers.script = finishes
    assert states(workers.work(make_sweep(grid(train=SEEDS | {"seed": {"values": list(range(6))}})))) == [State.finished] * 6


def test_a_disk_that_fills_up_under_the_sweep_itself_ends_it_with_its_workers_told(make_sweep, workers, monkeypatch):
    def full(path, write, before=None):
        raise OSError(28, "No space left on device", str(path))

    def fill():
        if workers.jobs:
            monkeypatch.setattr(draws, "write_whole", full)

    sweep = workers.work(make_sweep(RANDOM, 2), fill)
    assert "there is no room left (No space left on device): make room" in sweep.complaint
    assert all(job.told == [signal.SIGUSR1] or job.exitcode == 0 for job in workers.jobs)


@pytest.mark.parametrize("times", [1, 10**6], ids=["once", "for good"])
def test_a_disk_that_gives_no_record_ends_the_sweep_with_its_workers_told(make_sweep, workers, monkeypatch, times):
    left = iter(range(times))

    def away(folder):
        if len(workers.jobs) == 2 and next(left, None) is not None:
            raise MachineError("its disk does not answer")
        return read_run(folder)

    monkeypatch.setattr("reglab.sweep.job.read_run", away)
    sweep = workers.work(make_sweep(THREE, 2))
    assert sweep.complaint == "its disk does not answer"
    assert [job.told for job in workers.jobs] == [[signal.SIGUSR1]] * 2
    assert [read_run(job.folder).state for job in workers.jobs] == [State.preempted] * 2


def test_a_disk_that_gives_no_record_waits_no_longer_for_its_workers_than_they_are_given(make_sweep, workers, monkeypatch):
    def away(folder):
        raise MachineError("its disk does not answer")

    def deaf(job):
        while True:
            job.write(State.running, 1)
            yield

    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr("reglab.sweep.job.read_run", away)
    workers.script = deaf
    sweep = workers.work(make_sweep(THREE, 1))
    assert sweep.complaint == "its disk does not answer"
    assert [job.told for job in workers.jobs] == [[signal.SIGUSR1, signal.SIGKILL]]


def test_a_search_that_breaks_ends_the_sweep_when_its_workers_have_left(make_sweep, workers, monkeypatch):
    ask = Random.ask

    def breaks(engine):
        if workers.jobs:
            raise ReglabError("the process that searches died")
        return ask(engine)

    monkeypatch.setattr(Random, "ask", breaks)
    sweep = make_sweep(RANDOM, 2)
    with pytest.raises(ReglabError, match="the process that searches died"):
        workers.work(sweep)
    assert [job.told for job in workers.jobs] == [[signal.SIGUSR1]]
    assert (states(sweep), sweep.complaint) == ([State.preempted], None)


def test_a_damaged_record_is_set_aside_and_the_rest_goes_on(make_sweep, workers, caplog):
    sweep = workers.work(make_sweep(THREE))
    damaged = sweep.folder / sweep.cells[1].run_id
    (damaged / RECORD).write_bytes(b"\xff")
    workers.jobs.clear()
    again = workers.work(make_sweep(THREE))
    assert [job.run_id for job in workers.jobs] == [damaged.name]
    assert states(again) == [State.finished] * 3
    assert (damaged / "run.json.damaged").read_bytes() == b"\xff"
    assert f"{damaged / RECORD} was damaged: it is run.json.damaged now" in caplog.text


def test_a_history_that_is_not_whole_is_named_and_comes_back_from_elsewhere(make_sweep, workers):
    sweep = workers.work(make_sweep(THREE))
    whole = read_run(sweep.folder / sweep.cells[1].run_id)
    (sweep.folder / whole.run_id / HISTORY).write_bytes(b"")
    workers.jobs.clear()
    named = workers.work(make_sweep(THREE))
    assert not workers.jobs
    assert [bool(cell.record.damage) for cell in named.cells] == [False, True, False]
    workers.work(make_sweep(THREE, given=[whole]))
    assert read_run(sweep.folder / whole.run_id).history == whole.history


def test_a_run_that_is_given_without_its_epochs_lacks_none(make_sweep, workers):
    sweep = workers.work(make_sweep(THREE))
    given = [cell.record.model_copy(update={"history": []}) for cell in sweep.cells]
    other = workers.work(make_sweep(THREE, folder="other", given=given))
    assert [cell.record.damage for cell in other.cells] == [None] * 3
    assert [read_run(other.folder / cell.run_id).damage for cell in other.cells] == [None] * 3


# Another program


PLAIN = {"program": "train.py", "method": "grid", "parameters": {"lr": {"values": [0.1, 0.2]}}}


def logs(job):
    """A worker of another program, that looks after one which logs twice."""
    record = RunRecord(
        run_id=job.run_id,
        sweep=job.variables["WANDB_SWEEP_ID"],
        label="lr",
        identity="x",
        seed=job.values.get("seed", 0),
        config=job.values,
        program="python train.py ${args}",
        rows=[],
    )
    for number in range(3):
        rows = [{"loss": 1 / (step + 1)} for step in range(number)]
        write_run(job.folder, record.changed(rows=rows))
        yield
    write_run(job.folder, record.changed(rows=rows, state=State.finished, logged={"loss": 0.5}))
    return 0


def test_another_program_s_runs_are_recorded_and_not_repeated(make_sweep, workers):
    workers.script = logs
    sweep = workers.work(make_sweep(PLAIN))
    assert states(sweep) == [State.finished] * 2
    assert [(cell.label, cell.epochs_done) for cell in sweep.cells] == [("lr 0.1", 2), ("lr 0.2", 2)]
    assert [cell.record.logged for cell in sweep.cells] == [{"loss": 0.5}] * 2
    again = workers.work(make_sweep(PLAIN))
    assert (states(again), len(workers.jobs)) == ([State.finished] * 2, 2)


def test_another_program_s_runs_are_not_shared_with_another_sweep(make_sweep, workers):
    """It may have changed meanwhile."""
    workers.script = logs
    workers.work(make_sweep(PLAIN))
    workers.work(make_sweep(PLAIN, folder="other"))
    assert len(workers.jobs) == 4


def test_another_program_s_worker_that_is_killed_leaves_a_record_of_that_program(make_sweep, workers):
    workers.script = dies(-signal.SIGKILL, begins=False)
    sweep = workers.work(make_sweep(PLAIN))
    assert states(sweep) == [State.crashed] * 2
    assert [read_run(sweep.folder / cell.run_id).program for cell in sweep.cells] == ["python train.py ${args}"] * 2
    workers.script = logs
    assert states(workers.work(make_sweep(PLAIN))) == [State.finished] * 2


def test_seeds_that_are_asked_for_later_are_added(tmp_path, workers):
    workers.script = logs
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(PLAIN | {"replicates": {"key": "seed", "start": 1, "most": 3}}))

    def run(seeds=None):
        return workers.work(LocalSweep(spec.read(path, seeds=seeds), tmp_path / "runs" / "mine", 1, workers.start))

    run()
    more = run(3)
    assert [(cell.values["lr"], cell.seed) for cell in more.cells] == [(lr, seed) for seed in range(3) for lr in (0.1, 0.2)]
    assert len(workers.jobs) == 6
    assert len(run().cells) == 6  # what was asked for once stays


def test_a_search_that_ended_below_its_cap_is_complete(make_sweep, workers, monkeypatch):
    """As one does whose study has a terminator, or a grid of its own."""
    ask = Random.ask
    monkeypatch.setattr(Random, "ask", lambda engine: ask(engine) if len(engine.trials) < 2 else None)
    sweep = workers.work(make_sweep(RANDOM))
    assert states(sweep) == [State.finished] * 2
    values, is_over = drawn(sweep.folder, sweep.spec)
    assert is_over
    monkeypatch.undo()
    records = [cell.record for cell in sweep.cells]
    assert ledger.reckon(sweep.spec, records, values, is_over).complete
    assert not ledger.reckon(sweep.spec, records, values).complete
    again = workers.work(make_sweep(RANDOM))  # asked again it has more after all
    assert len(again.cells) == 5
    assert not drawn(sweep.folder, sweep.spec).is_over


def test_with_a_limit_another_program_s_runs_tell_of_each_other(make_sweep, workers, clock):
    def takes(job):
        record = RunRecord(
            run_id=job.run_id, sweep="mine", label="lr", identity="x", seed=0, config=job.values, program="python train.py ${args}", rows=[]
        )
        yield
        ended = record.created + timedelta(seconds=100)
        write_run(job.folder, record.model_copy(update={"updated": ended, "state": State.finished, "logged": {"loss": 0.5}}))
        return 0

    workers.script = takes
    sweep = workers.work(make_sweep(PLAIN | {"parameters": {"lr": {"values": [1, 2, 3]}}}, limit=Limit(90), beyond=False))
    assert states(sweep) == [State.finished, State.pending, State.pending]
    assert sweep.rest().seconds == pytest.approx(200)
