"""`reglab train`: one run, by hand or on behalf of a sweep's agent."""

import multiprocessing
import signal
from typing import Annotated

import typer

from reglab.cli.console import say
from reglab.training.preemption import REQUESTS, Signals

PREEMPTED = 75
"""Exit code of a run that left a checkpoint: EX_TEMPFAIL, try again."""


def train(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="For example arm=baseline train.epochs=10.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the whole configuration and train nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Train a finished run anew instead of showing it.")] = False,
    as_new: Annotated[bool, typer.Option("--as-new", help="Give the run a new id at W&B, where it was deleted, say.")] = False,
) -> None:
    """Train one run: keys on the command line, or, under a sweep's agent, the configuration it hands over."""
    from reglab.cli import one_run
    from reglab.sweep import assignment
    from reglab.tracking.record import State

    alone = multiprocessing.parent_process() is None  # a worker hears of a machine's shutdown from the process that started it
    with Signals({*REQUESTS, signal.SIGTERM} if alone else REQUESTS) as signals:
        ended = one_run.ordered(assignment.received(), overrides or [], print_config, again, signals, as_new)
    if ended:
        say(one_run.outcome(ended))
        if ended.state == State.preempted:
            raise typer.Exit(PREEMPTED)
