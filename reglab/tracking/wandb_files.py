"""What a program logged with W&B's client, read from the file that the client keeps of each run, offline and online.

`run-<id>.wandb` is a log as LevelDB has it: blocks of 32 KiB, in them pieces with a checksum, of which one or several make a record; a
record is a message of W&B's own protocol (`wandb_library.message`), and what it tells is JSON. So a file is read as data: nothing in it
runs. It may be read while the client writes it: what is not whole yet is read another time.
"""

import glob
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from reglab import reading
from reglab.errors import MachineError, UserError, first_line, shown
from reglab.tracking.results import LARGEST, LONGEST_NAME, LONGEST_TEXT, Logged
from reglab.tracking.wandb_library import message

_HEADER = b":W&B\xe1\xbe\x00"
"""Of the one version of the format that there is."""

_BLOCK = 2**15
_PIECE = struct.Struct("<IHB")
"""Checksum, bytes, kind."""

_WHOLE, _FIRST, _MIDDLE, _LAST = range(1, 5)

_MOST_BYTES = 10**10
_MOST_RECORD_BYTES = 2**26
_DEEPEST = 10
_MOST_NAMES = 2000
_MOST_CHARACTERS = 300_000
"""Of all texts of a row, and of a configuration: what a record can hold."""


def found(run_id: str, folders: Iterable[Path]) -> list[Path]:
    """The files that W&B's client keeps of a run in these folders, each a WANDB_DIR; the oldest first.

    A run that was begun more than once has one of each time.
    """
    name = glob.escape(f"run-{run_id}.wandb")
    there = {path.resolve() for folder in folders for path in (folder / "wandb").glob(f"*run-*/{name}")}
    return sorted(there, key=lambda path: path.parent.name.removeprefix("offline-"))


class RunFile:
    """One such file. What it has told so far: the run's `config` and its `summary`; `read` gives its history, which may be long.

    The names of metrics are W&B's own, one in another behind a dot; what is neither a number nor a text (an image, a table) is left out.
    """

    def __init__(self, path: Path):
        self.path = path
        self.has_ended = False
        """Whether the client has written all of the run: its last word is there."""
        self._config: dict[str, Any] = {}
        self._summary: dict[str, Any] = {}
        self._at = 0
        self._begun = b""  # of a record whose last piece is not there yet
        self._ends_within = False

    @property
    def cut(self) -> str | None:
        """What is missing where the file, as it was last read, ends within a record: it grows yet, was cut, or is damaged there."""
        said = f"ends within a record at byte {self._at}: what was logged from there on cannot be read"
        return f"{shown(self.path)} {said}" if self._ends_within else None

    @property
    def summary(self) -> Logged:
        """The last value of each metric, by its name, as the client has told so far."""
        return metrics(self._summary)

    @property
    def config(self) -> dict[str, Any]:
        """What the program had set; nothing where that is more than a record can hold."""
        return self._config if len(json.dumps(self._config)) <= _MOST_CHARACTERS else {}

    def read(self) -> Iterator[Logged]:
        """Take in what was written since the last time, and give each row that comes; nothing where the file was removed.

        Raises UserError for a file that is none of W&B's, is damaged, or cannot be read now, behind the rows before. Another look begins
        there: damage is met again, and no row behind it is given.
        """
        self._ends_within = False
        try:
            with reading.opened(self.path, _MOST_BYTES, "remove it") as stream:
                for content in self._contents(stream):
                    try:
                        row = self._take(message(content))
                    except (ValueError, TypeError) as error:
                        raise self._odd(f"a record that is none: {first_line(error)}") from None
                    if row is not None:
                        yield row
        except FileNotFoundError:
            return
        except (OSError, MachineError) as error:
            of_disk = error if isinstance(error, OSError) else error.__context__
            why = getattr(of_disk, "strerror", None) or first_line(error)
            said = f"what it holds from byte {self._at} on is missing: look after its disk, and run this again"
            raise UserError(f"{shown(self.path)} cannot be read ({why}): {said}") from None

    def _contents(self, stream: BinaryIO) -> Iterator[bytes]:
        """The records that are whole, from where the last look ended."""
        stream.seek(self._at)
        if self._at == 0:
            header = stream.read(len(_HEADER))
            if len(header) < len(_HEADER):
                self._ends_within = bool(header)
                return
            if header != _HEADER:
                raise self._odd("another beginning")
            self._at = len(_HEADER)
        while True:
            left = _BLOCK - self._at % _BLOCK
            if left < _PIECE.size:  # too few for another piece
                self._at += left
                stream.seek(self._at)
                left = _BLOCK
            head = stream.read(_PIECE.size)
            if len(head) < _PIECE.size:
                self._ends_within = bool(head or self._begun)
                return
            checksum, size, kind = _PIECE.unpack(head)
            content = stream.read(size)
            if len(content) < size <= left - _PIECE.size:  # no piece goes on in another block
                self._ends_within = True
                return
            if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or zlib.crc32(bytes([kind]) + content) != checksum:
                raise self._odd(f"no whole record at byte {self._at}")
            begun = content if kind in (_WHOLE, _FIRST) else self._begun + content
            if len(begun) > _MOST_RECORD_BYTES:
                raise self._odd("a record that is larger than any")
            if is_whole := kind in (_WHOLE, _LAST):
                yield begun
            self._at += _PIECE.size + size
            self._begun = b"" if is_whole else begun

    def _take(self, record: Any) -> Logged | None:
        """Take in a record; returns the row that it is, if it is one."""
        kind = record.WhichOneof("record_type")
        if kind == "run":
            _change(self._config, record.run.config)
        elif kind == "config":
            _change(self._config, record.config)
        elif kind == "summary":
            _change(self._summary, record.summary)
        elif kind == "exit":
            self.has_ended = True
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                _set(row, _names(item), _value(item.value_json))
            return metrics(row)
        return None

    def _odd(self, what: str) -> UserError:
        return UserError(f"{shown(self.path)} is no file of W&B's client, or a damaged one, with {what}: what it holds cannot be read")


