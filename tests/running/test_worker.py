"""Workers are forks of one server, and it may die."""

import os
import signal
import threading
import time
from multiprocessing import forkserver

import pytest

from reglab.errors import MachineError
from reglab.running import worker

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
