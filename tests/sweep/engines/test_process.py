"""The child process of an engine: with modules that only pretend to search."""

import signal

import pytest

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
