"""Where run records come from: folders on this machine, a report that was built from them, or a project on W&B's server."""

from collections.abc import Callable
from pathlib import Path

from reglab import reading
from reglab.errors import UserError
from reglab.tracking.record import RunRecord
from reglab.tracking.store import ARCHIVE, read_archive, read_runs


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
