"""Run records on disk: `runs/<sweep>/<run id>/`, or `runs/<study>/<sweep>/<run id>/`.

A run's folder holds run.json (config, environment, state, summary) and history.jsonl. run.json is
replaced whole, history.jsonl grows a line an epoch: both can be read at any moment of the run.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from reglab import atomic, reading
from reglab.atomic import naming, write_whole
from reglab.errors import MachineError, UserError, excerpt, shown
from reglab.tracking import storage
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import SCHEMA_VERSION, RunRecord, State
from reglab.tracking.results import Epoch, Logged, Summary

_log = logging.getLogger(__name__)

RECORD = "run.json"
HISTORY = "history.jsonl"
LOG = "log.txt"
ARCHIVE = "records.jsonl.gz"
"""The records of a report, beside its page."""

MOST_BYTES = 10**6
"""Of a record: most take five thousand."""

MOST_HISTORY_BYTES = 2 * 10**9
"""Of the epochs of a run, six hundred bytes each."""

_MOST_EPOCH_BYTES = 10**4

_MOST_ROW_BYTES = 10**6
"""Of what another program logs at one time: some thousand metrics."""

MOST_ARCHIVE_BYTES = 10**9
"""Of a report's records, packed."""

MOST_LINE_BYTES = 10**7
"""Of one of them, its epochs included."""

_LOG_LINES, _LOG_LINE, _LOG_BYTES = 20, 300, 2**14
"""Of a log that is reported: the last lines, the length of each, and how far back they are looked for."""

RUN_LOCK = ".lock"
"""Held by the process that trains the run."""

_Row = TypeVar("_Row")

_SHOWN = 3
"""Names of runs in a line; the rest is counted."""


class DamagedRecordError(UserError):
    """A record that cannot be read: it is set aside where its run goes on, and left out where it is only read."""


class LocalRun:
    """The folder of one run; a `Sink`."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def checkpoint(self) -> storage.File:
        """The file of its checkpoint, whether it is there or not."""
        return storage.checkpoint(self.folder)

    @property
    def weights(self) -> storage.File:
        """The file of the weights that it keeps, whether it is there or not."""
        return storage.weights(self.folder)

    def started(self, record: RunRecord) -> None:
        """Write the record anew, with the history that it goes on behind; from then on no record tells of weights that an earlier training
        of the run kept, and they go."""
        atomic.sweep(self.folder)
        write_run(self.folder, record)
        if record.again:
            self.weights.remove()

    def epoch(self, row: Epoch) -> None:
        """Append a line to the history."""
        self._append([_line(row)])

    def logged(self, rows: Iterable[Logged]) -> None:
        """What another program has logged since it was last asked. Where the rows end in an error, those before it are kept."""
        self._append(map(_row_line, rows))

    def _append(self, lines: Iterable[str]) -> None:
        path = self.folder / HISTORY
        try:
            with naming(path), path.open("a", encoding="utf-8") as stream:
                stream.writelines(lines)
        except FileNotFoundError:
            raise MachineError(f"{self.folder} was removed while its run trained: the same command begins it again") from None

    def preempting(self) -> None:
        """Nothing: the record says so when the checkpoint is there."""

    def ended(self, record: RunRecord) -> None:
        """Write the record as it is at the end; the history is there already."""
        write_record(self.folder, record)


def _line(row: Epoch) -> str:
    return row.model_dump_json(by_alias=True, exclude_none=True) + "\n"  # NaN and infinity as null


def _row_line(row: Logged) -> str:
    return _ROW.dump_json(row).decode() + "\n"


_ROW: TypeAdapter[Logged] = TypeAdapter(Logged)


def write_run(folder: Path, record: RunRecord) -> None:
    """Replace the record in `folder` and its history."""
    lines = "".join([*map(_line, record.history), *map(_row_line, record.rows or ())])
    write_whole(folder / HISTORY, lambda stream: stream.write(lines.encode()))
    write_record(folder, record)


def write_record(folder: Path, record: RunRecord) -> None:
    """Replace the record in `folder`, all but its history."""
    text = record.model_dump_json(by_alias=True, exclude={"history", "rows", "log"}, exclude_none=True, indent=1)
    write_whole(folder / RECORD, lambda stream: stream.write(text.encode()))


def read_run(folder: Path, history: bool = True) -> RunRecord | None:
    """The run in `folder`, or None where none has begun. With its history, `damage` says what the history lacks of what was logged.

    Raises DamagedRecordError for a damaged record, UserError for one from a later version, MachineError where the disk does not give it.
    """
    path, mend = folder / RECORD, f"remove the folder {folder} to run it again"
    try:
        content = reading.whole(path, MOST_BYTES, mend)
    except FileNotFoundError:
        return None
    except UserError as odd:
        raise DamagedRecordError(str(odd)) from None
    try:
        stored = reading.parsed(content)
        if stored.get("schema_version", 0) > SCHEMA_VERSION:
            raise UserError(f"{path} was written by a later reglab (schema {excerpt(stored['schema_version'])}): update reglab to read it")
        record = RunRecord.stored(stored | {"history": [], "rows": None})
    except (ValueError, AttributeError, TypeError):  # not JSON, not text, not a record
        raise DamagedRecordError(f"{path} is damaged: {mend}") from None
    if not history:
        return record
    if record.program is not None:
        rows, fault = _read_rows(record, folder / HISTORY, mend)
        return record.model_copy(update={"rows": rows, "damage": _damage(record, fault, folder)})
    epochs, fault = _read_history(record, folder / HISTORY, mend)
    return record.model_copy(update={"history": epochs, "damage": _damage(record, fault, folder)})


def version(folder: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes whenever the record in a folder, or its history, does: a run that logs much is read when there is something new."""
    return _version(folder / RECORD), _version(folder / HISTORY)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def _read_history(record: RunRecord, path: Path, mend: str) -> tuple[list[Epoch], str | None]:
    """The epochs of a run, and what is wrong with them where it has a summary; one that goes on repeats those that are lost."""
    rows, _ = _whole_rows(path, Epoch.model_validate, _MOST_EPOCH_BYTES, mend)
    return rows, _fault(rows, record.summary) if record.state.has_results and record.summary else None


