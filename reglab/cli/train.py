"""`reglab train`: one run, by hand or on behalf of a sweep's agent."""

import multiprocessing
from typing import Annotated

import typer

from reglab.cli.console import say
from reglab.exits import PREEMPTED
from reglab.extras import need_training
from reglab.processes import signals as meanings
from reglab.processes.signals import Signals


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

    if not print_config:
        need_training()
    job = assignment.received()
    meaning = meanings.UNDER_WANDB if job else meanings.FROM_OUTSIDE
    if multiprocessing.parent_process():
        meaning = meanings.WORKER
    with Signals(meaning) as signals:
        ended = one_run.ordered(job, overrides or [], print_config, again, signals, as_new)
    if ended:
        say(one_run.outcome(ended))
        if ended.state == State.preempted:
            raise typer.Exit(PREEMPTED)
