"""What reaches W&B from the commands, and what does not: its real client, and a server on this machine."""

import os
import re
import shlex
import shutil
import signal

import pytest
import torch
import yaml

from reglab.config import RunConfig, run_id, with_overrides
from reglab.sweep import assignment, remote, spec
from reglab.tracking import wandb_run
from reglab.tracking.fetch import fetch
from reglab.tracking.record import State
from reglab.tracking.store import read_run
from reglab.training.step import TrainingStep
from tests.loopback.conftest import _forget_client as forget_client
from tests.loopback.faults import Fault
from tests.loopback.server import KEY
from tests.loopback.state import HISTORY

pytestmark = pytest.mark.slow

WORDS = ["data.source=digits", "data.train_limit=64", "data.test_limit=32", "model.width=4", "train.epochs=2", "train.batch_size=32"]
RUN = run_id(RunConfig.parse(with_overrides({}, WORDS)))


@pytest.fixture
def reglab(reglab, monkeypatch, tmp_path):
    """Runs a command as a process of its own would: with a client that has seen no settings yet."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words):
        forget_client()
        return reglab(*words)

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "train" / RUN


@pytest.fixture
def settings_file(tmp_path):
    """Writes W&B's settings of the folder where commands run."""

    def write(**settings):
        path = tmp_path / "here" / "wandb" / "settings"
        path.parent.mkdir(exist_ok=True)
        path.write_text("[default]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))

    return write


def interrupt_after(steps, monkeypatch):
    """The next training is preempted after so many steps."""
    step, left = TrainingStep.__call__, [1 + steps]  # the first is the warm-up's

    def wrapped(self, batch):
        step(self, batch)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(TrainingStep, "__call__", wrapped)


def there(server):
    """Each run at W&B, with its project."""
    return {(project.name, name): run for project in server.world.projects.values() for name, run in project.runs.items()}


@pytest.mark.parametrize("mode", ["dryrun", "offline", "disabled"])
@pytest.mark.parametrize("where", ["variable", "file"])
def test_nothing_is_sent_where_w_and_b_is_told_to_send_nothing(wandb_server, reglab, folder, settings_file, monkeypatch, mode, where):
    if where == "variable":
        monkeypatch.setenv("WANDB_MODE", mode)
    else:
        monkeypatch.delenv("WANDB_MODE")
        settings_file(mode=mode)
    assert reglab("train", *WORDS) == 0
    assert read_run(folder).state == State.finished
    assert reglab("sync") == 2
    assert wandb_server.requests == []


def test_leftovers_of_a_sweep_take_no_run_with_them(wandb_server, reglab, monkeypatch, capsys):
    """Runs went under random ids into the sweep, and into no project; each call of sync added more."""

    def leave():
        for name, value in {
            "SWEEP_ID": "e/p/x",
            "RUN_ID": "old",
            "RESUME": "must",
            "RUN_GROUP": "old",
            "SERVICE": "3-1-tcp-localhost-1-1",
        }.items():
            monkeypatch.setenv(f"WANDB_{name}", value)

    leave()
    assert reglab("train", *WORDS) == 0
    monkeypatch.setenv("WANDB_MODE", "offline")
    leave()
    assert reglab("train", *WORDS, "train.seed=1") == 0
    monkeypatch.setenv("WANDB_MODE", "online")
    for sent in (1, 0):
        leave()
        assert reglab("sync") == 0
        assert f"{sent} sent, {2 - sent} there before" in capsys.readouterr().err
    runs = there(wandb_server)
    assert {name for _, name in runs} == {RUN, RUN.replace("-s0", "-s1")}
    assert {(project, run.sweep, run.group) for (project, _), run in runs.items()} == {("reglab", None, "train")}


@pytest.mark.parametrize(("variable", "filed", "settings", "goes"), [
    (None, None, None, "reglab"),
    ("", None, None, "reglab"),
    (None, None, "set", "set"),
    ("", None, "set", "set"),
    (None, "filed", "set", "filed"),
    ("variable", "filed", "set", "variable"),
])  # fmt: skip
def test_runs_and_sweeps_go_where_w_and_b_s_own_order_says(
    wandb_server, reglab, settings_file, monkeypatch, tmp_path, variable, filed, settings, goes
):
    if variable is not None:
        monkeypatch.setenv("WANDB_PROJECT", variable)
    if settings:
        settings_file(project=settings)
    content = yaml.safe_load(spec.shipped("final").read_text())
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(content | ({"project": filed} if filed else {})))
    assert reglab("sweep", "create", file) == 0
    assert [name for (_, name), project in wandb_server.world.projects.items() if project.sweeps] == [goes]
    if filed is None:
        assert reglab("train", *WORDS) == 0
        assert [project for project, _ in there(wandb_server)] == [goes]


