"""`reglab train`: one run, by hand or on behalf of a sweep's agent."""

import sys
from typing import Annotated

import typer

from reglab.extras import need_training
from reglab.processes.signals import FROM_OUTSIDE, UNDER_WANDB


def train(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="For example arm=baseline train.epochs=10.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the whole configuration and train nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Train a finished run anew instead of showing it.")] = False,
    as_new: Annotated[bool, typer.Option("--as-new", help="Give the run a new id at W&B, where it was deleted, say.")] = False,
) -> None:
    """Train one run: keys on the command line, or, under a sweep's agent, the configuration it hands over."""
    from reglab.running import one_run
    from reglab.sweep import assignment

    if not print_config:
        need_training()
    job, words = assignment.received(), overrides or []
    if print_config:
        import yaml

        config = one_run.asked(job, words, again, as_new)
        sys.stdout.write(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        return
    raise typer.Exit(one_run.carry_out(UNDER_WANDB if job else FROM_OUTSIDE, words, again, as_new, job))
