"""Commands in a folder that is another's: nothing runs because it lies there, and the key goes where its owner's settings say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reglab.tracking.store import read_runs
from tests.loopback.conftest import _forget_client as forget_client
from tests.loopback.server import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODULES = ("multiprocessing", "socket", "signal", "selectors", "struct", "pickle", "tempfile", "sitecustomize", "usercustomize")
LIBRARIES = ("torch", "numpy", "wandb", "yaml", "pydantic", "filelock", "rich", "reglab")
SWEEP = """
method: grid
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}, train_limit: {value: 64}, test_limit: {value: 32}}}
  model: {parameters: {width: {value: 4}}}
  train: {parameters: {epochs: {value: 1}, batch_size: {value: 32}}}
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """The folder where commands run; each of its modules would leave a file named `ran`."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in (*MODULES, *LIBRARIES):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r} + ' ')\nraise SystemExit(9)\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def script(tmp_path):
    """The `reglab` command as pip installs it: the folder of a script comes first where it imports from, and not the working folder."""
    path = tmp_path / "bin" / "reglab"
    path.parent.mkdir()
    path.write_text("from reglab.__main__ import main\nif __name__ == '__main__':\n    main()\n")
    return [sys.executable, str(path)]


def test_no_module_of_the_folder_is_imported_by_any_process_of_a_sweep(foreign, script, tmp_path):
    """The server of the workers imported `multiprocessing` from there."""
    (foreign / "one.yaml").write_text(SWEEP)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    done = subprocess.run([*script, "sweep", "run", "one.yaml"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_key_goes_to_the_server_that_its_owner_named(wandb_server, reglab, tmp_path, monkeypatch, capsys):
    """All that a folder can say of another server is left alone, and named."""
    own, here = tmp_path / "own", tmp_path / "here"
    own.mkdir()
    (here / "wandb").mkdir(parents=True)
    monkeypatch.chdir(here)
    words = ["data.source=digits", "data.train_limit=64", "data.test_limit=32", "model.width=4", "train.epochs=1", "train.batch_size=32"]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert reglab("train", *words) == 0
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(own))
    (own / "settings").write_text(f"[default]\nbase_url = {wandb_server.url}\n")
    with Server() as theirs:
        (here / "wandb" / "settings").write_text(f"[default]\nbase_url = {theirs.url}\nproject = chosen\n")
        (here / ".env").write_text(f"WANDB_BASE_URL={theirs.url}\n")
        for command in (("sync",), ("report", "build", "--from", "wandb://loopback/chosen", "--out", tmp_path / "report"), ("doctor",)):
            forget_client()
            assert reglab(*command) == 0
        assert theirs.requests == []
    assert "chosen" in {project.name for project in wandb_server.world.projects.values()}
    said = capsys.readouterr().err
    assert said.count("note: .env: WANDB_BASE_URL left alone") == 3
    assert "settings: base_url left alone" in said
    assert len(read_runs(tmp_path / "runs")) == 1
