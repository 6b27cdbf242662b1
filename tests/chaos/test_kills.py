"""A sweep of real runs, and a report on it, whose processes are killed again and again: SIGKILL, without a word."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

import reglab
from reglab.report.manifest import Manifest
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.chaos.conftest import KEYS, LONG, half_written, timeless
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")]

KILLS = int(os.environ.get("CHAOS_KILLS", "200" if LONG else "20"))

TARGETS = ("group", "parent", "server", "worker", "decoding", "checkpoint")

SEEDS = list(range(KILLS))
"""As many runs as kills: something is left to be killed to the end."""


def sweep_file(path):
    sections = {name: {"parameters": {key: {"value": value} for key, value in keys.items()}} for name, keys in KEYS.items()}
    sections["train"]["parameters"]["seed"] = {"values": SEEDS}
    path.write_text(yaml.safe_dump({"method": "grid", "parameters": sections}))
    return path


class Machine:
    """`reglab` with folders of its own, in a session of its own."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        folder.mkdir()
        self.runs, self.cache = folder / "runs", folder / "cache"
        self.environment = os.environ | {
            "PYTHONPATH": str(Path(reglab.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            "REGLAB_RUNS": str(self.runs),
            "REGLAB_CACHE": str(self.cache),
        }

    def start(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reglab", *map(str, words)],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "said.txt").open("a"),
            start_new_session=True,
        )
        return self

    @property
    def said(self):
        return (self.folder / "said.txt").read_text()

    def wait(self):
        """Its exit code, when nothing of its session is left: a worker that lost its sweep leaves a checkpoint and ends."""
        code = self.process.wait()
        wait_for(lambda: not members(self.process.pid))
        return code

    def kill_all(self):
        for pid in members(self.process.pid) if self.process else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def status(pid):
    """State, parent and session of a process; none of one that is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[1]), int(fields[3])
    return None


def members(session):
    found = {int(path.name): status(path.name) for path in Path("/proc").glob("[0-9]*")}
    return [pid for pid, known in found.items() if known and known[0] != "Z" and known[2] == session]


def server(session):
    """The process that the workers are forks of: they have its command line, too."""
    named = [pid for pid in members(session) if b"forkserver" in _command(pid)]
    return [pid for pid in named if (known := status(pid)) and known[1] not in named]


def workers(session):
    above = server(session)
    return [pid for pid in members(session) if (known := status(pid)) and known[1] in above]


def _command(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def rows(runs):
    """Epochs that were recorded."""
    return sum(path.read_bytes().count(b"\n") for path in runs.rglob("history.jsonl"))


def kill(machine, target, chance):
    """Kill what is meant, when it is there; whether it was."""
    session = machine.process.pid
    if target == "decoding":
        there = wait_for(lambda: list((machine.cache / "images").glob("*.lock")) or machine.process.poll() is not None)
        victims = members(session)
    elif target == "checkpoint":
        there = wait_for(lambda: list(machine.runs.rglob(".checkpoint.pt.*.tmp")) or machine.process.poll() is not None)
        victims = workers(session)
    else:
        find = {"server": server, "worker": workers}.get(target, members)
        there = wait_for(lambda: find(session) or machine.process.poll() is not None)
        if there is not True and chance.random() < 0.5:  # in the middle of a run, else near its start
            before = rows(machine.runs)
            wait_for(lambda: rows(machine.runs) > before or machine.process.poll() is not None)
        time.sleep(chance.uniform(0, 0.5))
        victims = {"parent": [session], "worker": workers(session)[:1]}.get(target) or find(session)
    if there is True or not victims:  # it ended first
        return False
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


@pytest.fixture
def machine(tmp_path):
    made = []

    def make(name):
        made.append(Machine(tmp_path / name))
        return made[-1]

    yield make
    for each in made:
        each.kill_all()


def test_whatever_is_killed_a_sweep_ends_with_the_records_of_an_undisturbed_one(machine, tmp_path, chance):
    file = sweep_file(tmp_path / "killed.yaml")
    calm = machine("calm").start("sweep", "run", file)
    assert calm.wait() == 0, calm.said
    expected = {record.run_id: timeless(record) for record in read_runs(calm.runs)}
    assert len(expected) == len(SEEDS)

    struck, counted = machine("struck").start("sweep", "run", file), dict.fromkeys(TARGETS, 0)
    while sum(counted.values()) < KILLS:
        target = "decoding" if not counted["decoding"] else chance.choice([each for each in TARGETS if each != "decoding"])
        if kill(struck, target, chance):
            counted[target] += 1
            if target in ("group", "parent", "decoding"):
                struck.wait()
        if struck.process.poll() is not None:
            code = struck.wait()
            assert "unexpected" not in struck.said
            if code == 0:
                break
            struck.start("sweep", "run", file)
    for _ in range(len(SEEDS)):
        if struck.wait() == 0:
            break
        struck.start("sweep", "run", file)
    assert struck.wait() == 0, struck.said
    assert "Traceback" not in struck.said

    found = read_runs(struck.runs)
    assert {record.state for record in found} == {State.finished}
    assert not [record.damage for record in found if record.damage]
    assert {record.run_id: timeless(record) for record in found} == expected
    assert not half_written(struck.folder)
    print(f"killed: {counted}, runs: {len(expected)}, lost: 0")

    build(machine, struck, calm, chance)


def build(machine, struck, calm, chance):
    """The report on those runs, killed at moments of its own, with a file of the user's beside it."""
    out = struck.folder / "reports" / "r"
    assert calm.start("report", "build", "--from", calm.runs, "--out", out).wait() == 0, calm.said
    (out / "notes.txt").write_text("years of work")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    start = time.monotonic()
    assert struck.start("report", "build", "--from", struck.runs, "--out", out).wait() == 0, struck.said
    takes = time.monotonic() - start
    assert {path.name for path in out.iterdir()} == set(before)
    for number in range(5 if LONG else 2):
        struck.start("report", "build", "--from", struck.runs, "--out", out)
        time.sleep(chance.uniform(0.3, 1) * takes if number else 0.8 * takes)
        struck.kill_all()
        struck.wait()
        assert (out / "notes.txt").read_text() == "years of work" or not out.exists()
    assert struck.start("report", "build", "--from", struck.runs, "--out", out).wait() == 0, struck.said
    assert (out / "notes.txt").read_text() == "years of work"
    assert {path.name for path in out.parent.iterdir()} == {"r"}
    assert Manifest.read(out).altered(out) == ["notes.txt is not part of the report"]
