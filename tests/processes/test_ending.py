"""How a process ends: in a line, with its code, in time."""

import logging
import subprocess
import sys

import pytest

from reglab.errors import ReglabError
from reglab.exits import FAILED, PREEMPTED
from reglab.processes import ending
from tests.unprinted import UNPRINTED
from tests.waiting import PATIENCE


@pytest.mark.parametrize(("text", "written"), UNPRINTED.items(), ids=lambda text: ascii(text)[1:12])
def test_what_a_module_logs_is_a_line_too(capsys, monkeypatch, text, written):
    monkeypatch.setattr(logging.lastResort, "formatter", None)
    with pytest.raises(SystemExit):
        ending.run_to_exit(lambda: 0)
    logging.lastResort.emit(logging.LogRecord("x", logging.WARNING, "", 0, "run %s is left out", (text,), None))
    assert capsys.readouterr().err == f"run {written} is left out\n"


@pytest.mark.parametrize("kind", [ReglabError, ValueError])
@pytest.mark.parametrize("debug", [False, True])
def test_an_error_is_one_line_of_text_whatever_it_quotes(capsys, kind, debug):
    def fails():
        raise kind("\x1b]0;t\x07" + "x" * 10**6 + "\nreglab: done")

    with pytest.raises(SystemExit):
        ending.run_to_exit(fails, debug)
    *traceback, line = capsys.readouterr().err.splitlines()
    assert bool(traceback) == debug
    assert all(each.isprintable() for each in (*traceback, line))
    assert len(line) < 1100
    assert line.startswith("reglab: ") and line.endswith(("reglab: done", "to see where)"))


HANGS = """
import atexit, threading
from reglab.processes import ending
ending.EXIT_SECONDS = ending.PREEMPTED_EXIT_SECONDS = 1e6
ending.{limit} = 0.1
atexit.register(threading.Event().wait)
ending.run_to_exit(lambda: {code})
"""


@pytest.mark.parametrize(("code", "limit"), [(PREEMPTED, "PREEMPTED_EXIT_SECONDS"), (FAILED, "EXIT_SECONDS")])
def test_a_library_that_does_not_end_at_the_exit_is_not_waited_for(code, limit):
    """Least of all where the machine is about to be taken away."""
    ended = subprocess.run([sys.executable, "-c", HANGS.format(limit=limit, code=code)], check=False, timeout=PATIENCE)
    assert ended.returncode == code


SIGNALLED = """
import atexit, os, signal
from reglab.processes import ending
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    atexit.register(os.kill, os.getpid(), number)
ending.run_to_exit(lambda: 3)
"""


def test_a_signal_at_the_exit_changes_neither_the_code_nor_what_was_said():
    """Ctrl-C while W&B's client cleans up showed a traceback of its temporary folder."""
    ended = subprocess.run([sys.executable, "-c", SIGNALLED], check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr) == (3, "")