def test_what_create_prints_can_be_pasted(wandb_server, reglab, capsys):
    assert reglab("sweep", "create", spec.shipped("final"), "--project", "my study") == 0
    words = shlex.split(capsys.readouterr().out)
    assert words[:2] == ["wandb", "agent"]
    assert re.fullmatch(r"loopback/my study/\w+", words[2])
    assert len(words) == 3


# A key that is not good

BAD = [("short", None), (None, None), (KEY, Fault.error_401), (KEY, Fault.error_403)]


@pytest.mark.parametrize(("key", "fault"), BAD, ids=["malformed", "none", "unknown", "not for this project"])
def test_a_key_that_is_not_taken_is_one_line_and_spoils_no_run(wandb_server, reglab, folder, monkeypatch, capsys, key, fault):
    assert reglab("train", *WORDS) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    monkeypatch.delenv("WANDB_API_KEY") if key is None else monkeypatch.setenv("WANDB_API_KEY", key)
    if fault:
        wandb_server.faults.plan("RunResumeStatus", fault, times=100)
    capsys.readouterr()
    assert reglab("train", *WORDS, "--again") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("wandb: ")]
    assert line.startswith("reglab: W&B does not take the ")
    assert "WANDB_MODE=offline trains without it" in line
    assert key is None or key not in line
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


# A server that is away


def test_a_run_trains_without_a_server_says_so_and_goes_up_later(wandb_server, reglab, folder, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "BEGIN_SECONDS", 1.0)
    monkeypatch.setattr(wandb_run, "AGAIN_SECONDS", 2.0)
    with wandb_server.down():
        assert reglab("train", *WORDS) == 0
    said = capsys.readouterr().err
    assert said.index("W&B does not answer (") < said.index("epoch 1/2")
    assert "`reglab sync` sends the run" in said
    assert read_run(folder).state == State.finished
    assert not there(wandb_server)
    assert reglab("sync") == 0
    (run,) = there(wandb_server).values()
    assert (run.state, [line["epoch"] for line in run.history]) == ("finished", [1, 2])


def test_a_run_that_was_deleted_trains_here_and_goes_up_under_a_new_id_on_request(wandb_server, reglab, folder, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "BEGIN_SECONDS", 2.0)
    interrupt_after(2, monkeypatch)
    assert reglab("train", *WORDS) == 75
    wandb_server.world.project("reglab").delete(RUN)
    capsys.readouterr()
    assert reglab("train", *WORDS) == 0
    assert f"run {RUN} was deleted at W&B (reglab); `reglab sync --as-new` sends it under a new id" in capsys.readouterr().err
    assert (read_run(folder).state, len(read_run(folder).history)) == (State.finished, 2)
    assert reglab("sync") == 0
    assert "0 sent, 0 there before" in (said := capsys.readouterr().err)
    assert f"({RUN}) was deleted at W&B and stays here; --as-new sends it under a new id" in said
    assert reglab("train", *WORDS, "--again", "--as-new") == 0
    (run,) = there(wandb_server).values()
    assert (run.name, run.state, len(run.history)) == (read_run(folder).wandb_id, "finished", 2)
    assert reglab("sync") == 0
    assert "0 sent, 1 there before" in capsys.readouterr().err


def losses(run):
    return [line["train/loss"] for line in run.history]


