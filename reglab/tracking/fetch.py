"""Where run records come from: a sweep's folder on this machine, or a project on W&B's server."""

from pathlib import Path

from reglab.errors import UserError
from reglab.tracking.record import RunRecord
from reglab.tracking.store import RECORD, read_sweep


def fetch(source: str, history: bool = True) -> list[RunRecord]:
    """The records of a sweep's folder (`runs/final`), oldest first, with their epochs or without. Raises UserError where there are none."""
    folder = Path(source)
    if not folder.is_dir():
        raise UserError(f"--from {source}: no such folder; `reglab sweep run` makes runs/<sweep>/")
    if not any(folder.glob(f"*/{RECORD}")) and (inside := sorted(path.parent.parent for path in folder.glob(f"*/*/{RECORD}"))):
        raise UserError(f"--from {source} holds several sweeps: give one, such as {inside[0]}")
    return read_sweep(folder, history)
