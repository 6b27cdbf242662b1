"""Runs in a table of text: what W&B's page, MLflow's or a script of one's own writes as CSV, a row a run.

Columns under which those pages tell of a run itself (`Name`, `State`, `Created`, `Runtime`, …) are read as that; all others are what
the run was given or came to, which a table does not tell apart, but for those of `exports`. Spaces around a name or a cell are no part
of it.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reglab import reading
from reglab.errors import UserError, excerpt
from reglab.tracking import exports
from reglab.tracking.exports import Export
from reglab.tracking.program_run import CLOCK, ProgramRun, Value, by_path, each_alone, results_of, seconds_of
from reglab.tracking.record import settings_of
from reglab.tracking.state import State

SUFFIX = ".csv"

_MOST_BYTES = 5 * 10**8
_LONGEST_LINE = 10**7

_IDS = ("id", "run id")
_NAMES = ("name", "run")
_STATES = ("state", "status")
"""As `_called` has them: scripts write them in any case."""

_STARTS = ("Created", "Start Time")
_SECONDS = ("Runtime", CLOCK)
_ABOUT = frozenset(
    {"Notes", "User", "Tags", "Sweep", "Group", "Job Type", "Hostname", "Updated", "End Time", "Description", "Commit", "GitHub", "Command"}
    | {"Python", "OS", "GPU Type", "GPU Count", "CPU Count", "Source Name", "Source Type", "Source Version", "Experiment", "Duration"}
)
"""Of the run itself, and neither what it was given nor what it came to."""

_EXPORTED = frozenset({"run", "state"})
_ABOUT_EXPORTED = frozenset({"arm", "model", "identity", "reason", "sweep", "url"})
"""Likewise in a table that a report of reglab's has of its runs, which is known by the former."""

_ENDED_AS = {
    **dict.fromkeys(("finished", "completed", "complete", "done", "success", "succeeded", "ok"), State.finished),
    **dict.fromkeys(("crashed", "node fail"), State.crashed),
    **dict.fromkeys(("failed", "fail", "failure", "error", "errored", "aborted", "timeout", "out of memory"), State.failed),
    **dict.fromkeys(("killed", "stopped", "pruned", "cancelled", "canceled", "interrupted"), State.stopped),
    **dict.fromkeys(("running", "preempting"), State.running),
    **dict.fromkeys(("pending", "scheduled", "queued", "waiting"), State.pending),
    "preempted": State.preempted,
    "diverged": State.diverged,
}
"""What pages and schedulers call the state of a run, as `_called` has it."""

_WORDS: Mapping[str, Value] = {
    **dict.fromkeys(("", "na", "n/a", "#n/a", "<na>", "nat", "null", "none"), None),
    **dict.fromkeys(("nan", "-nan", "+nan"), math.nan),
    **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), math.inf),
    **dict.fromkeys(("-inf", "-infinity", "'-infinity"), -math.inf),  # the latter as reports write it, so that no spreadsheet runs it
    "true": True,
    "false": False,
}
"""As Python, pandas, R and JavaScript write them, in any case: what is missing is nothing, what is no number or without end stays that."""

_Cells = Mapping[str, str]
"""Of a row, without the spaces around them, by the names of their columns."""


def read(path: Path) -> list[ProgramRun]:
    """The runs in a table. Raises UserError for what is none, in one line that names the line of the file."""
    rows = _rows(path)
    _, first = next(rows, (1, []))
    header = [name.strip() for name in first]
    _check_header(header, path)
    found = [(number, _cells(number, cells, header, path)) for number, cells in rows]
    columns = _columns(header, found, path)
    return each_alone([columns.run(place, cells, f"{path}:{number}") for place, (number, cells) in enumerate(found, start=1)], path)


@dataclass(frozen=True)
class _Columns:
    """What tells of a run itself. `named`: by what it is called; `states`: what says how it stands, all of them the same; `key`: the
    column whose cells tell all runs apart, where one has an id. How long it took is in `seconds`, or from `starts` to `ends`. `results`
    are those of a table that tells them from settings; of `dictionaries` it has them in two columns."""

    key: str | None
    named: tuple[str, ...]
    states: tuple[str, ...]
    about: frozenset[str]
    results: frozenset[str] = frozenset()
    starts: tuple[str, ...] = _STARTS
    ends: tuple[str, ...] = ()
    seconds: tuple[str, ...] = _SECONDS
    dictionaries: bool = False

    def run(self, place: int, cells: _Cells, where: str) -> ProgramRun:
        """The run in a row, which is the so manieth. Raises UserError, which says `where`, for a cell that is no dictionary."""

        def of(names: Sequence[str]) -> str:
            return next((cells[name] for name in names if cells.get(name)), "")

        starts, ends = reading.moment_in(of(self.starts)), reading.moment_in(of(self.ends))
        if self.dictionaries:
            config, summary, seconds = _told_by_w_and_b(cells, where)
        else:
            config = {name: value(cell) for name, cell in cells.items() if name and name not in self.about | self.results}
            summary = {name: value(cell) for name, cell in cells.items() if name in self.results}
            seconds = (ends - starts).total_seconds() if starts and ends else _finite(value(of(self.seconds)))
        return ProgramRun(
            id=(self.key and cells[self.key]) or f"row {place}",
            name=of(self.named),
            config=config,
            summary=summary,
            about={name: value(cell) for name, cell in cells.items() if name in self.about},
            state=_ENDED_AS[_called(said)] if (said := of(self.states)) else State.finished,
            seconds=seconds,
            created=starts,
        )


