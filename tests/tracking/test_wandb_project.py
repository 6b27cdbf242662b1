"""Runs that W&B's real client logged to a server on this machine, read back."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import wandb

from reglab.config import RunConfig, identity, run_id
from reglab.errors import ReglabError, UserError
from reglab.report import tables
from reglab.report.programs.roles import AskedRoles
from reglab.report.programs.roles import read as read_roles
from reglab.report.studies.measures import Target
from reglab.settings import settings
from reglab.tracking import wandb_api, wandb_programs, wandb_project, wandb_states
from reglab.tracking.client import PROJECT
from reglab.tracking.fetch import curves, fetch, programs
from reglab.tracking.per_image import PerImage
from reglab.tracking.program_run import CLOCK
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Epoch, OwnMetric, Summary
from reglab.tracking.store import LocalRun, read_runs
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_project import records
from reglab.tracking.wandb_run import WandbRun
from reglab.tracking.wandb_states import runs_of_sweep
from tests.loopback import graphql
from tests.loopback.faults import Fault
from tests.loopback.state import ENTITY, HISTORY, Run
from tests.report import published

HERE = Project(ENTITY, PROJECT)
ENVIRONMENT = Environment(
    device="cpu",
    torch="2",
    python="3",
    threads=1,
    precision="fp32",
    compiled=False,
    reglab="0",
    data="digits",
    data_fingerprint="f",
    train_images=128,
    test_images=64,
    elsewhere=["a lost GPU, bf16, torch 2, reglab 0"],
)


def row(number, **values):
    known = {"train_loss": 1.0 / number, "train_accuracy": 0.5, "lr": 0.1, "time_train_seconds": number, "time_wall_seconds": 2.0 * number}
    return Epoch(epoch=number, throughput_images_per_second=3, **known | values)


def record(seed, **sections):
    config = RunConfig.parse({"dropout": {"layers": 1, "p": 0.0}, **sections, "train": {"seed": seed, "epochs": 3}})
    return RunRecord(
        run_id=run_id(config),
        sweep="final",
        label=config.label,
        identity=identity(config),
        seed=seed,
        config=config.model_dump(mode="json"),
        environment=ENVIRONMENT,
        measures=[OwnMetric(reference="mine:ece", code="f" * 12, title="calibration error", share=True, better="lower")],
    )


SUMMARY = Summary(test_accuracy=0.75, train_clean_accuracy=1.0, gap=0.25, time_train_seconds=3, time_wall_seconds=6, parameters=7, epochs=3)


def after(epochs):
    return SUMMARY.model_copy(update={"epochs": epochs})


ENDS = {
    State.finished: (
        {"summary": SUMMARY.model_copy(update={"own": {"test/ece": 0.1}}), "per_image": PerImage.of("f", np.arange(64) < 48)},
        [row(1), row(2, test_loss=2.0, test_accuracy=0.75, own={"test/ece": 0.1, "test/f1/cat": 0.5}), row(3, val_accuracy=1)],
    ),
    State.stopped: ({"summary": after(1), "reason": "stopped on request"}, [row(1)]),
    State.diverged: ({"summary": after(2), "reason": "loss not finite in epoch 3"}, [row(1), row(2, test_loss=float("nan"))]),
    State.failed: ({"reason": "RuntimeError: CUDA out of memory"}, [row(1), row(2)]),
    State.preempted: ({}, [row(1), row(2)]),
}


@pytest.fixture
def log(tmp_path):
    """Logs a run to its folder and to W&B, through the same sinks as training does."""

    def through(record, state, changes, rows):
        folder = tmp_path / "runs" / record.sweep / record.run_id
        sinks = [LocalRun(folder), WandbRun(folder)]
        for sink in sinks:
            sink.started(record)
            for each in rows:
                sink.epoch(each)
            if state == State.preempted:
                sink.preempting()
        ended = record.changed(state=state, history=rows, **changes)
        for sink in sinks:
            sink.ended(ended)
        return ended

    return through


def test_the_same_runs_give_the_same_records_and_tables_here_and_there(wandb_server, log, tmp_path):
    for seed, (state, (changes, rows)) in enumerate(ENDS.items()):
        log(record(seed), state, changes, rows)
    begun = RunRecord(run_id="x", sweep="final", label="x", identity="", seed=0, config={"dropout": {"layers": 1}})
    unbuildable = begun.changed(state=State.failed, reason="no p1")
    for sink in (LocalRun(tmp_path / "runs" / "final" / "x"), WandbRun(tmp_path / "runs" / "final" / "x")):
        sink.ended(unbuildable)
    here, there = read_runs(tmp_path / "runs" / "final"), fetch(f"wandb://{ENTITY}/{PROJECT}/final")
    assert len(here) == len(ENDS) + 1
    for mine, its in zip(here, there, strict=True):
        assert its.url == f"{wandb_server.url}/{ENTITY}/{PROJECT}/runs/{mine.run_id}"
        assert its.model_copy(update={"url": None}) == mine
    assert tables.arms(published.cells(there), Target()).equals(tables.arms(published.cells(here), Target()))
    assert [each.history for each in fetch(f"wandb://{ENTITY}/{PROJECT}", history=False)] == [[]] * len(here)


def at_wandb(server, name, state="running", config=None, summary=None, rows=(), **columns):
    config = {"schema_version": 1, "identity": "i", "label": "baseline", "created": "2026-01-01T00:00:00Z", "train": {"seed": 3}} | (
        config or {}
    )
    run = Run(name=name, state=state, config={key: {"value": value} for key, value in config.items()}, summary=summary or {}, **columns)
    run.streams[HISTORY] = [json.dumps({"_step": each.epoch} | each.metrics()) for each in rows]
    return server.world.project(PROJECT).add(run)


@pytest.mark.parametrize(
    ("there", "said", "state"),
    [
        ("running", None, State.running),
        ("pending", None, State.running),
        ("preempting", None, State.running),
        ("running", "preempted", State.running),  # it goes on again
        ("crashed", None, State.crashed),
        ("crashed", "preempted", State.crashed),  # it went on, and died
        ("preempted", "preempted", State.preempted),
        ("failed", "preempted", State.preempted),  # synced later
        ("failed", None, State.failed),
        ("failed", "finished", State.failed),
        ("killed", None, State.crashed),
        ("killed", "stopped", State.stopped),
        ("finished", None, State.crashed),
        ("finished", "diverged", State.diverged),
    ],
)
def test_the_state_is_w_and_b_s_and_how_it_ended_is_the_run_s_own_word(wandb_server, there, said, state):
    at_wandb(wandb_server, "a", there, summary={"state": said, "reason": "why"} if said else {})
    (found,) = records(HERE)
    assert found.state == state
    assert found.reason == ("why" if state.value == said else None)
    assert found.summary is None


def test_runs_of_other_software_are_left_out(wandb_server):
    at_wandb(wandb_server, "ours", "finished")
    wandb_server.world.project(PROJECT).add(Run(name="theirs", state="finished", config={"lr": {"value": 1}}))
    assert [each.run_id for each in records(HERE)] == ["ours"]


def test_the_runs_of_one_sweep_or_group(wandb_server):
    for name, columns in {"a": {"sweep": "s"}, "b": {"group": "g"}, "c": {"sweep": "s", "group": "g"}}.items():
        at_wandb(wandb_server, name, "finished", **columns)
    assert [[each.run_id for each in records(Project(ENTITY, PROJECT, which))] for which in ("s", "g")] == [["a", "c"], ["b", "c"]]
    assert [each.sweep for each in records(HERE)] == ["s", "g", "s"]


def test_one_request_serves_many_runs_and_a_second_read_asks_for_those_that_went_on(wandb_server, monkeypatch):
    monkeypatch.setattr(wandb_project, "READ_AT_ONCE", 10)
    for number in range(35):
        at_wandb(wandb_server, f"r{number:02}", "finished" if number else "running", rows=[row(1), row(2)])
    assert [len(each.history) for each in records(HERE)] == [2] * 35
    assert (wandb_server.count("ListRuns"), wandb_server.count("ReadRuns")) == (1, 4)
    going = wandb_server.world.project(PROJECT).runs["r00"]
    going.streams[HISTORY].append(json.dumps({"_step": 3} | row(3).metrics()))
    assert [len(each.history) for each in records(HERE)] == [3, *[2] * 34]
    assert (wandb_server.count("ListRuns"), wandb_server.count("ReadRuns")) == (2, 5)


def test_a_read_that_was_interrupted_goes_on_where_it_was(wandb_server, monkeypatch):
    monkeypatch.setattr(wandb_project, "READ_AT_ONCE", 10)
    for number in range(40):
        at_wandb(wandb_server, f"r{number:02}", "finished")

    def interrupt(done, total):
        assert total == 40
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(records(HERE, progress=interrupt))
    assert len(list(records(HERE))) == 40
    assert wandb_server.count("ReadRuns") == 4


def test_a_history_longer_than_one_answer_is_whole(wandb_server, monkeypatch):
    at_wandb(wandb_server, "long", "finished", rows=[row(number) for number in range(1, 2501)])
    (found,) = records(HERE)
    assert [each.epoch for each in found.history] == list(range(1, 2501))
    assert wandb_server.count("ReadHistory") == 2


@pytest.mark.parametrize("fault", [Fault.error_500, Fault.error_429, Fault.cut, Fault.refuse])
def test_faults_of_the_server_are_overcome(wandb_server, fault):
    at_wandb(wandb_server, "a", "finished", rows=[row(1)])
    wandb_server.faults.plan("ListRuns", fault)
    wandb_server.faults.plan("ReadRuns", fault)
    assert [each.run_id for each in records(HERE)] == ["a"]


def test_without_a_key_it_says_what_to_do(wandb_server, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="`wandb login` sets the key"):
        list(records(HERE))


def test_a_project_that_is_not_there_is_named(wandb_server):
    with pytest.raises(UserError, match="wandb://loopback/nowhere: there is no such project"):
        fetch("wandb://loopback/nowhere")


def test_a_project_without_our_runs_is_said_to_have_none(wandb_server):
    wandb_server.world.project(PROJECT)
    with pytest.raises(UserError, match="holds no run of reglab"):
        fetch(f"wandb://{ENTITY}/{PROJECT}")


@pytest.mark.parametrize("address", ["wandb://", "wandb://a", "wandb://a/b/c/d", "wandb://a//c"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(UserError, match="give wandb://entity/project"):
        fetch(address)


@pytest.mark.parametrize("config", [{"created": "long ago"}, {"label": None}, {"train": {"seed": "x"}}, {"environment": 3}])
def test_a_run_that_cannot_be_read_is_left_out_and_named_each_time(wandb_server, caplog, config):
    at_wandb(wandb_server, "odd", "finished", config=config)
    at_wandb(wandb_server, "ours", "finished")
    for times in (1, 2):
        assert [each.run_id for each in records(HERE)] == ["ours"]
        assert sum("run odd at W&B is left out" in line for line in caplog.messages) == times


def test_a_key_that_is_refused_is_said_at_once(wandb_server):
    api = wandb_api.connect()
    wandb_server.faults.plan("SweepState", Fault.error_401, times=10)
    with pytest.raises(UserError, match=r"W&B does not take the key .*; `wandb login` sets it"):
        wandb_api.ask_if_there(api, Project("loopback", "p"), wandb_states._SWEEP_STATE, sweep="s")
    assert wandb_server.count("SweepState") == 1


@pytest.mark.parametrize("fault", [None, b"no database at all" * 100, b"SQLite format 3\0" + bytes(1000)], ids=["a file", "text", "zeros"])
def test_a_cache_that_cannot_be_used_costs_no_answer(log, wandb_server, tmp_path, monkeypatch, caplog, fault):
    log(record(0), State.finished, *ENDS[State.finished])
    address = f"wandb://{ENTITY}/{PROJECT}"
    monkeypatch.setenv("REGLAB_CACHE", str(tmp_path / "cache"))
    settings.cache_clear()
    whole = fetch(address)
    if fault:
        (database,) = (tmp_path / "cache" / "wandb").glob("*.sqlite")
        database.write_bytes(fault)
    else:
        monkeypatch.setenv("REGLAB_CACHE", str(tmp_path / "file" / "cache"))
        (tmp_path / "file").touch()
        settings.cache_clear()
    assert fetch(address) == whole
    assert "what W&B sends is not kept in" in caplog.text


def test_a_server_that_is_away_is_no_fault_of_the_key(away):
    with pytest.raises(ReglabError, match="W&B does not answer") as caught:
        list(records(HERE))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("said", "zone"), [(None, None), ("2026-01-02T03:04:05", UTC), ("2026-01-02T03:04:05Z", UTC), ("soon", None)])
def test_a_heartbeat_may_be_missing_or_have_no_zone(wandb_server, monkeypatch, said, zone):
    at_wandb(wandb_server, "a", "running", sweep="s")
    monkeypatch.setattr("tests.loopback.graphql._when", lambda moment: said)
    (found,) = runs_of_sweep(ENTITY, PROJECT, "s")
    assert found.heartbeat == (zone and datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone))


def test_the_cache_is_one_of_this_server_s_project(wandb_server):
    at_wandb(wandb_server, "a", "finished")
    list(records(HERE))
    files = [path for path in (Path(settings().cache) / "wandb").glob("*.sqlite") if wandb_server.url.rpartition(":")[2] in path.name]
    (path,) = files
    with sqlite3.connect(path) as cache:
        assert cache.execute("SELECT name, state FROM runs").fetchall() == [("a", "finished")]


def test_the_listing_of_a_sweep_has_what_an_agent_needs(wandb_server):
    run = at_wandb(wandb_server, "a", "crashed", sweep="s")
    at_wandb(wandb_server, "b", "crashed", sweep="other")
    (found,) = runs_of_sweep(ENTITY, PROJECT, "s")
    assert (found.name, found.state, found.config["train"]) == ("a", "crashed", {"seed": 3})
    assert abs(found.heartbeat.timestamp() - run.heard) < 2


def test_how_a_sweep_stands_is_w_and_b_s_own_word_and_none_where_it_was_deleted(wandb_server):
    sweep = wandb.sweep({"method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}}, project=PROJECT)
    project = wandb_server.world.project(PROJECT)
    for state in ("RUNNING", "PAUSED", "CANCELED"):
        project.sweeps[sweep].state = state
        assert wandb_states.state_of_sweep(ENTITY, PROJECT, sweep) == state
    del project.sweeps[sweep]
    assert wandb_states.state_of_sweep(ENTITY, PROJECT, sweep) is None
    assert wandb_states.state_of_sweep(ENTITY, "nowhere", sweep) is None


def test_runs_of_another_program_are_read_as_far_as_w_and_b_tells(wandb_server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    for number, code in enumerate((0, 1)):
        run = wandb.init(project="p", id=f"r{number}", config={"lr": 0.1, "model": {"width": 4}}, settings={"silent": True})
        run.log({"loss": 0.5 + number, "page": wandb.Html("<b>")})
        run.finish(exit_code=code)
    found = wandb_programs.records_of_program(Project("loopback", "p"), "python x.py")
    assert [(record.run_id, record.state) for record in found] == [("r0", State.finished), ("r1", State.failed)]
    for record in found:
        assert record.config == {"lr": 0.1, "model": {"width": 4}}
        assert record.program == "python x.py"
    assert found[0].logged["loss"] == 0.5
    assert not any(name.startswith("page") for name in found[0].logged)


# Runs of other programs.


def script(seed, lr, acc):
    """What a script that knows nothing of reglab does."""
    with wandb.init(project="theirs", config={"optimizer": {"lr": lr}, "seed": seed, "out": f"runs/{seed}"}) as run:
        for step in range(3):
            run.log({"val/acc": acc * (step + 1) / 3, "val/loss": 1.0 - acc, "plot": wandb.Histogram([step])})


def test_a_key_of_another_program_is_its_own_though_reglab_has_one_of_that_name(wandb_server, tmp_path, monkeypatch):
    """What parts the arms of others was left out: an environment, a label."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for game in ("CartPole", "Acrobot"):
        with wandb.init(project="theirs", config={"environment": game, "label": game}) as run:
            run.log({"return": 1.0})
    assert [run.config for run in programs(f"wandb://{ENTITY}/theirs")] == [
        {"environment": game, "label": game} for game in ("CartPole", "Acrobot")
    ]


