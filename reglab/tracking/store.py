"""Run records on disk: `runs/<sweep>/<run id>/`, or `runs/<study>/<sweep>/<run id>/`.

A run's folder holds run.json (config, environment, state, summary) and history.jsonl. run.json is
replaced whole, history.jsonl grows a line an epoch: both can be read at any moment of the run.
"""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from reglab import reading
from reglab.atomic import write_whole
from reglab.errors import UserError
from reglab.tracking import storage
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import SCHEMA_VERSION, Epoch, RunRecord, State

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

MOST_ARCHIVE_BYTES = 10**9
"""Of a report's records, packed."""

MOST_LINE_BYTES = 10**7
"""Of one of them, its epochs included."""

_MOST_UNPACKED = 50
"""Bytes, for each that is packed: records shrink to a tenth, those that repeat each other to a thirtieth."""

RUN_LOCK = ".lock"
"""Held by the process that trains the run."""


class LocalRun:
    """The folder of one run; a `Sink`."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def checkpoint(self) -> storage.File:
        return storage.checkpoint(self.folder)

    @property
    def weights(self) -> storage.File:
        return storage.weights(self.folder)

    def started(self, record: RunRecord) -> None:
        write_run(self.folder, record)

    def epoch(self, row: Epoch) -> None:
        with (self.folder / HISTORY).open("a", encoding="utf-8") as stream:
            stream.write(_line(row))

    def preempting(self) -> None:
        """Nothing: the record says so when the checkpoint is there."""

    def ended(self, record: RunRecord) -> None:
        write_record(self.folder, record)


def _line(row: Epoch) -> str:
    return row.model_dump_json(by_alias=True, exclude_none=True) + "\n"  # NaN and infinity as null


def write_run(folder: Path, record: RunRecord) -> None:
    """Replace the record in `folder` and its history."""
    lines = "".join(_line(row) for row in record.history)
    write_whole(folder / HISTORY, lambda stream: stream.write(lines.encode()))
    write_record(folder, record)


def write_record(folder: Path, record: RunRecord) -> None:
    """Replace the record in `folder`, all but its history."""
    text = record.model_dump_json(by_alias=True, exclude={"history"}, exclude_none=True, indent=1)
    write_whole(folder / RECORD, lambda stream: stream.write(text.encode()))


def read_run(folder: Path, history: bool = True) -> RunRecord | None:
    """The run in `folder`, or None where none has begun. Raises UserError for a damaged record or one from a later version."""
    path, mend = folder / RECORD, f"remove the folder {folder} to run it again"
    try:
        stored = reading.parsed(reading.whole(path, MOST_BYTES, mend))
        if stored.get("schema_version", 0) > SCHEMA_VERSION:
            raise UserError(f"{path} was written by a later reglab (schema {stored['schema_version']}): update reglab to read it")
        return RunRecord.stored(stored | {"history": _read_history(folder / HISTORY, mend) if history else []})
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, TypeError):  # not JSON, not text, not a record
        raise UserError(f"{path} is damaged: {mend}") from None


def _read_history(path: Path, mend: str) -> list[Epoch]:
    """The whole lines of a history. The last may be cut short by a crash: the run repeats that epoch."""
    rows: list[Epoch] = []
    try:
        with reading.opened(path, MOST_HISTORY_BYTES, mend) as stream:
            for line in reading.lines(stream, _MOST_EPOCH_BYTES, MOST_HISTORY_BYTES):
                text = line.decode()
                try:
                    row = reading.parsed(text)
                except ValueError:
                    break
                rows.append(Epoch.model_validate(row))
    except FileNotFoundError:
        pass
    return rows


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
    """Of the runs that are named after an identity of an earlier version: their names, by identity and seed of now."""
    return {(record.identity, record.seed): record.run_id for record in records if record.has_former_name}


def read_runs(root: Path, history: bool = True) -> list[RunRecord]:
    """The runs in a folder, oldest first; what several sweeps share is there once, as far as it came in any of them.

    Raises UserError where there is none, and where one run is there twice, on other images each time.
    """
    records = each_once(record for folder in run_folders(root) if (record := read_run(folder, history)))
    if not records:
        raise UserError(f"{root} holds no run: `reglab sweep run FILE` makes some")
    return records


def each_once(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Of each run the record that tells most, oldest first. Raises UserError where one run is there twice, on other images each time."""
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
    """The records in an archive, each of another run; an older one lacks their epochs. Raises UserError for a damaged one.

    So it does for one that unpacks to more than any: a megabyte can be made to unpack to a thousand.
    """
    left_out: dict[str, Any] = {} if history else {"history": []}
    mend, found = "build the report again from its runs", dict[str, RunRecord]()
    try:
        with reading.opened(path, MOST_ARCHIVE_BYTES, mend) as packed, gzip.open(packed) as stream:
            most = _MOST_UNPACKED * os.fstat(packed.fileno()).st_size + MOST_BYTES
            for line in reading.lines(stream, MOST_LINE_BYTES, most):
                record = RunRecord.stored(reading.parsed(line) | left_out)
                if found.setdefault(record.run_id, record) is not record:
                    raise ValueError("a run that is there twice")
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        raise UserError(f"{path} is damaged: {mend}") from None
    return list(found.values())


def mark_crashed(folder: Path) -> None:
    """Correct the record of a run whose process is gone without a word."""
    record = read_run(folder)
    if record and record.state == State.running:
        write_record(folder, record.changed(state=State.crashed))
