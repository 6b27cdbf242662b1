"""What ran offline, or lost its server on the way, goes up later: each run of the local store once, in the group of its sweep."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reglab.errors import UserError, in_one_line
from reglab.tracking.images import refuse_other
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import each_once, read_run, run_folders
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_run import DeletedError, WandbRun
from reglab.tracking.wandb_states import ServerRun, kept

_ENDED_WELL = ("finished", "killed")
"""W&B's words for a run with results; it is killed where its page has stopped it."""


@dataclass(frozen=True)
class Synced:
    """What a sync came to. `failed`: what the server still lacks, with what its client said where it said something."""

    sent: int
    there: int
    going_on: int
    failed: tuple[tuple[RunRecord, str | None], ...]
    deleted: tuple[RunRecord, ...] = ()


def sync(records: Sequence[RunRecord], project: Project, progress: Callable[[int, int], None], as_new: bool = False) -> Synced:
    """Send what the server lacks of these runs; runs that go on, here or there, are left alone. Raises ReglabError without an answer.

    What was deleted there stays here, or goes up under a new id where `as_new`; another training than the one that is there under the
    run's id goes up under an id of its own. One on other images than those of the run there is not sent.
    """
    there = kept(project)
    ended = [record for record in records if record.state not in (State.pending, State.running)]
    going_on = len(records) - len(ended) + sum(_goes_on(record, there) for record in ended)
    lacking = [record for record in ended if not _is_whole(record, there) and not _goes_on(record, there)]
    said: dict[str, str] = {}
    deleted: dict[str, RunRecord] = {}
    for number, record in enumerate(lacking, start=1):
        name, _ = _at_the_server(record, there)
        try:
            _refuse_damaged(record)
            _refuse_other_images(record, there)
            _replay(record.model_copy(update={"wandb_id": name}), project, as_new)
        except DeletedError:
            deleted[record.run_id] = record
        except Exception as error:  # W&B does not take it; the others go on
            said[record.run_id] = in_one_line(error)
        progress(number, len(lacking))
    after = kept(project) if lacking else there
    failed = tuple((record, said.get(record.run_id)) for record in lacking if record.run_id not in deleted and not _is_whole(record, after))
    sent = len(lacking) - len(failed) - len(deleted)
    return Synced(sent, len(records) - going_on - len(lacking), going_on, failed, tuple(deleted.values()))


def _at_the_server(record: RunRecord, there: dict[str, ServerRun]) -> tuple[str, ServerRun | None]:
    """What the run is called there, and what the server has under that id.

    It is what has begun when it did, under whatever id of it; else it has the id that its record says, or one of its own where that is
    another training's.
    """
    name = record.wandb_id or record.run_id
    known = there.get(name)
    if known and known.created in (record.created, None):
        return name, known
    other_ids = f"{record.run_id}-"
    if same := [other for other, kept in there.items() if other.startswith(other_ids) and kept.created == record.created]:
        return max(same), there[max(same)]
    if known and record.state.has_results and record.is_named_after_identity:
        return record.id_of_its_own, None
    return name, known


def _refuse_damaged(record: RunRecord) -> None:
    """Raises UserError where epochs of the run are lost here: what W&B lacks of it would be lost there, too, and look whole."""
    if record.damage:
        raise UserError(record.damage)


def _refuse_other_images(record: RunRecord, there: dict[str, ServerRun]) -> None:
    """Raises UserError where W&B has the run with results on other images, and nobody said that this one takes its place."""
    known = there.get(record.run_id)
    if known and known.data_fingerprint and known.state == "finished" and record.environment and not record.again:
        images = record.environment.model_copy(update={"data_fingerprint": known.data_fingerprint})
        refuse_other(record.model_copy(update={"environment": images}), record.environment.data_fingerprint, "W&B")


def _goes_on(record: RunRecord, there: dict[str, ServerRun]) -> bool:
    _, known = _at_the_server(record, there)
    return known is not None and known.goes_on


def _is_whole(record: RunRecord, there: dict[str, ServerRun]) -> bool:
    """Whether the server has its end, or that of a later try on another machine, with all its epochs."""
    _, known = _at_the_server(record, there)
    if known is None or known.updated is None:
        return False
    if known.state == "finished" and not record.state.ended:
        return True
    if record.state.has_results and known.state not in _ENDED_WELL:  # its summary came through, and not its end
        return False
    return known.updated >= record.updated and known.epochs >= len(record.history)


def _replay(record: RunRecord, project: Project, as_new: bool) -> None:
    destination = (project.entity, project.name)
    with tempfile.TemporaryDirectory(prefix="reglab-") as scratch:
        try:
            WandbRun(Path(scratch), destination=destination).replay(record)
        except DeletedError:
            if not as_new:
                raise
            renamed = record.model_copy(update={"wandb_id": record.with_id_of(datetime.now(UTC))})
            WandbRun(Path(scratch), destination=destination).replay(renamed)


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
