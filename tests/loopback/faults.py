"""Faults on demand: what happens to the next requests of one kind."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """`cut` strikes after the request has taken effect, the others before it."""

    refuse = "refuse"  # the connection is reset, unanswered
    time_out = "time_out"  # held, then closed without an answer
    error_500 = "500"
    error_429 = "429"
    error_401 = "401"  # the key is not good
    error_403 = "403"  # the key may not do this
    cut = "cut"  # half of the answer, then the connection is closed


REFUSALS = (Fault.error_401, Fault.error_403)
"""Those that the client takes for an answer."""


@dataclass(frozen=True)
class Planned:
    fault: Fault
    hold_seconds: float = 0.0


@dataclass
class Faults:
    """`suffered` counts those that struck, by kind of request and fault."""

    suffered: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    _planned: dict[str, list[Planned]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, kind: str, fault: Fault, times: int = 1, hold_seconds: float = 5.0) -> None:
        """The next `times` requests of `kind` (a GraphQL operation's name, `file_stream`, `upload` or `download`) fail so.

        `hold_seconds` is how long a `time_out` keeps the client waiting, unless the client goes first.
        """
        with self._lock:
            self._planned.setdefault(kind, []).extend([Planned(fault, hold_seconds)] * times)

    def strike(self, kind: str) -> Planned | None:
        """The fault that this request meets, if any."""
        with self._lock:
            if not self._planned.get(kind):
                return None
            planned = self._planned[kind].pop(0)
            self.suffered[kind, planned.fault] += 1
            return planned

    def left(self) -> int:
        """How many are planned and have not struck yet."""
        with self._lock:
            return sum(map(len, self._planned.values()))
