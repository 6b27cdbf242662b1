"""A run of another program: real processes, which leave files as W&B's client has them."""

import errno
import itertools
import struct
import sys
import zlib

import pytest

from reglab.processes.signals import STOP
from reglab.running import other_program
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.sweep.program import Program
from reglab.tracking import wandb_files
from reglab.tracking.record import State
from reglab.tracking.store import read_run
from tests.tracking.test_wandb_files import END, HEADER, framed, row

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
        for name, value in assignment.hand_over("s", "r1", {}, tmp_path).items():
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


def test_a_run_that_goes_on_behind_a_damaged_history_says_what_it_lost(carry_out, tmp_path, capsys):
    carry_out("leave('first', 1)\nraise SystemExit(75)", first=framed([row(a=1), row(a=2), row(a=3)]))
    history = tmp_path / "runs" / "s" / "r1" / "history.jsonl"
    first, _, last = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(first + b"\0" * 50 + b"\n" + last)
    record = carry_out("leave('rest', 2)", rest=framed([row(a=4)]))
    assert [each["a"] for each in record.rows] == [1, 4]
    assert f"note: {history} has 1 whole rows, and what was logged after them is lost" in capsys.readouterr().err


@pytest.mark.parametrize(("ends", "state"), [([END], State.finished), ([], State.failed)], ids=["behind its end", "before it"])
def test_of_a_file_that_the_program_removes_what_it_told_is_kept(carry_out, ends, state):
    script = """
path, history = leave("whole", 1), Path("runs/s/r1/history.jsonl")
while not (history.exists() and history.stat().st_size):
    time.sleep(0.02)
path.unlink()
"""
    record = carry_out(script, whole=framed([row(a=1), *ends]))
    assert (record.state, record.rows, record.logged) == (state, [{"a": 1}], {})
    assert ends or "run-r1.wandb was removed before its end was read: what was logged last is missing" in record.reason


def test_damage_that_an_earlier_look_met_is_said_at_the_end_and_no_row_behind_it_counts(carry_out):
    bad = b"\xff\xff\xff"
    damage = struct.pack("<IHB", zlib.crc32(b"\x01" + bad), len(bad), 1) + bad
    script = """
path, history = leave("begun", 1), Path("runs/s/r1/history.jsonl")
while not (history.exists() and history.stat().st_size):
    time.sleep(0.02)
time.sleep(0.5)  # another look
with path.open("ab") as stream:
    stream.write(Path("rest").read_bytes())
"""
    rest = framed([row(a=2)])[len(HEADER) :]
    record = carry_out(script, begun=framed([row(a=1)]) + damage, rest=rest)
    assert [each["a"] for each in record.rows] == [1]
    assert record.state == State.failed
    assert "a record that is none" in record.reason


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        (f"os.kill(os.getppid(), {STOP:d})\ntime.sleep(60)", State.stopped, "stopped on request; "),
        ("raise SystemExit(75)", State.preempted, None),
    ],
    ids=["stopped", "preempted"],
)
def test_damage_is_said_of_a_run_that_did_not_finish_and_whose_rows_count(carry_out, capsys, ending, state, reason):
    damaged = bytearray(framed([row(a=1), row(a=2)]))
    damaged[-1] ^= 1
    record = carry_out(f"leave('damaged', 1)\n{ending}", damaged=damaged)
    assert (record.state, record.rows) == (state, [{"a": 1}])
    if reason:
        assert record.reason.startswith(reason)
        assert "no whole record at byte" in record.reason
    else:
        assert record.reason is None  # it goes on where it left
        assert "no whole record at byte" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "rows", "said"),
    [
        (framed([row(a=1), row(a=2)])[:-1], [1], "run-r1.wandb ends within a record at byte"),
        (framed([row(a=1), row(a=2)]), [1, 2], "run-r1.wandb has no end: what was logged last is missing"),
        (HEADER, [], "run-r1.wandb has no end: what was logged last is missing"),
    ],
    ids=["within a record", "behind a record", "before any"],
)
def test_a_file_that_its_client_did_not_write_to_the_end_is_said_of_a_run_that_ended_well(carry_out, content, rows, said):
    """Its last numbers would be taken for what the run came to."""
    record = carry_out("leave('cut', 1)", cut=content)
    assert [each["a"] for each in record.rows] == rows
    assert record.state == State.failed
    assert record.reason.startswith("exit code 0, but ")
    assert said in record.reason


def test_one_file_that_has_its_end_is_enough(carry_out):
    """Processes of one run have a file each, and those that are ended at its end leave theirs without one."""
    record = carry_out("leave('whole', 1)\nleave('other', 2)", whole=framed([row(a=1), END]), other=framed([row(b=1)]))
    assert record.state == State.finished


def broken_looks(monkeypatch, are_broken):
    """The disk gives no file of W&B's at the looks, counted from 0, that are broken."""
    opened, looks = wandb_files.reading.opened, itertools.count()

    def perhaps(path, most, mend):
        if path.suffix == ".wandb" and are_broken(next(looks)):
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, most, mend)

    monkeypatch.setattr(wandb_files.reading, "opened", perhaps)


def test_a_disk_that_fails_at_one_look_is_asked_at_the_next(carry_out, monkeypatch):
    broken_looks(monkeypatch, lambda number: number == 0)
    script = """
history = Path("runs/s/r1/history.jsonl")
leave("whole", 1)
while not (history.exists() and history.stat().st_size):
    time.sleep(0.02)
"""
    record = carry_out(script, whole=framed([row(a=1), END]))
    assert (record.state, record.rows) == (State.finished, [{"a": 1}])


def test_a_disk_that_fails_at_the_end_is_said_of_the_run(carry_out, monkeypatch):
    broken_looks(monkeypatch, lambda number: True)
    record = carry_out("leave('whole', 1)", whole=framed([row(a=1)]))
    assert (record.state, record.rows) == (State.failed, [])
    assert "run-r1.wandb cannot be read (Input/output error): what it holds from byte 0 on is missing" in record.reason
