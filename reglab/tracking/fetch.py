"""Where runs come from: folders on this machine, a report that was built from them, a project on W&B's server, or a table."""

from collections.abc import Callable
from pathlib import Path

from reglab import reading
from reglab.errors import UserError
from reglab.tracking import csv_file, program_run
from reglab.tracking.program_run import ProgramRun
from reglab.tracking.record import RunRecord
from reglab.tracking.store import ARCHIVE, read_archive, read_runs


def programs(source: str, all_of_them: bool = False) -> list[ProgramRun] | None:
    """The runs of other programs in a table, a project at W&B, or a report on such; None of a source that holds reglab's.

    A project that holds any run of reglab's is reglab's, but with `all_of_them`, which takes every run in it by its keys alone.
    Raises UserError where there is none.
    """
    if source.endswith(csv_file.SUFFIX):
        return csv_file.read(Path(source))
    if not source.startswith("wandb://"):
        archive = Path(source) / program_run.ARCHIVE
        return program_run.read_archive(archive) if source and reading.is_folder(archive.parent) and archive.exists() else None
    from reglab.tracking.wandb_project import Project, holds_records, program_runs

    project = Project.parse(source)
    if not all_of_them and holds_records(project):
        return None
    return program_run.each_alone(program_runs(project), f"--from {source}")


def fetch(source: str, history: bool = True, progress: Callable[[int, int], None] | None = None) -> list[RunRecord]:
    """The records of `runs/<sweep>`, `runs/<study>`, `reports/<name>` or `wandb://entity/project[/sweep]`, oldest first.

    With their epochs or without; a report has none. `progress` is told how many runs are here, of how many.
    Raises UserError where there are none.
    """
    if source.startswith("wandb://"):
        return _from_wandb(source, history, progress)
    folder = Path(source)
    if not source or not reading.is_folder(folder):
        raise UserError(f"--from {source}: no such folder; `reglab sweep run` makes runs/<sweep>/")
    return read_archive(folder / ARCHIVE, history) if (folder / ARCHIVE).exists() else read_runs(folder, history)


def _from_wandb(source: str, history: bool, progress: Callable[[int, int], None] | None) -> list[RunRecord]:
    from reglab.tracking.wandb_project import Project, records  # half a second: not for folders

    found = sorted(records(Project.parse(source), history, progress), key=lambda record: record.created)
    if not found:
        raise UserError(f"--from {source} holds no run of reglab's")
    return found