def _change(values: dict[str, Any], change: Any) -> None:
    """Lay over nested values what a message changes of them."""
    for item in change.update:
        _set(values, _names(item), _value(item.value_json))
    for item in change.remove:
        *groups, name = _names(item)
        inside: Any = values
        for group in groups:
            inside = inside.get(group) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside.pop(name, None)
    values.pop("_wandb", None)  # the client's own


def _names(item: Any) -> list[str]:
    return list(item.nested_key) or [item.key]


def _set(values: dict[str, Any], names: Sequence[str], value: Any) -> None:
    if len(names) > _DEEPEST:
        return
    for group in names[:-1]:
        if not isinstance(values.get(group), dict):
            values[group] = {}
        values = values[group]
    values[names[-1]] = value


def _value(text: str) -> Any:
    return reading.parsed(text, numbers_only=False)


def metrics(values: Mapping[str, Any]) -> Logged:
    """Of what a program logged the numbers and texts, under one name each, `group.name`; where texts are too many, the numbers."""
    found = dict(islice(_leaves(values, "", 0), _MOST_NAMES))
    if sum(len(value) for value in found.values() if isinstance(value, str)) > _MOST_CHARACTERS:
        return {name: value for name, value in found.items() if not isinstance(value, str)}
    return found


def _leaves(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, bool | int | float | str | None]]:
    for name, value in values.items():
        path = prefix + name
        if isinstance(value, dict):
            if "_type" not in value and depth < _DEEPEST:
                yield from _leaves(value, f"{path}.", depth + 1)
        elif len(path) <= LONGEST_NAME and (value is None or isinstance(value, bool | int | float | str)):
            yield path, _scalar(value)


def _scalar(value: bool | int | float | str | None) -> bool | int | float | str | None:
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if value is None or isinstance(value, bool):
        return value
    return value if abs(value) <= LARGEST else None  # NaN is not
