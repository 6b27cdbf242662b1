import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from wandb.errors import AuthenticationError, CommError, UsageError

from reglab.errors import UserError
from reglab.tracking import wandb_run
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Epoch, Summary
from reglab.tracking.wandb_run import WandbRun
from tests.tracking.test_wandb_project import ENVIRONMENT
from tests.waiting import PATIENCE, wait_for


@pytest.fixture
def record():
    config = {"arm": None, "dropout": {"layers": 3, "p1": 0.1}, "train": {"epochs": 2}}
    return RunRecord(run_id="a-s1", sweep="final", label="baseline", identity="a", seed=1, config=config, environment=ENVIRONMENT)


def row(number):
    return Epoch(
        epoch=number,
        train_loss=1.0 / number,
        train_accuracy=0.5,
        lr=0.1,
        time_train_seconds=number,
        time_wall_seconds=number,
        throughput_images_per_second=3,
    )


SUMMARY = Summary(test_accuracy=0.5, train_clean_accuracy=0.75, time_train_seconds=2, time_wall_seconds=2, parameters=3, epochs=2)


@pytest.fixture
def told(monkeypatch):
    """wandb's client, replaced by one that keeps what it is told."""
    told = SimpleNamespace(init=None, metrics=[], config={}, rows=[], summary={}, exit_code=None, preempting=0, starting_step=0)

    def init(**options):
        told.init = options
        return SimpleNamespace(
            define_metric=lambda name, **settings: told.metrics.append((name, settings)),
            config=SimpleNamespace(update=lambda values, **settings: told.config.update(values)),
            log=lambda values, step, commit: told.rows.append((step, values)),
            summary=told.summary,
            offline=False,
            disabled=False,
            starting_step=told.starting_step,
            mark_preempting=lambda: setattr(told, "preempting", told.preempting + 1),
            finish=lambda exit_code: setattr(told, "exit_code", exit_code),
        )

    monkeypatch.setattr(wandb, "init", init)
    return told


def test_a_run_is_named_grouped_and_resumable(told, record, tmp_path):
    WandbRun(tmp_path / "run").started(record)
    kept = {name: told.init[name] for name in ("project", "id", "name", "group", "resume", "dir", "mode")}
    assert kept == {
        "project": "reglab",
        "id": "a-s1",
        "name": "baseline s1",
        "group": "final",
        "resume": "allow",
        "dir": str(tmp_path / "run"),
        "mode": "disabled",
    }


