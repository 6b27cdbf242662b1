"""The child process of an engine: with modules that only pretend to search."""

import signal
import time

import pytest

from reglab.errors import ReglabError
from reglab.sweep.engines import process
from reglab.sweep.engines.process import EngineProcess

ENDS = """
import sys
for line in sys.stdin:
    print('{"heard": true}', flush=True)
"""

NEVER_ENDS = f"""
import threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
{ENDS}
"""


@pytest.mark.parametrize(("module", "seconds", "code"), [(ENDS, 60.0, 0), (NEVER_ENDS, 0.2, -signal.SIGKILL)], ids=["ends", "never ends"])
def test_a_child_that_does_not_end_by_itself_is_killed(tmp_path, monkeypatch, module, seconds, code):
    (tmp_path / "searches.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(process, "END_SECONDS", seconds)
    searching = EngineProcess("searches", "method = made up")
    assert searching.answer(lambda is_new: {"is_new": is_new}) == {"heard": True}
    child = searching._child
    searching.end()
    assert child.returncode == code


HANGS = """
import os, sys, time
if os.fork():  # another process holds its answers open
    os.dup2(2, 1)
time.sleep(60)
"""


@pytest.mark.parametrize("size", [1, 10**6], ids=["over a question", "before it has read one"])
def test_a_child_that_hangs_is_ended_and_said_to(tmp_path, monkeypatch, size):
    (tmp_path / "searches.py").write_text(HANGS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(process, "ANSWER_SECONDS", 2.0)
    searching, began = EngineProcess("searches", "method = made up"), time.monotonic()
    with pytest.raises(ReglabError, match=r"^method = made up: the process that searches gave no answer within 2 s, and was ended; the sa"):
        searching.answer(lambda is_new: {"long": "x" * size})
    assert time.monotonic() - began < 50
    assert searching._child is None


def test_what_was_answered_in_time_is_followed_by_no_end(tmp_path, monkeypatch):
    (tmp_path / "searches.py").write_text(ENDS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    searching = EngineProcess("searches", "method = made up")
    searching.answer(lambda is_new: {})
    child = searching._child
    monkeypatch.setattr(process, "ANSWER_SECONDS", 0.5)
    time.sleep(1)
    assert child.poll() is None
    searching.end()
