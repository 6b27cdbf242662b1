"""The child process of an engine that another library answers for: it may need PyTorch, or run what a user wrote."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from reglab.errors import ReglabError, UserError
from reglab.extras import how

ANSWER_SECONDS = 3600.0
"""How long the child may think about one question: a Gaussian process over thousands of trials takes minutes, one that hangs for ever."""

END_SECONDS = 3.0
"""How long the child may take to end once nothing can be asked any more: threads that a user's sampler has started may never."""


class EngineProcess:
    """Runs `module`, which answers each line of JSON with one, started when it is first asked. `asked_for` is what wants it."""

    def __init__(self, module: str, asked_for: str):
        self._module, self._asked_for = module, asked_for
        self._child: subprocess.Popen[str] | None = None

    def answer(self, question: Callable[[bool], Mapping[str, Any]]) -> dict[str, Any]:
        """What it says to `question(whether it is new)`.

        Raises UserError where a library is missing, or what the user wrote does not do; ReglabError where it dies twice over one question,
        or hangs over it.
        """
        for _ in range(2):
            is_new, child = self._child is None, self._child or self._start()
            self._child = child
            with _killed_after(ANSWER_SECONDS, child) as is_late:
                line = _said(child, json.dumps(question(is_new)))
            if line:
                answered: dict[str, Any] = json.loads(line)
                if "missing" in answered:
                    raise UserError(f"{self._asked_for}: searches with {answered['missing']}, which is not installed: {how('train')}")
                if "fault" in answered:
                    raise UserError(f"{self._asked_for}: {answered['fault']}")
                return answered
            code = child.wait()
            self.end()
            if is_late():
                said = f"the process that searches gave no answer within {ANSWER_SECONDS:g} s, and was ended"
                raise ReglabError(f"{self._asked_for}: {said}; the same command asks again")
        ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        raise ReglabError(f"{self._asked_for}: the process that searches died ({ended}); the same command goes on")

    def end(self) -> None:
        """It ends by itself when nothing can be asked any more, or is killed."""
        if self._child:
            assert self._child.stdin and self._child.stdout
            with suppress(OSError):
                self._child.stdin.close()
            try:
                self._child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child.stdout.close()
            self._child = None

    def _start(self) -> "subprocess.Popen[str]":
        """In a session of its own: what is sent to this process's group is for this process to hear. It imports nothing of this folder."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-P", "-m", self._module]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment, start_new_session=True
        )


def _said(child: "subprocess.Popen[str]", question: str) -> str:
    """Its line for a line; nothing where it died before it was asked, or over it."""
    assert child.stdin and child.stdout
    try:
        child.stdin.write(question + "\n")
        child.stdin.flush()
        return child.stdout.readline()
    except OSError:
        return ""


@contextmanager
def _killed_after(seconds: float, child: "subprocess.Popen[str]") -> Iterator[Callable[[], bool]]:
    """Kill a child that takes longer, so that whoever waits for its answer has its end; gives what says whether it was."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads a session: what it has started may hold its answers open

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()
        timer.join()  # a number that is free again may be another process's