def test_the_project_can_be_another(told, record, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    WandbRun(tmp_path / "run").started(record)
    assert told.init["project"] == "mine"


def test_configuration_identity_and_environment_are_there_nested(told, record, tmp_path):
    WandbRun(tmp_path / "run").started(record)
    beside = {key: told.init["config"][key] for key in told.init["config"].keys() - record.config.keys()}
    created = record.model_dump(mode="json")["created"]
    assert beside == {"schema_version": 1, "identity": "a", "identity_version": 1, "label": "baseline", "created": created}
    assert told.init["config"] == record.config | beside
    assert told.config["environment"]["precision"] == "fp32"


def test_the_epoch_is_the_axis_of_every_metric(told, record, tmp_path):
    run = WandbRun(tmp_path / "run")
    run.started(record)
    assert told.metrics == [("epoch", {}), ("*", {"step_metric": "epoch"})]
    run.epoch(row(7))
    assert told.rows == [(7, row(7).metrics())]


@pytest.mark.parametrize(
    ("state", "exit_code"),
    [
        (State.finished, 0),
        (State.stopped, 0),
        (State.diverged, 0),
        (State.failed, 1),
        (State.preempted, 75),
    ],
)
def test_a_run_ends_there_as_it_ended_here(told, record, tmp_path, state, exit_code):
    run = WandbRun(tmp_path / "run")
    run.started(record)
    run.ended(record.changed(state=state, reason="because", summary=SUMMARY))
    assert told.exit_code == exit_code
    assert told.summary.pop("updated")
    kept = {name: value for name, value in told.summary.items() if value is not None}
    assert kept == {"state": state.value, "reason": "because"} | SUMMARY.metrics()
    assert told.summary["val/accuracy"] is None  # whatever the last epoch logged


def test_the_end_of_a_preempted_run_is_not_waited_for(told, record, tmp_path, monkeypatch):
    """The server may be away, and the machine has half a minute."""
    monkeypatch.setattr(wandb_run, "PREEMPTED_SECONDS", 0.1)
    run, answers, answered = WandbRun(tmp_path / "run"), threading.Event(), []
    run.started(record)
    run._run.finish = lambda exit_code: answered.append(answers.wait(PATIENCE))
    run.ended(record.changed(state=State.preempted))
    assert not answered
    answers.set()


def test_the_end_of_a_preempted_run_that_is_sent_later_is_waited_for(told, record, tmp_path, monkeypatch):
    """Its machine was to be taken away; this one is not, and the client's files are removed behind it."""
    monkeypatch.setattr(wandb_run, "PREEMPTED_SECONDS", 0.1)
    run, sent = WandbRun(tmp_path / "run"), []
    connect = run.connect

    def slow(*args):
        client = connect(*args)
        client.finish = lambda exit_code: time.sleep(1) or sent.append(exit_code)
        return client

    monkeypatch.setattr(run, "connect", slow)
    run.replay(record.changed(state=State.preempted))
    assert sent == [75]


def test_a_signal_while_w_and_b_is_waited_for_ends_the_wait(told, record, tmp_path, monkeypatch):
    """The run is over, and its record is here: `reglab sync` sends the rest."""
    monkeypatch.setattr(wandb_run, "PREEMPTED_SECONDS", 0.1)
    asked, ends = threading.Event(), threading.Event()
    run = WandbRun(tmp_path / "run", hurried=asked.is_set)
    run.started(record)
    run._run.finish = lambda exit_code: asked.set() or ends.wait(200)
    began = time.monotonic()
    run.ended(record.changed(state=State.finished))
    assert time.monotonic() - began < 100
    ends.set()


def test_a_run_without_a_summary_ends_too(told, record, tmp_path):
    run = WandbRun(tmp_path / "run")
    run.started(record)
    run.ended(record.changed(state=State.preempted))
    assert told.summary["state"] == "preempted"


def test_an_offline_run_is_written_under_the_run_s_folder_with_the_epoch_as_step(monkeypatch, record, tmp_path):
    """With wandb's real client; read by its own inspector."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = WandbRun(tmp_path / "run")
    run.started(record)
    for number in (1, 2):
        run.epoch(row(number))
    run.ended(record.changed(state=State.finished, summary=SUMMARY))
    (written,) = (tmp_path / "run" / "wandb").glob("offline-run-*-a-s1")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(written)]
    told = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]
    rows = [entry["history"] for entry in told if entry["type"] == "history"]
    assert [each["step"]["num"] for each in rows] == [1, 2]
    text = json.dumps(told)
    assert '"run_group": "final"' in text
    assert '"train_clean/accuracy": 0.75' in text
    assert [entry["exit"] for entry in told if entry["type"] == "exit"]


def test_a_client_that_breaks_does_not_end_the_training(tmp_path, record, capsys):
    run = wandb_run.WandbRun(tmp_path)
    run._run = SimpleNamespace(log=lambda *words, **more: 1 / 0)
    row = Epoch(
        epoch=1, train_loss=1, train_accuracy=0.5, lr=0.1, time_train_seconds=1, time_wall_seconds=1, throughput_images_per_second=1
    )
    run.epoch(row)
    run.epoch(row)
    run.ended(record)
    assert capsys.readouterr().err.count("W&B's client failed (division by zero)") == 1


def test_a_run_that_fails_before_it_begins_is_told_all_the_same(told, record, tmp_path):
    WandbRun(tmp_path).ended(record.changed(state=State.failed, reason="no such images"))
    assert told.init["id"] == record.run_id
    assert told.summary["reason"] == "no such images"
    assert told.exit_code == 1


def test_epochs_that_the_server_lacks_are_sent_when_the_run_goes_on(told, record, tmp_path):
    """Its client was killed before it could send them; what the server has is not sent again."""
    told.starting_step = 3
    WandbRun(tmp_path).started(record.changed(history=[row(number) for number in (1, 2, 3, 4)]))
    assert [step for step, _ in told.rows] == [3, 4]


def test_a_run_that_is_about_to_be_preempted_is_marked(told, record, tmp_path):
    run = WandbRun(tmp_path)
    run.started(record)
    run.preempting()
    assert told.preempting == 1


# With the real client, and a server on this machine


@pytest.mark.slow  # W&B's client asks every quarter of a minute
def test_a_stop_from_the_page_is_heard_in_the_run_and_ends_no_process(wandb_server, record, tmp_path):
    heard = threading.Event()
    run = WandbRun(tmp_path, heard.set)
    run.started(record)
    (there,) = wandb_server.world.project("reglab").runs.values()
    there.stop_requested = True
    for number in range(1, 240):
        run.epoch(row(number))
        if heard.wait(0.5):
            break
    assert heard.is_set()
    run.ended(record.changed(state=State.stopped, reason="stopped on request"))
    assert there.state == "finished"
    assert there.summary["state"] == "stopped"


@pytest.mark.slow
def test_a_run_whose_client_was_killed_has_its_whole_history_when_it_goes_on(wandb_server, record, tmp_path):
    """The server never heard of the second epoch; the checkpoint knows it."""
    code = """
import os, sys, time, pickle
record, rows, folder = pickle.load(sys.stdin.buffer)
from reglab.tracking.wandb_run import WandbRun
run = WandbRun(folder)
run.started(record)
run.epoch(rows[0])
sys.stdin.buffer.read()
os._exit(1)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(wandb_run.__file__).parents[2])}
    killed = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        pickle.dump((record, [row(1)], tmp_path / "first"), killed.stdin)
        killed.stdin.flush()
        wait_for(lambda: any(each.history for each in wandb_server.world.project("reglab").runs.values()))
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    run = WandbRun(tmp_path / "second")
    run.started(record.changed(history=[row(1), row(2)]))
    run.epoch(row(3))
    run.ended(record.changed(state=State.finished, summary=SUMMARY))
    (there,) = wandb_server.world.project("reglab").runs.values()
    assert [line["epoch"] for line in there.history] == [1, 2, 3]
    assert [line["train/loss"] for line in there.history] == [row(number).train_loss for number in (1, 2, 3)]


