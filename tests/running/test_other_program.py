"""A run of another program: real processes, which leave files as W&B's client has them."""

import sys

import pytest

from reglab.running import other_program
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.sweep.program import Program
from reglab.tracking.record import State
from reglab.tracking.store import read_run
from tests.tracking.test_wandb_files import framed, row

BEGINNING = """
import os, shutil, time
from pathlib import Path

def leave(content, number):
    folder = Path(os.environ["WANDB_DIR"]) / "wandb" / f"run-{number}-r1"
    folder.mkdir(parents=True)
    return Path(shutil.copy(content, folder / "run-r1.wandb"))

"""


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Runs a script, beside which these files lie; returns the record of its run."""

    def done(script, **contents):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "logs.py").write_text(BEGINNING + script)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
        settings.cache_clear()
        for name, value in assignment.hand_over("s", "r1", {}, tmp_path / "parameters.yaml").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(other_program, "_LOOK_SECONDS", 0.05)
        other_program.run(Program((sys.executable, "logs.py"), None, ()))
        return read_run(tmp_path / "runs" / "s" / "r1")

    yield done
    settings.cache_clear()


def test_what_is_whole_is_kept_where_a_file_is_damaged_and_the_damage_is_said(carry_out):
    damaged = bytearray(framed([row(a=1), row(a=2)]))
    damaged[-1] ^= 1
    record = carry_out("leave('damaged', 1)\nleave('whole', 2)", damaged=damaged, whole=framed([row(a=3), row(a=4)]))
    assert [each["a"] for each in record.rows] == [1, 3, 4]
    assert record.state == State.failed
    assert "is no file of W&B's client, or a damaged one, with no whole record at byte" in record.reason


def test_a_file_that_the_program_removes_ends_nothing_and_what_it_told_is_kept(carry_out):
    script = """
path, history = leave("whole", 1), Path("runs/s/r1/history.jsonl")
while not (history.exists() and history.stat().st_size):
    time.sleep(0.02)
path.unlink()
"""
    record = carry_out(script, whole=framed([row(a=1)]))
    assert (record.state, record.rows, record.logged) == (State.finished, [{"a": 1}], {})
