"""What was read of a project on W&B's server, kept on this machine: a database a project."""

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reglab import reading
from reglab.errors import in_one_line
from reglab.settings import settings
from reglab.tracking.record import RunRecord
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_library import wandb

_log = logging.getLogger(__name__)

_CACHE_FORMAT = 2
_MOST_CACHE_BYTES = 10**11
_TABLE = "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, state TEXT, heartbeat TEXT, record TEXT, history TEXT)"


def opened(project: Project) -> sqlite3.Connection:
    """What was read of a project, in a database of its own."""
    server = wandb.setup().settings.base_url
    name = quote(f"{server}/{project.entity}/{project.name}", safe="")
    path = settings().cache / "wandb" / f"{name}-v{_CACHE_FORMAT}.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            reading.opened(path, _MOST_CACHE_BYTES, "remove it").close()
        return _database(path)
    except (OSError, sqlite3.Error) as error:  # a disk that is full or read-only, or a damaged database
        _log.warning("what W&B sends is not kept in %s (%s)", path, in_one_line(error))
        return _database(":memory:")


def _database(path: Path | str) -> sqlite3.Connection:
    cache = sqlite3.connect(path)
    cache.execute("PRAGMA temp_store = MEMORY")
    cache.execute(_TABLE)
    with cache:
        cache.execute("DELETE FROM runs WHERE name IS NULL")  # whether it can be written is known now
    return cache


Row = tuple[str, str, str, str | None, str | None]
"""What is kept of a run: its name, its state and heartbeat there, its record and its history."""


def row(node: dict[str, Any], record: RunRecord | None) -> Row:
    """What is kept of what was read of a run; that it is none of reglab's, too."""
    head = record.model_dump_json(by_alias=True, exclude={"history", "log"}, exclude_none=True) if record else None
    epochs = json.dumps([row.metrics() for row in record.history]) if record else None
    return (node["name"], node["state"], node["heartbeatAt"], head, epochs)


def keep(cache: sqlite3.Connection, read: Sequence[Row], gone: Sequence[str] = ()) -> None:
    """Keep what was read of some runs, and forget those of the names `gone`. The database is locked for as long as that takes and no
    longer. Where it cannot be written, all of it is in memory from then on, and that is said.
    """
    try:
        _write(cache, read, gone)
    except sqlite3.Error as error:  # another process holds it, or the disk is full
        _log.warning("what W&B sends is not kept in the cache from here on (%s)", in_one_line(error))
        with cache:
            cache.execute(_TABLE.replace("TABLE", "TEMP TABLE", 1))  # which stands for the other of that name
            cache.execute("INSERT INTO temp.runs SELECT * FROM main.runs")
        _write(cache, read, gone)


def _write(cache: sqlite3.Connection, read: Sequence[Row], gone: Sequence[str]) -> None:
    with cache:
        cache.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", read)
        cache.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in gone])
