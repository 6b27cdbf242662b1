"""Runs in a table of text: what W&B's page, MLflow's or a script of one's own writes as CSV, a row a run.

Columns under which those pages tell of a run itself (`Name`, `State`, `Created`, `Runtime`, …) are read as that; all others are what
the run was given or came to, which a table does not tell apart.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from reglab import reading
from reglab.errors import UserError, excerpt
from reglab.tracking.program_run import ProgramRun, Value, each_alone
from reglab.tracking.state import State

SUFFIX = ".csv"

_MOST_BYTES = 5 * 10**8
_LONGEST_LINE = 10**7

_IDS = ("ID", "Run ID", "id", "run_id")
_NAMES = ("Name", "name", "run")
_STATES = ("State", "Status")
_STARTS = ("Created", "Start Time")
_SECONDS = ("Runtime",)
_ABOUT = frozenset(
    {"Notes", "User", "Tags", "Sweep", "Group", "Job Type", "Hostname", "Updated", "End Time", "Description", "Commit", "GitHub", "Command"}
    | {"Python", "OS", "GPU Type", "GPU Count", "CPU Count", "Source Name", "Source Type", "Source Version", "Experiment", "Duration"}
)
"""Of the run itself, and neither a setting nor a result."""

_ENDED_AS = {
    "finished": State.finished,
    "completed": State.finished,
    "crashed": State.crashed,
    "failed": State.failed,
    "killed": State.stopped,
    "stopped": State.stopped,
    "running": State.running,
    "preempted": State.preempted,
    "preempting": State.running,
    "pending": State.pending,
    "scheduled": State.pending,
}
"""What pages call the state of a run."""

_TOLD = frozenset({*_IDS, *_NAMES, *_STATES, *_STARTS, *_SECONDS, *_ABOUT})
"""Columns that tell of a run, and are no keys of it."""

_WORDS: Mapping[str, Value] = {"": None, "true": True, "false": False, "nan": math.nan, "infinity": math.inf, "-infinity": -math.inf}


def read(path: Path) -> list[ProgramRun]:
    """The runs in a table. Raises UserError for what is none, in one line that names the line of the file."""
    rows = _rows(path)
    _, header = next(rows, (1, []))
    _check_header(header, path)
    found = [_run(number, dict(zip(header, cells, strict=True)), path) for number, cells in rows if _fits(number, cells, header, path)]
    ids = [run.id for run in found]
    if len(set(ids)) < len(ids) and not any(name in header for name in _IDS):  # names need not be of one run each
        found = [run.model_copy(update={"id": f"row {place}"}) for place, run in enumerate(found, start=1)]
    return each_alone(found, path)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Cells with the line of the file on which their row ends."""
    try:
        with reading.opened(path, _MOST_BYTES, "give a table of runs, a row each") as stream:
            texts = (_text(line, number) for number, line in enumerate(reading.lines(stream, _LONGEST_LINE, _MOST_BYTES), start=1))
            first = next(texts, "")
            separator = max(",;\t", key=first.count)
            reader = csv.reader(_again(first, texts), delimiter=separator, strict=True)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except FileNotFoundError:
        raise UserError(f"--from {path}: no such file") from None
    except (csv.Error, ValueError) as error:  # a quote that never ends, a cell without end, bytes of another encoding
        raise UserError(f"{path} is no table as CSV has it ({error}): write it again, in UTF-8") from None


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _text(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"line {number} is not UTF-8") from None


def _check_header(header: list[str], path: Path) -> None:
    if len(header) < 2:
        raise UserError(
            f"{path} has no header of several columns, so nothing tells settings from results: its first line names the columns"
        )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: two columns are called {excerpt(twice) or 'nothing'}: rename or remove one")


def _fits(number: int, cells: list[str], header: list[str], path: Path) -> bool:
    if len(cells) != len(header):
        raise UserError(f"{path}:{number}: {len(cells)} cells under {len(header)} columns: write the table again")
    return True


def _run(number: int, cells: Mapping[str, str], path: Path) -> ProgramRun:
    def of(names: tuple[str, ...]) -> str:
        return next((cells[name].strip() for name in names if cells.get(name)), "")

    said = of(_STATES)
    if said and said.lower() not in _ENDED_AS:
        raise UserError(
            f"{path}:{number}: State is {excerpt(said)}, which is none of {', '.join(_ENDED_AS)}: rename the column, or mend it"
        )
    seconds = value(of(_SECONDS))
    return ProgramRun(
        id=of(_IDS) or of(_NAMES) or f"row {number - 1}",
        name=of(_NAMES),
        program=str(path),
        config={name: value(cell) for name, cell in cells.items() if name not in _TOLD and name.strip()},
        state=_ENDED_AS[said.lower()] if said else State.finished,
        seconds=seconds if isinstance(seconds, int | float) and math.isfinite(seconds) else None,
        created=_moment(of(_STARTS)),
    )


def value(cell: str) -> Value:
    """What a cell holds: a number, however it is written, a truth, nothing, or its text."""
    text = cell.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    number = reading.number_in(text)
    return text if number is None else number


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
