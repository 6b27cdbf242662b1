"""How a run stands. By itself, since the command line shows it in colours and starts without pydantic."""

from enum import StrEnum


class State(StrEnum):
    """How a run stands. The comments say what is not in the word."""

    pending = "pending"
    running = "running"
    finished = "finished"
    stopped = "stopped"  # early, on request: by hyperband or by hand; its search counts what it reached, reports do not
    diverged = "diverged"
    failed = "failed"
    preempted = "preempted"  # left a checkpoint and goes on when it is started again
    crashed = "crashed"  # ended without a word; goes on from its last checkpoint

    @property
    def ended(self) -> bool:
        """Whether starting the same sweep again leaves this run as it is."""
        return self in (State.finished, State.stopped, State.diverged, State.failed)

    @property
    def has_results(self) -> bool:
        """Whether the run ended with what it came to, which stays: by itself or on request, and not by a fault."""
        return self in (State.finished, State.stopped, State.diverged)
