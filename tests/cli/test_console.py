"""How a command ends."""

import subprocess
import sys

import pytest

from reglab.exits import FAILED, PREEMPTED
from tests.waiting import PATIENCE

HANGS = """
import atexit, threading
from reglab.cli import console
console.EXIT_SECONDS = console.PREEMPTED_EXIT_SECONDS = 1e6
console.{limit} = 0.1
atexit.register(threading.Event().wait)
console.run_to_exit(lambda: {code})
"""


@pytest.mark.parametrize(("code", "limit"), [(PREEMPTED, "PREEMPTED_EXIT_SECONDS"), (FAILED, "EXIT_SECONDS")])
def test_a_library_that_does_not_end_at_the_exit_is_not_waited_for(code, limit):
    """Least of all where the machine is about to be taken away."""
    ended = subprocess.run([sys.executable, "-c", HANGS.format(limit=limit, code=code)], check=False, timeout=PATIENCE)
    assert ended.returncode == code
