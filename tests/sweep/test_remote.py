import subprocess
import sys

import pytest
import wandb
import yaml

from reglab.errors import ReglabError, UserError
from reglab.sweep import remote, spec
from tests.loopback.state import ENTITY
from tests.waiting import PATIENCE


@pytest.fixture
def final():
    return spec.read(spec.shipped("final"))


def registered(server, project="p"):
    return list(server.world.project(project).sweeps.values())


def test_a_sweep_is_registered_with_its_nested_parameters_and_its_command(wandb_server, final):
    sweep = remote.create(final, None, "p")
    (there,) = registered(wandb_server)
    assert sweep.is_new
    assert sweep.path == f"{ENTITY}/p/{there.name}"
    assert there.config["parameters"] == final.config["parameters"]
    assert there.config["command"] == ["reglab", "train"]


def test_the_same_sweep_is_found_again_whatever_its_file_is_called(wandb_server, final, tmp_path):
    first = remote.create(final, None, "p")
    copy = tmp_path / "copy.yaml"
    copy.write_text("# other words\n" + final.path.read_text())
    again = remote.create(spec.read(copy), None, "p")
    assert (again.path, again.is_new) == (first.path, False)
    assert len(registered(wandb_server)) == 1


def test_another_sweep_and_a_forced_one_are_registered_beside_it(wandb_server, final):
    remote.create(final, None, "p")
    assert remote.create(spec.read(final.path, ["train.epochs=3"]), None, "p").is_new
    assert remote.create(final, None, "p", again=True).is_new
    assert len(registered(wandb_server)) == 3


def test_a_server_that_refuses_is_told_in_one_line(wandb_server, final, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="`wandb login` sets the key") as caught:
        remote.create(final, None, "p")
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("words", [None, ["reglab", "train", "train.epochs=3"], ["python", "-m", "reglab", "train"]])
def test_runs_that_the_agent_would_not_train_are_refused_and_how_to_mend_it_is_said(wandb_server, tmp_path, words):
    file = tmp_path / "odd.yaml"
    content = yaml.safe_load(spec.shipped("final").read_text()) | {"command": words}
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value}))
    with pytest.raises(UserError, match=r"odd.yaml.*its runs start.* `command: \[reglab, train\]`.* in its file"):
        remote.create(spec.read(file), None, "p")
    assert "p" not in wandb_server.world.projects
    there = wandb.sweep(yaml.safe_load(file.read_text()), project="p")
    with pytest.raises(UserError, match="its runs start"):
        remote.find(f"{ENTITY}/p/{there}")


def test_a_sweep_of_another_program_is_registered_as_it_is_and_found(wandb_server, tmp_path):
    file = tmp_path / "plain.yaml"
    file.write_text("program: x.py\nmethod: grid\nparameters: {lr: {values: [0.1]}}\nreplicates: {key: seed, start: 2}\n")
    sweep = remote.create(spec.read(file), None, "p")
    there = registered(wandb_server)[0].config
    assert there["parameters"] == {"lr": {"values": [0.1]}, "seed": {"values": [0, 1]}}
    assert there["program"] == "x.py"
    assert "replicates" not in there
    assert remote.find(sweep.path).program.shown == "python x.py ${args}"


def test_a_sweep_that_has_ended_is_found_with_its_state(wandb_server, final):
    remote.create(final, None, "p")
    registered(wandb_server)[0].state = "CANCELED"
    assert remote.create(final, None, "p").state == "CANCELED"


@pytest.mark.parametrize("asks", [lambda final: remote.create(final, None, "p"), lambda final: remote.find(f"{ENTITY}/p/s")])
def test_a_server_that_is_away_is_no_fault_of_the_key(away, final, asks):
    with pytest.raises(ReglabError, match="W&B does not answer") as caught:
        asks(final)
    assert caught.value.exit_code == 1
    assert "login" not in str(caught.value)


def test_a_search_that_breaks_registers_no_second_sweep(wandb_server, final, monkeypatch):
    remote.create(final, None, "p")

    def breaks(self):
        raise wandb.errors.CommError("503")

    monkeypatch.setattr("wandb.apis.public.Project.sweeps", breaks)
    with pytest.raises(UserError, match="503"):
        remote.create(final, None, "p")
    assert len(registered(wandb_server)) == 1


SHIPPED = sorted(spec.shipped("final").parent.glob("*.yaml"))
QUICK = ("dropout_bayes", "final")
"""Of them: one of each kind, whose W&B command `make test` runs, too."""


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow) for path in SHIPPED]
)
def test_a_sweep_that_ships_is_one_for_wandbs_own_command(wandb_server, path):
    command = [sys.executable, "-m", "wandb", "sweep", "--project", "p", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    (there,) = registered(wandb_server)
    assert there.config["parameters"] == spec.read(path).config["parameters"]


@pytest.mark.parametrize("path", ["e/p/..", "e/p/\x1b[2J", "e/p", "a/b/c/d", f"e/p/{'s' * 300}"])
def test_what_is_no_sweep_s_address_is_refused_before_the_server_is_asked(wandb_server, path):
    with pytest.raises(UserError, match="give ENTITY/PROJECT/SWEEP"):
        remote.find(path)
    assert wandb_server.requests == []
