"""`make setup` takes the newest Python that will do, and says what to install where there is none."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="needs make")

SAYS = "reglab needs Python 3.11 or newer"


@pytest.fixture
def setup(tmp_path):
    """What `make setup` would do on a machine with these programs; a Python that will not do has the word False."""

    def ask(dry=True, **programs):
        there = tmp_path / "bin"
        there.mkdir()
        for name, works in programs.items():
            path = there / name.replace("_", ".")
            path.write_text(f"#!/bin/sh\nexit {int(not works)}\n")
            path.chmod(0o755)
        for name in ("sh", "mkdir", "touch"):
            (there / name).symlink_to(shutil.which(name))
        shutil.copy(ROOT / "Makefile", tmp_path)
        for name in ("requirements.lock", "pyproject.toml"):
            (tmp_path / name).touch()
        environment = {"HOME": str(tmp_path), "PATH": str(there)}
        command = [MAKE, *(["-n"] if dry else []), "setup"]
        done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    return ask


def test_the_newest_that_works_is_taken(setup):
    assert "python3.13 -m venv --clear .venv" in setup(python3_14=False, python3_13=True, python3_12=True, python3=True)


def test_one_without_a_number_will_do_where_it_is_new_enough(setup):
    assert "\npython3 -m venv --clear .venv" in setup(python3_11=False, python3=True)


def test_those_of_pyenv_are_found(setup, tmp_path):
    path = tmp_path / ".pyenv" / "versions" / "3.14.2" / "bin" / "python3.14"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    assert f"{path} -m venv --clear .venv" in setup(python3_12=True)


def test_where_there_is_none_it_is_said_what_to_install(setup):
    said = setup(dry=False, python3=False)
    assert SAYS in said
    assert "apt-get install python3 python3-venv" in said
    assert "make PYTHON=/path/to/python3.13" in said


def test_where_there_is_none_uv_brings_the_newest(setup):
    assert "uv venv --quiet --clear --python 3.14 .venv" in setup(uv=True, python3=False)