# A server that is away, and comes back


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(wandb_run, "BEGIN_SECONDS", 1.0)
    monkeypatch.setattr(wandb_run, "AGAIN_SECONDS", 1.0)


def runs_at(server):
    return list(server.world.project("reglab").runs.values())


def test_a_run_that_began_without_its_server_is_whole_there_once_it_is_back(wandb_server, hasty, record, tmp_path, capsys):
    run = WandbRun(tmp_path)
    with wandb_server.down():
        run.begin(record)
        run.started(record.changed(history=[row(1)]))  # as one that goes on from a checkpoint
        run.epoch(row(2))
        assert "W&B does not answer (" in capsys.readouterr().err
    number = 2
    deadline = time.monotonic() + 120
    while run._run is None:
        assert time.monotonic() < deadline
        number += 1
        run.epoch(row(number))
        time.sleep(0.2)
    assert "W&B is back" in capsys.readouterr().err
    run.epoch(row(number + 1))
    run.ended(record.changed(state=State.finished, summary=SUMMARY))
    (there,) = runs_at(wandb_server)
    assert [line["epoch"] for line in there.history] == list(range(1, number + 2))
    assert (there.state, there.summary["state"], there.values["environment"]["device"]) == ("finished", "finished", "cpu")


@pytest.mark.parametrize(("state", "ends"), [(State.finished, "finished"), (State.preempted, "preempted"), (State.failed, "failed")])
def test_a_server_that_is_back_at_the_end_hears_of_it(wandb_server, hasty, record, tmp_path, monkeypatch, state, ends):
    monkeypatch.setattr(wandb_run, "PREEMPTED_SECONDS", 20.0)
    run = WandbRun(tmp_path)
    with wandb_server.down():
        run.started(record)
    run.epoch(row(1))
    if run._trying:
        run._trying.exception()
    run.ended(record.changed(state=state))
    (there,) = runs_at(wandb_server)
    assert (there.state, [line["epoch"] for line in there.history]) == (ends, [1])