def test_a_run_that_is_trained_again_is_another_run_at_w_and_b(wandb_server, reglab, folder, monkeypatch, capsys):
    """Its page would show the epochs of the one before under the results of this one: W&B drops the steps that it has."""
    assert reglab("train", *WORDS) == 0
    first = there(wandb_server)["reglab", RUN]
    first.streams[HISTORY] = [line.replace('"train/loss":', '"train/loss":1') for line in first.history_lines]  # of another machine, say
    old = losses(first)
    interrupt_after(2, monkeypatch)
    assert reglab("train", *WORDS, "--again") == 75
    assert reglab("train", *WORDS) == 0
    record = read_run(folder)
    new = there(wandb_server)["reglab", record.wandb_id]
    assert (losses(first), first.summary["updated"] < new.summary["updated"]) == (old, True)
    assert losses(new) == [row.train_loss for row in record.history]
    assert reglab("sync") == 0
    assert "0 sent, 1 there before" in capsys.readouterr().err
    (read_back,) = fetch("wandb://loopback/reglab")
    assert read_back.model_copy(update={"url": None}) == record
    assert len(there(wandb_server)) == 2


def test_what_is_trained_again_offline_goes_up_as_another_run(wandb_server, reglab, folder, monkeypatch):
    assert reglab("train", *WORDS) == 0
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert reglab("train", *WORDS, "--again") == 0
    monkeypatch.setenv("WANDB_MODE", "online")
    assert reglab("sync") == 0
    assert {name for _, name in there(wandb_server)} == {RUN, read_run(folder).wandb_id}


def test_a_run_that_begins_anew_goes_on_with_no_epochs_that_w_and_b_has_of_it(wandb_server, reglab, folder):
    """Its record is gone, and nothing tells whose epochs W&B has."""
    assert reglab("train", *WORDS) == 0
    shutil.rmtree(folder)
    assert reglab("train", *WORDS) == 0
    assert {name: len(run.history) for (_, name), run in there(wandb_server).items()} == {RUN: 2, read_run(folder).wandb_id: 2}
    assert {record.run_id for record in fetch("wandb://loopback/reglab")} == {RUN, read_run(folder).wandb_id}


def of_another_layout(file):
    """A checkpoint of a version that kept its state otherwise."""
    state = torch.load(file, weights_only=True)
    del state["places"]
    torch.save(state, file)


def damaged(file):
    """A checkpoint whose bytes are not those that were written, and none before it."""
    file.write_bytes(file.read_bytes()[:-100])
    file.with_name(f"{file.name}.before").unlink(missing_ok=True)


@pytest.mark.parametrize("spoil", [of_another_layout, damaged])
def test_a_run_whose_checkpoint_is_not_taken_goes_on_with_no_epochs_that_w_and_b_has_of_it(
    wandb_server, reglab, folder, monkeypatch, spoil
):
    interrupt_after(3, monkeypatch)
    assert reglab("train", *WORDS) == 75
    first = there(wandb_server)["reglab", RUN]
    first.streams[HISTORY] = [line.replace('"train/loss":', '"train/loss":1') for line in first.history_lines]  # of another machine, say
    old, before = losses(first), read_run(folder)
    spoil(folder / "checkpoint.pt")
    assert reglab("train", *WORDS) == 0
    record = read_run(folder)
    assert (len(old), losses(first)) == (1, old)
    assert losses(there(wandb_server)["reglab", record.wandb_id]) == [row.train_loss for row in record.history]
    assert record.created > before.created and len(there(wandb_server)) == 2


def test_a_run_whose_newer_checkpoint_is_damaged_goes_on_at_w_and_b_from_the_one_before(wandb_server, reglab, folder, monkeypatch):
    words = [*WORDS, "train.checkpoint_every=0"]
    interrupt_after(3, monkeypatch)
    assert reglab("train", *words) == 75
    (folder / "checkpoint.pt").write_bytes(b"")
    assert reglab("train", *words) == 0
    record = read_run(folder)
    assert (record.wandb_id, list(there(wandb_server))) == (None, [("reglab", RUN)])
    assert losses(there(wandb_server)["reglab", RUN]) == [row.train_loss for row in record.history]


def test_a_run_by_hand_is_asked_for_again_and_none_of_a_sweep(wandb_server, reglab, monkeypatch, tmp_path, capsys):
    for name, value in assignment.hand_over("final", "r1", {}, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert reglab("train", *WORDS, "--again") == 2
    assert "--again and --as-new are for runs by hand" in capsys.readouterr().err


def test_a_sweep_is_found_whatever_needs_quotes_in_its_project(wandb_server):
    sweep = remote.create(spec.read(spec.shipped("final")), None, "my study")
    assert remote.find(sweep.path).path == sweep.path
