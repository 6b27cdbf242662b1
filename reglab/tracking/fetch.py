"""Where run records come from: a sweep's folder on this machine, or a project on W&B's server."""

from collections.abc import Callable
from pathlib import Path

from reglab.errors import UserError
from reglab.tracking.record import RunRecord
from reglab.tracking.store import RECORD, read_sweep


def fetch(source: str, history: bool = True, progress: Callable[[int, int], None] | None = None) -> list[RunRecord]:
    """The records of `runs/<sweep>` or `wandb://entity/project[/sweep]`, oldest first, with their epochs or without.

    `progress` is told how many runs are here, of how many. Raises UserError where there are none.
    """
    if source.startswith("wandb://"):
        return _from_wandb(source, history, progress)
    folder = Path(source)
    if not folder.is_dir():
        raise UserError(f"--from {source}: no such folder; `reglab sweep run` makes runs/<sweep>/")
    if not any(folder.glob(f"*/{RECORD}")) and (inside := sorted(path.parent.parent for path in folder.glob(f"*/*/{RECORD}"))):
        raise UserError(f"--from {source} holds several sweeps: give one, such as {inside[0]}")
    return read_sweep(folder, history)


def _from_wandb(source: str, history: bool, progress: Callable[[int, int], None] | None) -> list[RunRecord]:
    from reglab.tracking.wandb_project import Project, records  # half a second: not for folders

    found = sorted(records(Project.parse(source), history, progress), key=lambda record: record.created)
    if not found:
        raise UserError(f"--from {source} holds no run of reglab's")
    return found
