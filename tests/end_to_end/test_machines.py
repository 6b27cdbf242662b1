"""The command on machines that lack something: it works, or says in a line what to set, before anything is begun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import read_runs

pytestmark = pytest.mark.slow

KEYS = {
    "data": {"source": "digits", "train_limit": 64, "test_limit": 32},
    "model": {"width": 4},
    "train": {"epochs": 1, "batch_size": 32},
}
WORDS = [f"{section}.{key}={value}" for section, keys in KEYS.items() for key, value in keys.items()]
SWEEP = {
    "description": "Größe – 大小",
    "method": "grid",
    "parameters": {section: {"parameters": {key: {"value": value} for key, value in keys.items()}} for section, keys in KEYS.items()},
}


@pytest.fixture
def command(tmp_path):
    """Runs the command in a process of its own; a variable that is None is not set. Returns its exit code and what it said."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SWEEP, allow_unicode=True), encoding="utf-8")

    def run(*words, path="", **variables):
        given = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{Path(reglab.__file__).parents[1]}", "OMP_NUM_THREADS": "1"} | variables
        done = subprocess.run(
            [sys.executable, "-m", "reglab", *words],
            check=False,
            env={name: value for name, value in given.items() if value is not None},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def nobody(tmp_path):
    """A folder for PYTHONPATH, with which the system knows no user, as in a container that was started with --user."""
    (tmp_path / "nobody").mkdir()
    code = "import pwd\ndef unknown(uid):\n    raise KeyError(uid)\npwd.getpwuid = unknown\n"
    (tmp_path / "nobody" / "sitecustomize.py").write_text(code)
    return str(tmp_path / "nobody")


@pytest.mark.parametrize("words", [["doctor"], ["train", *WORDS], ["sweep", "run", "small.yaml"], ["agent", "e/p/s"]], ids=" ".join)
def test_without_a_home_folder_every_command_says_what_to_set(command, tmp_path, nobody, words):
    code, said = command(*words, path=nobody, HOME=None)
    assert code == 2
    assert said.count("\n") == 1
    assert "set HOME to a folder that can be written" in said
    assert not (tmp_path / "runs").exists()


def test_a_user_whom_the_system_does_not_know_trains_with_what_it_said_to_set(command, tmp_path, nobody):
    code, said = command("train", *WORDS, path=nobody, HOME=str(tmp_path), WANDB_MODE="offline", REGLAB_CACHE=None)
    assert code == 0, said


@pytest.mark.parametrize("words", [["doctor"], ["train", *WORDS], ["sweep", "run", "small.yaml"]], ids=lambda words: words[0])
def test_where_the_home_folder_cannot_be_written_it_says_what_to_set(command, tmp_path, words):
    code, said = command(*words, HOME="/proc", REGLAB_CACHE=None)
    assert code == (1 if words == ["doctor"] else 75), said
    assert "the cache /proc/.cache/reglab cannot be written (" in said
    assert "set REGLAB_CACHE to a folder that can" in said
    assert not list(tmp_path.rglob("run.json"))


def test_with_another_place_for_the_cache_such_a_machine_trains(command):
    code, said = command("train", *WORDS, HOME="/proc", WANDB_MODE="offline")
    assert code == 0, said


def test_a_long_path_of_temporary_files_and_a_locale_without_unicode_disturb_no_sweep(command, tmp_path):
    folder = tmp_path / ("x" * 77)
    folder.mkdir()
    ascii_ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, said = command("sweep", "check", "small.yaml", **ascii_)
    assert code == 0, said
    code, said = command("sweep", "run", "small.yaml", TMPDIR=str(folder), **ascii_)
    assert code == 0, said
    assert [record.state for record in read_runs(tmp_path / "runs" / "small")] == [State.finished]
    code, said = command("report", "build", "--from", "runs/small", "--out", "report", **ascii_)
    assert code == 0, said
    assert "–" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
