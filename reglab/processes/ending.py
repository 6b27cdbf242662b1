"""How a process of this package ends: an error becomes a line and an exit code, and no library keeps it at the exit."""

import atexit
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from reglab import exits
from reglab.console import complain
from reglab.errors import ReglabError, in_one_line, machine_fault, path_fault, shown
from reglab.processes.signals import Interrupted, heed_no_more

EXIT_SECONDS = 10.0
"""How long what the libraries do at the exit may take: with the wait for W&B before it, less than a worker is given to leave."""

PREEMPTED_EXIT_SECONDS = 3.0
"""As long for a process that is asked to end: its machine has half a minute in all, and what W&B has to know it was told before."""


def run_to_exit(work: Callable[[], int], debug: bool = False) -> None:
    """Do the work of this process, which returns its exit code, and exit; an error becomes one line and its exit code.

    With `debug` its traceback is shown, too.
    """
    if logging.lastResort:
        logging.lastResort.setFormatter(_Line())
    code = _exit_code(work, debug)
    threading.Thread(target=_end_in_time, args=(code,), name="exit", daemon=True).start()
    atexit.register(heed_no_more)  # before all that libraries have registered
    sys.exit(code)


def _exit_code(work: Callable[[], int], debug: bool) -> int:
    try:
        return work()
    except Interrupted:
        complain("interrupted before anything more was begun; the same command goes on")
        return exits.PREEMPTED
    except Exception as error:
        if debug:
            _show_traceback()
        if known := error if isinstance(error, ReglabError) else path_fault(error) or machine_fault(error):
            complain(str(known))
            return known.exit_code
        complain(f"unexpected {type(error).__name__}: {in_one_line(error)} (run it again with `reglab --debug …` to see where)")
        return exits.FAILED


class _Line(logging.Formatter):
    """What a module logs may quote what others wrote, as any line may."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(record.getMessage())


def _show_traceback() -> None:
    for line in traceback.format_exc().splitlines():
        print(shown(line), file=sys.stderr)  # noqa: T201


def _end_in_time(code: int) -> None:
    """W&B's client waits at the exit for a process of its own, without a limit, and that one was once seen not to end."""
    threading.main_thread().join()
    time.sleep(PREEMPTED_EXIT_SECONDS if code == exits.PREEMPTED else EXIT_SECONDS)
    os._exit(code)