def test_runs_of_a_script_that_knows_nothing_of_reglab_are_read_by_their_keys(wandb_server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for seed, lr in ((0, 0.1), (1, 0.2)):
        script(seed, lr, 0.9)
    first, second = programs(f"wandb://{ENTITY}/theirs")
    assert (first.config, first.state, first.program) == (
        {"optimizer.lr": 0.1, "seed": 0, "out": "runs/0"},
        State.finished,
        f"wandb://{ENTITY}/theirs",
    )
    assert first.summary == {"val/acc": pytest.approx(0.9), "val/loss": pytest.approx(0.1)}
    assert first.url == f"{wandb_server.url}/{ENTITY}/theirs/runs/{first.id}"
    assert first.seconds >= 0
    assert second.created >= first.created
    found = curves(f"wandb://{ENTITY}/theirs", "val/acc", 40)
    assert found[first.id] == [(0, pytest.approx(0.3)), (1, pytest.approx(0.6)), (2, pytest.approx(0.9))]
    assert len(curves(f"wandb://{ENTITY}/theirs", "val/acc", 2)[first.id]) == 2
    roles = read_roles([first, second], AskedRoles(metric="val/acc"))
    assert (roles.factors, roles.seed, roles.time) == (("optimizer.lr", "out"), "seed", CLOCK)


def theirs(server, name, config, summary, state="finished", project="theirs"):
    return server.world.project(project).add(
        Run(name=name, state=state, config={key: {"value": value} for key, value in config.items()}, summary=summary)
    )


def test_a_project_with_runs_of_reglab_is_reglab_s_unless_keys_are_named(wandb_server):
    theirs(wandb_server, "other", {"lr": 1}, {"acc": 0.5}, project=PROJECT)
    assert programs(f"wandb://{ENTITY}/{PROJECT}") is not None
    at_wandb(wandb_server, "ours", "finished", summary={"test/accuracy": 0.5})
    assert programs(f"wandb://{ENTITY}/{PROJECT}") is None
    _other, ours = programs(f"wandb://{ENTITY}/{PROJECT}", all_of_them=True)
    assert ours.config == {"train.seed": 3}


@pytest.mark.parametrize(
    ("there", "state"),
    [
        ("finished", State.finished),
        ("failed", State.failed),
        ("killed", State.stopped),
        ("crashed", State.crashed),
        ("preempted", State.preempted),
        ("running", State.running),
        ("preempting", State.running),
        ("pending", State.pending),
    ],
)
def test_the_state_of_another_s_run_is_w_and_b_s(wandb_server, there, state):
    theirs(wandb_server, "r", {"lr": 1}, {"acc": 0.5}, state=there)
    (run,) = programs(f"wandb://{ENTITY}/theirs")
    assert run.state == state


@pytest.mark.parametrize(
    ("there", "said", "state"),
    [
        ("finished", "diverged", State.diverged),
        ("finished", "stopped", State.stopped),
        ("failed", "preempted", State.preempted),
        ("crashed", "preempted", State.crashed),  # it went on, and died
    ],
)
def test_a_run_of_reglab_s_that_is_read_by_its_keys_stands_as_it_said_itself(wandb_server, there, said, state):
    at_wandb(wandb_server, "ours", there, summary={"state": said, "reason": "why", "test/accuracy": 0.1})
    (run,) = programs(f"wandb://{ENTITY}/{PROJECT}", all_of_them=True)
    assert run.state == state
    assert run.reason == ("why" if state.value == said else None)


def test_what_another_program_calls_its_state_is_not_how_its_run_stands(wandb_server):
    theirs(wandb_server, "r", {"lr": 1}, {"acc": 0.5, "state": "diverged"})
    (run,) = programs(f"wandb://{ENTITY}/theirs")
    assert run.state == State.finished


def test_numbers_that_are_none_and_nested_results_are_told_as_they_are(wandb_server):
    theirs(wandb_server, "r", {"lr": float("nan")}, {"acc": {"max": 0.5, "last": "NaN"}, "_runtime": float("inf"), "_step": 3})
    (run,) = programs(f"wandb://{ENTITY}/theirs")
    assert run.config == {"lr": "NaN"}
    assert run.summary == {"acc.max": 0.5, "acc.last": "NaN"}
    assert run.seconds is None


def test_a_run_of_another_that_cannot_be_read_is_left_out_with_a_word(wandb_server, caplog):
    theirs(wandb_server, "good", {"lr": 1}, {"acc": 0.5})
    broken = theirs(wandb_server, "broken", {}, {})
    broken.config = ["no", "mapping"]
    assert [run.id for run in programs(f"wandb://{ENTITY}/theirs")] == ["good"]
    assert "run broken at W&B is left out: it cannot be read" in caplog.text


def test_a_curve_has_the_numbers_of_its_metric_and_what_cannot_be_read_is_said(wandb_server, caplog, monkeypatch):
    for name, rows in {"good": ["NaN", 0.5, "text", 0.6, 10**400], "none": [], "odd": [0.1]}.items():
        run = theirs(wandb_server, name, {"lr": 1}, {"acc": 0.6})
        run.streams[HISTORY] = [json.dumps({"_step": 10 * step, "acc": value}) for step, value in enumerate(rows)]
    sampled = graphql._sampled_history
    monkeypatch.setattr(graphql, "_sampled_history", lambda run, spec: 7 if run.name == "odd" else sampled(run, spec))
    assert curves(f"wandb://{ENTITY}/theirs", "acc", 40) == {"good": [(10, 0.5), (30, 0.6)]}
    assert "the curve of run odd at W&B is left out" in caplog.text


def test_a_project_without_a_run_is_refused(wandb_server):
    wandb_server.world.project("empty")
    with pytest.raises(UserError, match="holds no run"):
        programs(f"wandb://{ENTITY}/empty")
