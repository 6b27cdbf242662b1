"""`reglab sync`: local runs to W&B."""

import os
from pathlib import Path
from typing import Annotated

import typer

from reglab.cli.console import counting, say, say_recognized
from reglab.errors import UserError
from reglab.exits import FAILED
from reglab.tracking import wandb_run
from reglab.tracking.wandb_run import PROJECT


def sync(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]…", help="Runs, or sweeps; all of runs/ by default.")] = None,
    entity: Annotated[str | None, typer.Option("--entity", envvar="WANDB_ENTITY", help="W&B account or team.")] = None,
    project: Annotated[str, typer.Option("--project", envvar="WANDB_PROJECT", help="W&B project.")] = PROJECT,
) -> None:
    """Send to W&B what ran offline, or lost its server on the way: each run once, in the group of its sweep."""
    from reglab.settings import settings
    from reglab.tracking import sync as tracking
    from reglab.tracking.wandb_project import Project, default_entity

    found = tracking.read(folders or [settings().runs])
    if (mode := wandb_run.mode()) != "online":
        raise UserError(f"W&B is {mode} here: `wandb login` sets the key, and WANDB_MODE must not say otherwise")
    entity = entity or default_entity()
    if not entity:
        raise UserError("no W&B entity: give --entity, or set WANDB_ENTITY")
    os.environ |= {"WANDB_PROJECT": project, "WANDB_ENTITY": entity}
    with counting("runs") as progress:
        outcome = tracking.sync(found.records, Project(entity, project), progress)
    say_recognized(sum(record.formerly is not None for record in found.records))
    say(f"{outcome.sent} sent, {outcome.there} there before, {outcome.going_on} going on")
    for record, reason in outcome.failed:
        say(f"{record.label} s{record.seed} ({record.run_id}) is not whole at W&B: {reason or 'the same command tries again'}")
    for line in found.damaged:
        say(f"left out: {line}")
    if outcome.failed or found.damaged:
        raise typer.Exit(FAILED)
