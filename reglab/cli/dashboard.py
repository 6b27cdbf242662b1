"""`reglab dashboard`: the shared pages at W&B."""

from typing import Annotated

import typer

from reglab.cli.console import Group, say
from reglab.tracking.wandb_run import PROJECT

app = typer.Typer(cls=Group, help="Keep the shared pages at W&B.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `push` a subcommand while it is the only one."""


@app.command()
def push(
    entity: Annotated[str | None, typer.Option("--entity", envvar="WANDB_ENTITY", help="W&B account or team.")] = None,
    project: Annotated[str, typer.Option("--project", envvar="WANDB_PROJECT", help="W&B project.")] = PROJECT,
) -> None:
    """Save a workspace and a report of the study's questions in the project; pushed again, they are updated in place."""
    from reglab.report import dashboard

    links = dashboard.push(entity, project)
    say("workspace and report:")
    print(links.workspace)
    print(links.report)
