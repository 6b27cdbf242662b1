import subprocess
import sys

import pytest

from reglab.errors import UserError
from reglab.sweep import remote, spec
from tests.loopback.state import ENTITY


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


@pytest.mark.parametrize("path", sorted(spec.shipped("final").parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_that_ships_is_one_for_wandbs_own_command(wandb_server, path):
    command = [sys.executable, "-m", "wandb", "sweep", "--project", "p", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (there,) = registered(wandb_server)
    assert there.config["parameters"] == spec.read(path).config["parameters"]
