"""`reglab sync`: local runs to W&B."""

from pathlib import Path
from typing import Annotated

import typer

from reglab.cli.commands import Entity, Project
from reglab.console import counting, say
from reglab.exits import FAILED
from reglab.report.writing.numbers import counted
from reglab.tracking import client
from reglab.tracking.recognized import say_recognized


def sync(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]…", help="Runs, or sweeps; all of runs/ by default.")] = None,
    entity: Entity = None,
    project: Project = None,
    as_new: Annotated[bool, typer.Option("--as-new", help="Send runs that were deleted at W&B again, under new ids.")] = False,
) -> None:
    """Send to W&B what ran offline, or lost its server on the way: each run once, in the group of its sweep."""
    from reglab.settings import settings
    from reglab.tracking import sync as tracking
    from reglab.tracking import wandb_api

    found = tracking.read(folders or [settings().runs])
    client.check_online()
    target = wandb_api.destination(entity, project)
    ours = [record for record in found.records if record.program is None]
    with counting("runs") as progress:
        outcome = tracking.sync(ours, target, progress, as_new)
    say_recognized(record.run_id for record in found.records if record.formerly)
    say(f"{outcome.sent} sent, {outcome.there} there before, {outcome.going_on} going on")
    if others := len(found.records) - len(ours):
        say(f"not sent: {counted(others, 'runs')} of another program; `wandb sync` sends what its client left, RUN/wandb/offline-run-*")
    for record in outcome.deleted:
        say(f"{record.label} s{record.seed} ({record.run_id}) was deleted at W&B and stays here; --as-new sends it under a new id")
    for record, reason in outcome.failed:
        say(f"{record.label} s{record.seed} ({record.run_id}) is not whole at W&B: {reason or 'the same command tries again'}")
    for line in found.damaged:
        say(f"left out: {line}")
    if outcome.failed or found.damaged:
        raise typer.Exit(FAILED)
