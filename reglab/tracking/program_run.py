"""A run of another program: what it was given, and what it says that it came to. None of its keys means anything to reglab by itself."""

import gzip
import hashlib
import json
import math
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from reglab import reading
from reglab.atomic import write_whole
from reglab.errors import UserError, excerpt, shown
from reglab.tracking.record import RunRecord
from reglab.tracking.results import thinned
from reglab.tracking.state import State

ARCHIVE = "program_runs.jsonl.gz"
"""The runs of a report on another program's, beside its page."""

LONGEST = 80
"""Characters of a text value: a longer one is told by its beginning and a hash of the whole."""

_MOST_ARCHIVE_BYTES = 10**9
_MOST_LINE_BYTES = 10**7
_MOST_NESTED = 20
_LARGEST = 2**63
"""From this size a whole number is a text, its digits: no table has a column of such numbers."""

CLOCK = "runtime, s"
"""What the time of a run is called that its program did not tell: the clock of whoever ran it."""

Value = str | int | float | bool | None
"""What a key of a configuration or of a result holds."""

Curve = list[tuple[float, float]]
"""Steps, as they rise, each with a value."""


class ProgramRun(BaseModel):
    """A run of a program that is not reglab's.

    `config` is what it was given and `summary` what it came to, by key paths such as `optimizer.lr`; where its source does not tell
    the two apart, as a table's columns do not, all of it is in `config`. `about` is what a table tells of the run itself, by its columns:
    who ran it and where, what it is called, in which group it is. `curves` has for a metric its steps and values, thinned out.
    `seconds` is how long it took by the clock of whoever ran it. `program` is the command, file or address that it comes from.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    name: str = ""
    program: str = ""
    config: dict[str, Value] = {}
    summary: dict[str, Value] = {}
    about: dict[str, Value] = {}
    curves: dict[str, Curve] = {}
    state: State = State.finished
    reason: str | None = None
    seconds: float | None = None
    created: datetime | None = None
    url: str | None = None

    @field_validator("id", "name", "program", "reason", mode="after")
    @classmethod
    def _in_a_line(cls, text: str | None) -> str | None:
        return None if text is None else str(plain(text))

    @field_validator("config", "summary", "about", mode="before")
    @classmethod
    def _by_paths(cls, values: Any) -> Any:
        return by_path(values) if isinstance(values, Mapping) else values

    @property
    def digest(self) -> str:
        """Of all that the run says but for its curves: another one where any of it has changed."""
        unsaid = {"curves"} if self.about else {"curves", "about"}
        return hashlib.sha256(self.model_dump_json(exclude=unsaid).encode()).hexdigest()[:12]


def of_record(record: RunRecord) -> ProgramRun:
    """A run of another program that a sweep of reglab's started. Raises UserError where two of its keys have one path."""
    try:
        config = by_path(record.config)
    except ValueError as error:
        raise UserError(f"run {record.run_id}: {error}: nothing tells which of them it is; leave the run out") from None
    return ProgramRun(
        id=record.run_id,
        name=record.label,
        program=record.program or "",
        config=config,
        summary=results_of(record.logged or {}),
        state=record.state,
        reason=record.reason,
        seconds=seconds_of(record.logged or {}),
        created=record.created,
        url=record.url,
    )


def results_of(summary: Mapping[str, Any]) -> dict[str, Value]:
    """What a run came to, of all that W&B has as its summary. Raises ValueError as `by_path`."""
    return {key: value for key, value in by_path(summary).items() if not key.startswith("_")}


def seconds_of(summary: Mapping[str, Any]) -> float | None:
    """How long a run took by the clock of W&B's client, given its summary."""
    own = own if isinstance(own := summary.get("_wandb"), dict) else {}
    told = (summary.get("_runtime"), own.get("runtime"))
    return next((value for value in told if isinstance(value, int | float) and _is_finite(value)), None)


def curve(rows: Iterable[Mapping[str, Any]], metric: str, points: int) -> Curve:
    """What a program logged of a metric, by its steps, of many rows so many."""
    there = [(float(row["_step"]), float(row[metric])) for row in rows if all(_is_finite(row.get(key)) for key in ("_step", metric))]
    return [there[place] for place in thinned(len(there), points)]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max  # which NaN is not


def by_path(values: Mapping[str, Any]) -> dict[str, Value]:
    """What nested mappings hold, each value by its key path. Raises ValueError where two keys have one path and say two things."""
    found: dict[str, Value] = {}
    for path, value in by_paths(values):
        if path in found and repr(found[path]) != repr(value):
            raise ValueError(f"two keys have the path {path}, and say {excerpt(found[path])} and {excerpt(value)}")
        found[path] = value
    return found


def by_paths(values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Value]]:
    """What nested mappings hold, by key paths; what W&B keeps in files, tables and pictures, is none of it."""
    for key, value in values.items():
        path = f"{prefix}{plain(str(key))}"
        if isinstance(value, Mapping) and value and "_type" not in value and depth < _MOST_NESTED:
            yield from by_paths(value, f"{path}.", depth + 1)
        elif not (isinstance(value, Mapping) and "_type" in value):
            yield path, plain(value)


def plain(value: Any) -> Value:
    """A value as runs are compared by it: a text in one line and not without end, a number that is a number."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and (abs(value) < _LARGEST or isinstance(value, float)):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    text = value if isinstance(value, str) else _in_json(value)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 15]}… #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return shown(text)


def _in_json(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    except (ValueError, RecursionError, TypeError):
        return f"a {type(value).__name__} too large to be shown"


def write_archive(path: Path, runs: Iterable[ProgramRun]) -> None:
    """All runs in one compressed file, a line each."""
    lines = "".join(run.model_dump_json(exclude_defaults=True) + "\n" for run in runs)
    write_whole(path, lambda stream: stream.write(gzip.compress(lines.encode(), mtime=0)))


def read_archive(path: Path) -> list[ProgramRun]:
    """The runs in an archive. Raises UserError for a damaged one, and for one that unpacks to more than any."""
    mend = "build the report again from its runs"
    try:
        lines = reading.packed_lines(path, _MOST_LINE_BYTES, _MOST_ARCHIVE_BYTES, mend)
        found = [ProgramRun.model_validate(reading.parsed(line)) for line in lines]
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        raise UserError(f"{path} is damaged: {mend}") from None
    return each_alone(found, path)


def each_alone(runs: Sequence[ProgramRun], where: object) -> list[ProgramRun]:
    """Return the same runs. Raises UserError where there is none, or two have one id."""
    if not runs:
        raise UserError(f"{where} holds no run")
    seen = set[str]()
    for run in runs:
        if run.id in seen:
            raise UserError(f"{where}: two runs have the id {run.id}: leave one of them out (a run is one row: its last)")
        seen.add(run.id)
    return list(runs)