def test_a_preempted_run_whose_server_is_away_ends_in_time(wandb_server, hasty, record, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_run, "PREEMPTED_SECONDS", 0.1)
    monkeypatch.setattr(WandbRun, "connect", lambda self, record, seconds: away(seconds))
    held = threading.Event()

    def away(seconds):
        if run._record is not None and run._lacks is not None:
            held.wait(60)
        raise wandb_run.AwayError("W&B does not answer")

    run = WandbRun(tmp_path)
    run.begin(record)
    began = time.monotonic()
    run.ended(record.changed(state=State.preempted))
    assert time.monotonic() - began < 20
    held.set()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CommError("Failed to get resume status for run a: context deadline exceeded"), wandb_run.AwayError),
        (CommError("Timed out while retrying: HTTP 500: {}\nConsider increasing the init_timeout setting:"), wandb_run.AwayError),
        (CommError("dial tcp: lookup api.wandb.ai: no such host"), wandb_run.AwayError),
        (RuntimeError("the service process is gone"), wandb_run.AwayError),
        (
            CommError("Timed out while retrying: HTTP 409: run e/p/a was previously created and deleted; try a new run name"),
            wandb_run.DeletedError,
        ),
        (UsageError("Run (a-s1) already exists, but your `resume` setting does not allow resuming an existing run."), wandb_run.TakenError),
        (CommError("returned error 401: user is not logged in"), UserError),
        (CommError("permission denied"), UserError),
        (CommError("entity nobody not found"), UserError),
        (UsageError("No API key configured. Use `wandb login` to log in."), UserError),
        (AuthenticationError("WANDB_API_KEY invalid: API key must have 40+ characters, has 5."), UserError),
    ],
    ids=lambda each: str(each)[:30],
)
def test_what_keeps_a_run_from_beginning_is_told_apart_in_one_line(record, tmp_path, monkeypatch, error, kind):
    def fails(**options):
        raise error

    monkeypatch.setattr(wandb, "init", fails)
    with pytest.raises(kind) as caught:
        WandbRun(tmp_path).connect(record, 1.0)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value) and "init_timeout" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_what_the_folder_s_git_is_configured_to_run_does_not_run(monkeypatch, record, tmp_path):
    """A folder may be another's: unpacked, shared. W&B's client asked git there for changes, and git ran what the folder names."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("WANDB_MODE", "offline")
    script = here / "script"
    script.write_text("#!/bin/sh\ntouch '%s'\n" % (tmp_path / "ran"))
    script.chmod(0o755)
    (here / "file").write_text("before")
    for words in ("init -q", "add file", "-c user.name=n -c user.email=e commit -q -m m"):
        subprocess.run(["git", *words.split()], check=True)
    (here / "file").write_text("after")
    for key in ("core.fsmonitor", "diff.external"):
        subprocess.run(["git", "config", key, str(script)], check=True)
    run = WandbRun(tmp_path / "run")
    run.started(record)
    run.ended(record.changed(state=State.finished, summary=SUMMARY))
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert not (tmp_path / "ran").exists()
