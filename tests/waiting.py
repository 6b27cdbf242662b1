"""Waiting for what other processes do: for the event itself, however slow the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 600.0
"""Seconds after which nothing will come any more, on a machine of any pace."""

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], is_lost: Callable[[], bool] = lambda: False) -> Found:
    """Wait until `condition()` is true, and return it. Fails at once where `is_lost()`: it can come no more."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert not is_lost(), "what it waits for can come no more"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found