def _read_rows(record: RunRecord, path: Path, mend: str) -> tuple[list[Logged], str | None]:
    """What another program logged, and what is wrong with the file: no summary tells how many rows there were."""
    rows, end = _whole_rows(path, _ROW.validate_python, _MOST_ROW_BYTES, mend)
    if end is _End.damage or (end is not _End.whole and record.state.has_results):
        return rows, f"has {len(rows)} whole rows, and what was logged after them is lost"
    return rows, None


class _End(Enum):
    """How a file of rows ends."""

    whole = auto()
    cut = auto()  # within a row, or there is no file: a crash may leave it so
    damage = auto()  # at a line that is no row


def _whole_rows(path: Path, row_of: Callable[[Any], _Row], longest: int, mend: str) -> tuple[list[_Row], _End]:
    """What each line of a file holds, of at most `longest` bytes, up to the first that is no row, and how that is."""
    rows, line = list[_Row](), b"\n"
    try:
        with reading.opened(path, MOST_HISTORY_BYTES, mend) as stream:
            for line in reading.lines(stream, longest, MOST_HISTORY_BYTES):
                rows.append(row_of(reading.parsed(line)))
    except FileNotFoundError:
        return rows, _End.cut
    except ValueError:
        return rows, _End.damage if line.endswith(b"\n") else _End.cut
    return rows, _End.whole


def _damage(record: RunRecord, fault: str | None, folder: Path) -> str | None:
    """What is wrong with the history of a run, what stands, and how to get it back; None where nothing is."""
    if fault is None or record.without_history:
        return None
    if not record.state.has_results:
        return f"{folder / HISTORY} {fault}"
    remedy = "`reglab sweep run … --from wandb://ENTITY/PROJECT` brings it back where W&B has it; else remove the folder to run it again"
    return f"{folder / HISTORY} {fault}; the summary in {RECORD} stands: {remedy}"


def _fault(rows: Sequence[Epoch], summary: Summary) -> str | None:
    """In what a history is not the one that the summary was made of."""
    numbers = [row.epoch for row in rows]
    if numbers != list(range(1, len(rows) + 1)):
        return "has epochs twice or out of order"
    if len(rows) != summary.epochs:
        return f"has {len(rows)} whole rows of {summary.epochs} epochs"
    tested = [row.test_accuracy for row in rows if row.test_accuracy is not None]
    last = [(rows[-1].train_accuracy, summary.train_accuracy)] if rows else []
    last += [(tested[-1], summary.test_accuracy)] if tested else []
    if any(told is not None and told != row for row, told in last):
        return "ends with other accuracies than the run"
    return None


def set_aside(folder: Path) -> RunRecord | None:
    """As `read_run`, but a damaged record is renamed, which is said: the run begins again, or goes on from its checkpoint."""
    try:
        return read_run(folder)
    except DamagedRecordError:
        path = folder / RECORD
        names = (path.with_name(f"{RECORD}.damaged{number}") for number in ("", *(f"-{count}" for count in range(2, 1000))))
        aside = next(name for name in names if not name.exists())
        with suppress(FileNotFoundError):  # another process was first
            path.rename(aside)
            _log.warning("%s was damaged: it is %s now, and the run goes on from its checkpoint, or begins again", path, aside.name)
        return None


def run_folders(root: Path) -> list[Path]:
    """The folders of runs in the folder of a run, a sweep, a study of several sweeps, or of all of them. Empty where there is none."""
    if not reading.is_folder(root):
        return []
    return [path.parent for depth in ("", "*/", "*/*/", "*/*/*/") for path in sorted(root.glob(depth + RECORD))]


