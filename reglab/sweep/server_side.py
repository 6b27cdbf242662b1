"""A sweep as W&B's server has it: its state, and the runs of all machines. Nothing waits for an answer that does not come."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent import futures
from typing import TypeVar

from reglab.errors import ReglabError, UserError
from reglab.sweep.remote import RemoteSweep
from reglab.tracking.wandb_states import ListedRun, runs_of_sweep, state_of_sweep

T = TypeVar("T")

REFUSALS = 2
"""Answers in a row, half a minute apart, that the key is not good, before the machine takes no more runs: one may be a proxy's."""

LOOK_SECONDS = 30.0
"""Between two looks at the sweep's runs on the server."""

ANSWER_SECONDS = 15.0
"""How long the server, the store of checkpoints or the GPU's driver may take to answer."""

POLL_SECONDS = 0.2


def ask(question: Callable[[], T]) -> "futures.Future[T]":
    """What the question will have returned, in a thread of its own."""
    answer: futures.Future[T] = futures.Future()

    def wait() -> None:
        try:
            answer.set_result(question())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()
    return answer


def in_time(question: Callable[[], T], given_up: Callable[[], bool]) -> T:
    """What the question returns. Raises ReglabError where that takes too long, or it is given up; its thread is left behind."""
    answer = ask(question)
    for _ in range(round(ANSWER_SECONDS / POLL_SECONDS)):
        if futures.wait([answer], POLL_SECONDS).done:
            return answer.result()
        if given_up():
            break
    raise ReglabError(f"no answer within {ANSWER_SECONDS:g} s")


class ServerSide:
    """What W&B says of a sweep. `say` gets a line whenever that changes; nothing is waited for once it is `given_up`."""

    def __init__(self, sweep: RemoteSweep, say: Callable[[str], None], given_up: Callable[[], bool]):
        self._sweep, self._say, self._given_up = sweep, say, given_up
        self._state: str | None = "RUNNING"  # as W&B last had it
        self._asked: futures.Future[str | None] | None = None
        self._refusals = 0  # of the key, in a row
        self._listed: list[ListedRun] = []
        self._complained: str | None = None
        self.look_soon()

    def look_soon(self) -> None:
        """What was known may have changed: ask anew."""
        self._looked, self._ask_at = -LOOK_SECONDS, -math.inf

    def states(self) -> Counter[str]:
        """How many runs of the whole sweep are in which state, as W&B names them; as it last listed them where it does not answer now."""
        self._list()
        return Counter(run.state for run in self._listed)

    def runs(self, states: Collection[str]) -> list[ListedRun]:
        """The sweep's runs that are in these states, as the server had them some time ago."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._list()
            self._looked = time.monotonic()
        return [run for run in self._listed if run.state in states]

    def watch(self) -> str | None:
        """Say when W&B's page has paused or stopped the sweep, whose agent waits without a word; waits for no answer.

        Returns why there are no more runs to be had, where W&B says so.
        """
        if self._asked is None:
            if time.monotonic() >= self._ask_at:
                self._ask_at = time.monotonic() + LOOK_SECONDS
                self._asked = ask(lambda: state_of_sweep(self._sweep.entity, self._sweep.project, self._sweep.sweep_id))
            return None
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        if error := asked.exception():
            self._refusals = self._refusals + 1 if isinstance(error, UserError) else 0
            return str(error) if self._refusals >= REFUSALS else None
        self._refusals = 0
        before, self._state = self._state, asked.result()
        if self._state == before:
            return None
        if self._state is None:
            return "its sweep was deleted at W&B"
        if self._state == "PAUSED":
            self._say(f"{self._sweep.path} is paused at W&B: this agent waits until it is resumed there")
        elif before == "PAUSED" and self._state in ("PENDING", "RUNNING"):
            self._say(f"{self._sweep.path} is resumed at W&B")
        elif self._state in ("STOPPED", "CANCELED"):
            self._say(f"{self._sweep.path} is {self._state.lower()} at W&B: no more runs begin")
        return None

    def _list(self) -> None:
        try:
            self._listed = in_time(self._runs, self._given_up)
        except ReglabError as error:  # what was there the last time is good enough for a while
            if str(error) != self._complained:
                self._say(f"W&B does not list the sweep's runs: {error}")
            self._complained = str(error)

    def _runs(self) -> list[ListedRun]:
        return runs_of_sweep(self._sweep.entity, self._sweep.project, self._sweep.sweep_id)
