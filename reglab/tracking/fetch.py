"""Where runs come from: folders on this machine, a report that was built from them, a project on W&B's server, or a table."""

from collections.abc import Callable, Sequence
from pathlib import Path

from reglab import reading
from reglab.errors import UserError
from reglab.tracking import csv_file, program_run, turns
from reglab.tracking.program_run import Curve, ProgramRun
from reglab.tracking.record import RunRecord
from reglab.tracking.store import ARCHIVE, read_archive, read_runs, readable, run_folders
from reglab.tracking.turns import Turns


def programs(source: str, all_of_them: bool = False) -> list[ProgramRun] | None:
    """The runs of other programs in a table, a project at W&B, a sweep's folder, or a report on such; None of a source of reglab's.

    What holds any run of reglab's is reglab's; a project with `all_of_them` is none: every run in it is taken by its keys alone.
    Raises UserError where there is none.
    """
    if source.endswith(csv_file.SUFFIX):
        return csv_file.read(Path(source))
    if not source.startswith("wandb://"):
        archive = Path(source) / program_run.ARCHIVE
        if not source or not reading.is_folder(archive.parent):
            return None
        return program_run.read_archive(archive) if archive.exists() else _of_a_sweep(Path(source))
    from reglab.tracking.wandb_api import Project
    from reglab.tracking.wandb_programs import holds_records, program_runs

    project = Project.parse(source)
    if not all_of_them and holds_records(project):
        return None
    return program_run.each_alone(program_runs(project), f"--from {source}")


def curves(source: str, metric: str, points: int) -> dict[str, Curve]:
    """What the runs of another program in a folder or a project logged of a metric, by their ids, so many points each; none of a table.

    Raises ReglabError where the server does not answer.
    """
    if source.startswith("wandb://"):
        from reglab.tracking import wandb_programs
        from reglab.tracking.wandb_api import Project

        return wandb_programs.curves(Project.parse(source), metric, points)
    folder = Path(source)
    if not reading.is_folder(folder) or not run_folders(folder):
        return {}
    told = ((record.run_id, program_run.curve(record.rows or (), metric, points)) for record in read_runs(folder))
    return {run_id: curve for run_id, curve in told if curve}


def _of_a_sweep(folder: Path) -> list[ProgramRun] | None:
    """The runs in a folder where sweeps of other programs left them; None where any is reglab's: its first one ends the search."""
    there = run_folders(folder)
    if not there or any(record.program is None for record in readable(there)):
        return None
    return [program_run.of_record(record) for record in read_runs(folder, history=False)]


def turns_of(sources: Sequence[str]) -> list[Turns]:
    """What arms took in turns, of folders of runs or of reports, each once; none of projects and tables. Raises UserError for a damaged
    file."""
    folders = [Path(source) for source in sources if source and "://" not in source and not source.endswith(csv_file.SUFFIX)]
    return list({each.key: each for folder in folders for each in turns.read(folder)}.values())


def bring_turns(folder: Path, source: str) -> None:
    """Put what arms took in turns where runs are taken from beside what there is in a folder."""
    if (took := turns_of([str(folder), source])) != turns.read(folder):
        turns.write(folder, took)


def fetch(source: str, history: bool = True, progress: Callable[[int, int], None] | None = None) -> list[RunRecord]:
    """The records of `runs/<sweep>`, `runs/<study>`, `reports/<name>` or `wandb://entity/project[/sweep]`, oldest first.

    With their epochs or without; a report has those that it was built from. `progress` is told how many runs are here, of how many.
    Raises UserError where there are none, and no turns.
    """
    if source.startswith("wandb://"):
        return _from_wandb(source, history, progress)
    folder = Path(source)
    if not source or not reading.is_folder(folder):
        raise UserError(f"--from {source}: no such folder; `reglab sweep run` makes runs/<sweep>/")
    if (folder / ARCHIVE).exists():
        return read_archive(folder / ARCHIVE, history)
    return [] if not run_folders(folder) and turns.read(folder) else read_runs(folder, history)


def _from_wandb(source: str, history: bool, progress: Callable[[int, int], None] | None) -> list[RunRecord]:
    from reglab.tracking.wandb_api import Project
    from reglab.tracking.wandb_project import records  # half a second: not for folders

    found = sorted(records(Project.parse(source), history, progress), key=lambda record: record.created)
    if not found:
        raise UserError(f"--from {source} holds no run of reglab's")
    return found
