"""Workers are forks of one server, and it may die."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest

import reglab
from reglab.errors import MachineError
from reglab.running import worker
from tests.waiting import PATIENCE, wait_for

SERVER = forkserver._forkserver


@pytest.fixture
def kill_servers(monkeypatch):
    """`kill_servers(2)`: the next two servers are killed as they start."""
    monkeypatch.setattr(worker, "_PRELOADED", ["reglab.running.worker"])
    SERVER._stop()
    over, killed = threading.Event(), []

    def strike(number):
        while len(killed) < number and not over.is_set():
            if (pid := SERVER._forkserver_pid) and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.001)

    def arrange(number):
        thread = threading.Thread(target=strike, args=(number,), daemon=True)
        thread.start()
        return killed

    yield arrange
    over.set()
    SERVER._stop()


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_a_server_that_is_killed_as_it_starts_is_replaced(kill_servers, tmp_path, number):
    killed = kill_servers(number)
    process = worker._start(int, {}, tmp_path / "run" / "log.txt", ())
    process.join()
    assert (process.exitcode, len(killed)) == (0, number)


def test_servers_that_die_again_and_again_are_the_machine_s_fault(kill_servers, tmp_path):
    killed = kill_servers(100)
    with pytest.raises(MachineError, match="the server of the workers died 4 times as it started one"):
        worker._start(int, {}, tmp_path / "run" / "log.txt", ())
    assert len(killed) >= 4


ENDS = """
import multiprocessing.forkserver, pathlib
from reglab.running import worker
if __name__ == "__main__":
    process = worker._start(int, {}, pathlib.Path("run/log.txt"), (), worker._PRELOADED_FOR_PROGRAMS + ["lingers"])
    process.join()
    server = multiprocessing.forkserver._forkserver._forkserver_pid
    pathlib.Path("said.txt").write_text(f"{process.exitcode} {server}")
"""


def test_the_server_ends_with_the_sweep_whatever_its_imports_do_at_the_exit(tmp_path):
    """Taking torch down takes a second or two, in which a process stayed behind."""
    (tmp_path / "lingers.py").write_text("import atexit, threading\natexit.register(threading.Event().wait)\n")
    (tmp_path / "ends.py").write_text(ENDS)
    path = os.pathsep.join([str(tmp_path), str(Path(reglab.__file__).parents[1])])
    subprocess.run([sys.executable, "ends.py"], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, timeout=PATIENCE)
    code, server = map(int, (tmp_path / "said.txt").read_text().split())
    try:
        assert code == 0
        wait_for(lambda: not Path(f"/proc/{server}").exists())
    finally:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
