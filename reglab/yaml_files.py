"""YAML files that people write: read whole, with the line of every value, or refused in one line that says where and why.

The one reader of sweep and study files. It reads what W&B's client reads (YAML 1.1, anchors, aliases, merge keys), and refuses
what a person does not mean: a key that is there twice, `010` for 8, a date for a text. It reads a regular file of limited size,
and counts values as they come, those that an alias stands for each time: no file takes more memory or time than its limits allow.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from reglab import reading
from reglab.errors import UserError, excerpt, in_one_line, shown

MOST_BYTES = 8_000_000
MOST_VALUES = 100_000
DEEPEST = 32

_STANDARD = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(0|[1-9]\d*)?(\.\d*)?(e[-+]?\d+)?|[-+]?\.(inf|nan)", re.IGNORECASE)


@dataclass(frozen=True)
class Value:
    """What stands at one place: a scalar, the values of a list, or those of a mapping by their keys.

    `line` counts from 1; of a mapping's value it is that of its key. `size` counts the values in it, itself included, and `height`
    how deep they are nested.
    """

    line: int
    content: Any
    size: int = 1
    height: int = 1


@dataclass(frozen=True)
class Document:
    """A file that was read. `root` is what it holds."""

    path: Path
    root: Value

    def plain(self, shares: bool = True) -> Any:
        """What it holds, in Python's own types. What an alias repeats is one object, as PyYAML's own loader has it, where it `shares`."""
        return _plain(self.root, {} if shares else None)

    def line(self, place: Sequence[Hashable]) -> int:
        """The line of the value at a place, such as `("parameters", "arm", "values", 0)`; where there is none, of what would hold it."""
        value = self.root
        for key in place:
            inside = dict(enumerate(value.content)) if isinstance(value.content, list) else value.content
            if not isinstance(inside, dict) or key not in inside:
                break
            value = inside[key]
        return value.line

    def error(self, place: Sequence[Hashable], said: str) -> UserError:
        """What to raise where the value at a place is none that can be used."""
        return UserError(f"{self.path}, line {self.line(place)}: {said}")


def read(path: Path) -> Document:
    """The one document in a file. Raises UserError, in a line that names file and line, for whatever cannot be read as it is meant."""
    try:
        text = reading.whole(path, MOST_BYTES, "give a file of text").decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{shown(path)}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)} cannot be read: {error}") from None
    return parsed(text, path)


def parsed(text: str, path: Path) -> Document:
    """The one document in a text, which `path` stands for in errors. Raises UserError as `read` does."""
    try:
        return Document(path, _Reading(text).whole())
    except _FaultError as fault:
        raise UserError(f"{path}, line {fault.line}: {fault}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or in_one_line(error)
        raise UserError(f"{path}{where}: not YAML ({said})") from None


def value_of(text: str, where: str) -> Any:
    """What a text of YAML holds, in Python's own types. Raises UserError, which names it by `where`, as `read` does."""
    try:
        return _plain(_Reading(text).whole(), None)
    except (_FaultError, yaml.YAMLError) as error:
        said = getattr(error, "problem", None) or in_one_line(error)
        raise UserError(f"'{where}': {said}") from None


def _plain(value: Value, made: dict[int, Any] | None) -> Any:
    """`made` holds what has been made of each mapping and list, where they are to be made once."""
    content = value.content
    if made is not None and id(content) in made:
        return made[id(content)]
    if isinstance(content, dict):
        plain: Any = {key: _plain(entry, made) for key, entry in content.items()}
    elif isinstance(content, list):
        plain = [_plain(entry, made) for entry in content]
    else:
        return content
    if made is not None:
        made[id(content)] = plain
    return plain


class _FaultError(Exception):
    def __init__(self, line: int, said: str):
        super().__init__(said)
        self.line = line


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's: its events, and its rules for what a word is. What is built of them is built here."""


