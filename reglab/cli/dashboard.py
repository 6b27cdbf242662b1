"""`reglab dashboard`: the shared pages at W&B."""

from reglab.cli.commands import Commands, Entity, Project
from reglab.cli.report import Study
from reglab.console import say, tell
from reglab.tracking import client

app = Commands(help="Keep the shared pages at W&B.")


@app.callback()
def group() -> None:
    """Keeps `push` a subcommand while it is the only one."""


@app.command()
def push(
    study: Study = None,
    entity: Entity = None,
    project: Project = None,
) -> None:
    """Save a workspace and a report of the study's questions in the project; pushed again, they are updated in place."""
    from reglab.report import dashboard
    from reglab.report.studies import study_file

    links = dashboard.push(*client.destination(entity, project), study_file.read(study or study_file.PUBLISHED))
    say("workspace and report:")
    tell(links.workspace)
    tell(links.report)
