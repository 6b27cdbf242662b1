"""What ran offline, or lost its server on the way, goes up later: each run of the local store once, in the group of its sweep."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reglab.errors import UserError
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import each_once, read_run, run_folders
from reglab.tracking.wandb_project import Kept, Project, kept
from reglab.tracking.wandb_run import DeletedError, WandbRun


@dataclass(frozen=True)
class Outcome:
    """What a sync came to. `failed`: what the server still lacks, with what its client said where it said something."""

    sent: int
    there: int
    going_on: int
    failed: tuple[tuple[RunRecord, str | None], ...]
    deleted: tuple[RunRecord, ...] = ()


def sync(records: Sequence[RunRecord], project: Project, progress: Callable[[int, int], None], as_new: bool = False) -> Outcome:
    """Send what the server lacks of these runs; runs that go on, here or there, are left alone. Raises ReglabError without an answer.

    What was deleted there stays here, or goes up under a new name where `as_new`.
    """
    there = kept(project)
    ended = [record for record in records if record.state not in (State.pending, State.running)]
    going_on = len(records) - len(ended) + sum(_goes_on(record, there) for record in ended)
    lacking = [record for record in ended if not _is_whole(record, there) and not _goes_on(record, there)]
    said: dict[str, str] = {}
    deleted: dict[str, RunRecord] = {}
    for number, record in enumerate(lacking, start=1):
        try:
            _replay(record, _at_the_server(record, there)[0], project, as_new)
        except DeletedError:
            deleted[record.run_id] = record
        except Exception as error:  # W&B does not take it; the others go on
            said[record.run_id] = " ".join(str(error).split())
        progress(number, len(lacking))
    after = kept(project) if lacking else there
    failed = tuple((record, said.get(record.run_id)) for record in lacking if record.run_id not in deleted and not _is_whole(record, after))
    sent = len(lacking) - len(failed) - len(deleted)
    return Outcome(sent, len(records) - going_on - len(lacking), going_on, failed, tuple(deleted.values()))


def _at_the_server(record: RunRecord, there: dict[str, Kept]) -> tuple[str, Kept | None]:
    """The run's name there, the latest that `--as-new` gave it, and what the server has under it."""
    prefix = f"{record.run_id}-"
    numbers = [int(name.removeprefix(prefix)) for name in there if name.startswith(prefix) and name.removeprefix(prefix).isdecimal()]
    name = f"{prefix}{max(numbers)}" if numbers else record.run_id
    return name, there.get(name)


def _goes_on(record: RunRecord, there: dict[str, Kept]) -> bool:
    _, known = _at_the_server(record, there)
    return known is not None and known.goes_on


def _is_whole(record: RunRecord, there: dict[str, Kept]) -> bool:
    """Whether the server has its end, or that of a later try on another machine, with all its epochs."""
    _, known = _at_the_server(record, there)
    if known is None or known.updated is None:
        return False
    if known.state == "finished" and not record.state.ended:
        return True
    return known.updated >= record.updated and known.epochs >= len(record.history)


def _replay(record: RunRecord, name: str, project: Project, as_new: bool) -> None:
    destination = (project.entity, project.name)
    with tempfile.TemporaryDirectory(prefix="reglab-") as scratch:
        try:
            WandbRun(Path(scratch), destination=destination).replay(record.model_copy(update={"run_id": name}))
        except DeletedError:
            if not as_new:
                raise
            WandbRun(Path(scratch), destination=destination, as_new=True).replay(record)


@dataclass
class Found:
    """The runs of some folders, each once; `damaged` says what is wrong with those that cannot be read."""

    records: list[RunRecord] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def read(roots: Iterable[Path]) -> Found:
    """The runs in these folders, oldest first. Raises UserError for a folder without any, and as `each_once`."""
    records: list[RunRecord] = []
    found = Found()
    for root in roots:
        folders = run_folders(root)
        if not folders:
            raise UserError(f"{root} holds no run: `reglab sweep run FILE` makes some")
        for folder in folders:
            try:
                if record := read_run(folder):
                    records.append(record)
            except UserError as error:
                found.damaged.append(str(error))
    found.records = each_once(records)
    return found
