"""`reglab dashboard`: the shared pages at W&B."""

import typer

from reglab.cli.console import Entity, Group, Project, say, tell
from reglab.tracking import client

app = typer.Typer(cls=Group, help="Keep the shared pages at W&B.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `push` a subcommand while it is the only one."""


@app.command()
def push(
    entity: Entity = None,
    project: Project = None,
) -> None:
    """Save a workspace and a report of the study's questions in the project; pushed again, they are updated in place."""
    from reglab.report import dashboard

    links = dashboard.push(*client.destination(entity, project))
    say("workspace and report:")
    tell(links.workspace)
    tell(links.report)