def _columns(header: Sequence[str], rows: Sequence[tuple[int, _Cells]], path: Path) -> _Columns:
    """Raises UserError for a column of states of which some words are none, and for two that differ."""
    states = tuple(name for name in header if _called(name) in _STATES and _tells_states(name, rows, path))
    for number, cells in rows:
        if len({_ENDED_AS[_called(cells[name])] for name in states if cells[name]}) > 1:
            raise UserError(f"{path}:{number}: {' and '.join(states)} tell two states of a run: rename or remove one")
    if export := exports.of(header):
        return _exported(export, header, states)
    dictionaries = exports.holds_dictionaries([cells for _, cells in rows])
    named = tuple(sorted((name for name in header if _called(name) in _NAMES), key=lambda name: _NAMES.index(_called(name))))
    ids = [name for name in header if _called(name) in _IDS]
    apart = [name for name in reversed(named) if all(cells[name] for _, cells in rows) and _are_unlike(name, rows)]
    about = {*ids, *named, *states, *_STARTS, *_SECONDS, *_ABOUT, *(_ABOUT_EXPORTED if set(header) >= _EXPORTED else ())}
    if dictionaries:
        about = {*filter(None, header)} - {exports.CONFIG, exports.SUMMARY}
    return _Columns(next(iter((*ids, *apart)), None), named, states, frozenset(about), dictionaries=dictionaries)


def _finite(held: Value) -> float | None:
    return held if isinstance(held, int | float) and math.isfinite(held) else None


def _told_by_w_and_b(cells: _Cells, where: str) -> tuple[dict[str, Value], dict[str, Value], float | None]:
    """What a run was given, what it came to and how long it took, in a table made of W&B's API. Raises UserError as `_Columns.run`."""
    found = []
    for name in (exports.CONFIG, exports.SUMMARY):
        try:
            found.append(exports.dictionary(cells[name]))
        except ValueError:
            raise UserError(
                f"{where}: {name} is {excerpt(cells[name])}, which is no dictionary of plain values: write it as JSON, "
                "or let `--from wandb://ENTITY/PROJECT` read these runs"
            ) from None
    config, summary = found
    try:
        return by_path(settings_of(config)), results_of(summary), seconds_of(summary)
    except ValueError as error:
        raise UserError(f"{where}: {error}: nothing tells which of them it is; leave the run out") from None


def _exported(export: Export, header: Sequence[str], states: tuple[str, ...]) -> _Columns:
    results = frozenset(filter(export.is_result, header))
    about = frozenset(name for name in header if name and not export.is_setting(name)) - results
    return _Columns(export.key, export.named, states, about, results, export.starts, export.ends, export.seconds)


def _called(text: str) -> str:
    """A name or a word as it is looked up: `RUN_ID` is `run id`."""
    return re.sub(r"[\s_-]+", " ", text).casefold()


def _tells_states(name: str, rows: Sequence[tuple[int, _Cells]], path: Path) -> bool:
    """Whether a column says how runs stand: all of its words do. Of other words it is a key as any."""
    known = {cells[name] for _, cells in rows if _called(cells[name]) in _ENDED_AS}
    odd = next(((number, cells[name]) for number, cells in rows if cells[name] and cells[name] not in known), None)
    if known and odd:
        raise UserError(
            f"{path}:{odd[0]}: {name} is {excerpt(odd[1])}, which is no state of a run, and elsewhere {excerpt(min(known))}, which is one: "
            f"rename the column, or write {', '.join(dict.fromkeys(_ENDED_AS.values()))}"
        )
    return bool(known)


def _are_unlike(name: str, rows: Sequence[tuple[int, _Cells]]) -> bool:
    return len({cells[name] for _, cells in rows}) == len(rows)


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


def _cells(number: int, cells: list[str], header: list[str], path: Path) -> _Cells:
    if len(cells) != len(header):
        raise UserError(f"{path}:{number}: {len(cells)} cells under {len(header)} columns: write the table again")
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def value(cell: str) -> Value:
    """What a cell holds: a number, however it is written, a truth, nothing, or its text."""
    text = cell.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    number = reading.number_in(text)
    return text if number is None else number