def readable(folders: Iterable[Path]) -> Iterator[RunRecord]:
    """The records in these folders, without their epochs; a damaged one is an error where that run is asked for, and left out here."""
    for folder in folders:
        with suppress(UserError):
            if record := read_run(folder, history=False):
                yield record


def former_names(records: Iterable[RunRecord]) -> dict[tuple[str, int], str]:
    """Return the names of the runs that are called by an identity of an earlier version, by identity and seed of now."""
    return {(record.identity, record.seed): record.run_id for record in records if record.has_former_name}


def refuse_other_code(record: RunRecord, folder: Path) -> None:
    """Raises UserError where results in `folder` are of other code than the run that it is called after.

    An earlier version left such runs of code that was edited while their sweep went on. Each is what its record says.
    """
    if record.state.has_results:
        own = f"{record.identity}-s{record.seed}"
        raise UserError(f"{folder} holds a run of other code than its name says, {own}: rename the folder to {own}, or remove it")


def runs_within(root: Path) -> list[RunRecord]:
    """The runs in a folder without their epochs, as `read_runs` has them; none where there is none yet."""
    return read_runs(root, history=False) if run_folders(root) else []


def read_runs(root: Path, history: bool = True) -> list[RunRecord]:
    """The runs in a folder, oldest first; what several sweeps share is there once, as far as it came in any of them.

    What is damaged is said: a record is left out, and a run whose history is no longer whole counts by its summary.
    Raises UserError where there is none, and where one run is there twice, on other images each time.
    """
    found, damaged = list[RunRecord](), list[str]()
    for folder in run_folders(root):
        try:
            if record := read_run(folder):
                is_whole = record.state == State.finished
                found.append(record if is_whole else record.model_copy(update={"log": _end_of_log(folder / LOG)}))
        except DamagedRecordError as error:
            damaged.append(str(error))
    if not found:
        raise UserError(damaged[0] if damaged else f"{root} holds no run: `reglab sweep run FILE` makes some")
    records = each_once(found)
    _say("left out", damaged)
    _say("note", [record.damage for record in records if record.damage])
    return records if history else [record.model_copy(update={"history": [], "rows": None}) for record in records]


def _end_of_log(path: Path) -> list[str] | None:
    """The last lines that a run left in its log; None where there is none, and of a link, which may lead to anything."""
    lines: list[str] = []
    if not path.is_symlink():
        with suppress(FileNotFoundError, UserError), reading.opened(path, MOST_HISTORY_BYTES, "remove it") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _LOG_BYTES))
            lines = log.read(_LOG_BYTES).decode("utf-8", "replace").splitlines()
    return [shown(line)[:_LOG_LINE] for line in lines if line.strip()][-_LOG_LINES:] or None


def _say(what: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        _log.warning("%s: %s", what, line)
    if len(lines) > _SHOWN:
        _log.warning("%s: %d more like these", what, len(lines) - _SHOWN)


def each_once(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Return of each run the record that tells most, oldest first. Raises UserError where one run is there twice, on other images."""
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.run_id, []).append(record)
    best: dict[str, RunRecord] = {}
    for name, group in found.items():
        refuse_mixed(group)
        for record in group:
            if not _tells_more(best.get(name), record):
                best[name] = record
    return sorted(best.values(), key=lambda record: record.created)


def _tells_more(one: RunRecord | None, other: RunRecord) -> bool:
    """Of two records of one run: whether the first is finished and the second is not, or it is the later of two that are alike in that."""
    if one is None:
        return False
    return (one.state == State.finished, one.updated) >= (other.state == State.finished, other.updated)


def write_archive(path: Path, records: Iterable[RunRecord]) -> None:
    """All records in one compressed file, with their epochs: a line a run."""
    lines = "".join(record.model_dump_json(by_alias=True, exclude_none=True) + "\n" for record in records)  # NaN and infinity as null
    write_whole(path, lambda stream: stream.write(gzip.compress(lines.encode(), mtime=0)))


def read_archive(path: Path, history: bool = True) -> list[RunRecord]:
    """The records in an archive, each of another run; an older one lacks their epochs.

    Raises UserError for a damaged one, and for one that unpacks to more than any.
    """
    left_out: dict[str, Any] = {} if history else {"history": [], "rows": None}
    mend, found = "build the report again from its runs", dict[str, RunRecord]()
    try:
        for line in reading.packed_lines(path, MOST_LINE_BYTES, MOST_ARCHIVE_BYTES, mend):
            record = RunRecord.stored(reading.parsed(line) | left_out)
            if found.setdefault(record.run_id, record) is not record:
                raise ValueError("a run that is there twice")
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        raise UserError(f"{path} is damaged: {mend}") from None
    return list(found.values())


def mark_crashed(folder: Path) -> None:
    """Correct the record of a run whose process is gone without a word."""
    record = read_run(folder, history=False)
    if record and record.state == State.running:
        write_record(folder, record.changed(state=State.crashed))