class _Reading:
    """One reading of a text. The parser hands over one event at a time, so what is too much is refused before it is there."""

    def __init__(self, text: str):
        self._loader = _Loader(text)
        self._anchors: dict[str, Value | None] = {}  # none while what it names is being read
        self._values = 0

    def whole(self) -> Value:
        try:
            self._next(yaml.StreamStartEvent)
            if self._loader.check_event(yaml.StreamEndEvent):
                return Value(1, None)
            self._next(yaml.DocumentStartEvent)
            root = self._value(1)
            self._next(yaml.DocumentEndEvent)
            if not self._loader.check_event(yaml.StreamEndEvent):
                raise _FaultError(_line(self._loader.peek_event()), "a second document begins: have one in a file")
            return root
        finally:
            self._loader.dispose()

    def _next(self, kind: type[Any] = yaml.Event) -> Any:
        event = self._loader.get_event()
        assert isinstance(event, kind)
        return event

    def _value(self, depth: int) -> Value:
        event = self._next()
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._named(event.anchor, line, depth)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._allow(line, depth, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = Value(line, self._scalar(event))
        else:
            self._has_standard_tag(event)
            children, content = self._mapping(depth) if isinstance(event, yaml.MappingStartEvent) else self._list(depth)
            size, height = sum(child.size for child in children), max((child.height for child in children), default=0)
            value = Value(line, content, 1 + size, 1 + height)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _allow(self, line: int, depth: int, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise _FaultError(line, f"it holds more than {MOST_VALUES:,} values, those that aliases stand for included")
        if depth > DEEPEST:
            raise _FaultError(line, f"values are nested more than {DEEPEST} deep")

    def _named(self, anchor: str | None, line: int, depth: int) -> Value:
        if anchor is None or anchor not in self._anchors:
            raise _FaultError(line, f"*{excerpt(anchor)} stands for nothing: no &{excerpt(anchor)} is above it")
        value = self._anchors[anchor]
        if value is None:
            raise _FaultError(line, f"*{excerpt(anchor)} stands for what it is in itself")
        self._allow(line, depth + value.height - 1, value.size)
        return replace(value, line=line)

    def _list(self, depth: int) -> tuple[list[Value], list[Value]]:
        content = []
        while not self._loader.check_event(yaml.SequenceEndEvent):
            content.append(self._value(depth + 1))
        self._next()
        return content, content

    def _mapping(self, depth: int) -> tuple[list[Value], dict[Any, Value]]:
        own: dict[Any, Value] = {}
        merged: dict[Any, Value] = {}
        has_merged = False
        while not self._loader.check_event(yaml.MappingEndEvent):
            event = self._loader.peek_event()
            line, is_merge = _line(event), self._is_merge(event)
            key = self._next().value if is_merge else self._key(depth + 1)
            if has_merged if is_merge else key in own:
                raise _FaultError(line, f"{excerpt(key)}: is there twice")
            value = replace(self._value(depth + 1), line=line)
            if is_merge:
                has_merged, merged = True, self._merged(value)
            else:
                own[key] = value
        self._next()
        content = merged | own
        return list(content.values()), content

    def _is_merge(self, event: yaml.Event) -> bool:
        return isinstance(event, yaml.ScalarEvent) and self._tag(event) == f"{_STANDARD}merge"

    def _key(self, depth: int) -> Any:
        value = self._value(depth)
        if isinstance(value.content, dict | list):
            raise _FaultError(value.line, f"a key is a {'mapping' if isinstance(value.content, dict) else 'list'}: it must be a word")
        return value.content

    def _merged(self, value: Value) -> dict[Any, Value]:
        """What `<<: *one` or `<<: [*one, *two]` brings; of two values for one key, the first."""
        parts = value.content if isinstance(value.content, list) else [value]
        merged: dict[Any, Value] = {}
        for part in reversed(parts):
            if not isinstance(part.content, dict):
                raise _FaultError(value.line, f"<<: brings the keys of a mapping, and {_shown(part)} is none")
            merged |= part.content
        return merged

    def _tag(self, event: yaml.ScalarEvent) -> str:
        tag = event.tag
        return tag if tag not in (None, "!") else self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)

    def _has_standard_tag(self, event: Any) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", f"{_STANDARD}{kind}"):
            raise _FaultError(_line(event), f"the tag {_tag_shown(event.tag)} has no meaning here: leave it out")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text, tag = event.value, self._tag(event)
        line, kind = _line(event), tag.removeprefix(_STANDARD)
        if kind == "str":
            return text
        if kind == "timestamp" or (kind not in _KINDS and event.implicit[0]):
            meaning = "a date" if kind == "timestamp" else "no text"
            raise _FaultError(line, f"{excerpt(text)} is {meaning} to YAML: write '{excerpt(text)}', in quotes")
        if kind not in _KINDS:
            raise _FaultError(line, f"the tag {_tag_shown(tag)} has no meaning here: leave it out")
        try:
            value = self._loader.yaml_constructors[tag](self._loader, yaml.ScalarNode(tag, text))
        except (ValueError, LookupError, yaml.YAMLError):
            said = f"a number of {len(text):,} characters" if len(text) > 1000 else f"{excerpt(text) or 'nothing'} is not {_KINDS[kind]}"
            raise _FaultError(line, f"{said}: nothing can be read from it") from None
        if kind in ("int", "float") and not _DECIMAL.fullmatch(text):
            said = f"{excerpt(text)} is {excerpt(value)} to YAML: write that, or, for a text, '{excerpt(text)}' in quotes"
            raise _FaultError(line, said)
        return value


_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "null": "null"}


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _shown(value: Value) -> str:
    return "a list" if isinstance(value.content, list) else excerpt(value.content)


def _tag_shown(tag: str) -> str:
    return excerpt(f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag)
