"""`section.key=value` words: how a person gives keys on a command line, and a sweep in a cell."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from reglab.config.fields import FIELDS, OPTIONS, allowed, current, unknown_key
from reglab.errors import UserError, excerpt
from reglab.section import PLAIN, number, types_of

_log = logging.getLogger(__name__)

_MOST_VALUES = 10_000
"""Of one `KEY=[a,b]`."""


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A nested mapping with `section.key=value` words laid over it, as `parse_overrides` reads them.

    Raises UserError for a word without `=` and for a value given to a whole section.
    """
    return laid_over(values, nested(parse_overrides(overrides)))


def laid_over(values: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with others over them, key by key."""
    merged = dict(values)
    for name, value in upper.items():
        there = merged.get(name)
        merged[name] = laid_over(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return merged


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"dropout.p1": 0.1}` as `{"dropout": {"p1": 0.1}}`."""
    return nested_by_names((path.split("."), value) for path, value in flat.items())


def nested_by_names(values: Iterable[tuple[Sequence[str], Any]]) -> dict[str, Any]:
    """`(("dropout", "p1"), 0.1)` as `{"dropout": {"p1": 0.1}}`."""
    whole: dict[str, Any] = {}
    for (*sections, key), value in values:
        inside = whole
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[key] = value
    return whole


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"dropout": {"p1": 0.1}}` as `{"dropout.p1": 0.1}`; each option is a path, too (`model.options.depth`)."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        section = {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, Mapping) else {name: value}
        for path in section.keys() & OPTIONS:
            if isinstance(options := section[path], Mapping):
                del section[path]
                section |= {f"{path}.{key}": entry for key, entry in options.items()}
        out |= section
    return out


def parse_overrides(words: Iterable[str], are_kept: bool = False) -> dict[str, Any]:
    """`section.key=value` words as a mapping of key paths to values; `section.key=[a, b]` gives a list. The key's type decides.

    A text key takes the very text, a number key decimal or scientific notation; `null` unsets a key that may be unset. A text
    in quotes is what stands between them: that is how one begins with `[`, or is called null.
    Words that `are_kept` were written before: nothing is said of keys that have moved since.
    Raises UserError for an unknown key, and for what the key's type cannot be.
    """
    values = {}
    for word in words:
        path, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"'{excerpt(word)}' is not key=value; for example train.epochs=10")
        if path not in FIELDS and current(path) == path:
            raise UserError(unknown_key(path))
        path = current(path) if are_kept else _todays(path)
        if path in OPTIONS:
            raise UserError(f"{path} is a mapping, not a value: set {path}.NAME=VALUE, an option each")
        values[path] = _listed(path, text) if text.lstrip().startswith("[") else _read(path, text)
    return values


@cache
def _todays(path: str) -> str:
    """The path of a key today, and once a line that says so where it is another."""
    if (now := current(path)) != path:
        _log.warning("%s is called %s now; the former name goes on being read", path, now)
    return now


def _listed(path: str, text: str) -> list[Any]:
    """The values of `[a, "b, c"]`, a flow sequence of YAML. Raises UserError for anything else that begins with a bracket."""
    if (items := _scalars(text)) is None:
        raise UserError(f"{path}={excerpt(text)}: neither a list such as [a, b], over which a sweep searches, nor a text in quotes")
    if len(items) > _MOST_VALUES:
        raise UserError(f"{path}=[…]: a list of more than {_MOST_VALUES:,} values; give fewer")
    return [_value(path, item.value, quoted=item.style is not None) for item in items]


def _read(path: str, text: str) -> Any:
    """What `text` is to the key at `path`, its quotes removed if it stands in some."""
    if text[:1] in ("'", '"') and (quoted := _scalars(text)):  # else such as 'a' and 'b'
        return _value(path, quoted[0].value, quoted=True)
    return _value(path, text)


def _value(path: str, text: str, quoted: bool = False) -> Any:
    """The text as the key's type has it; what it cannot be is left to the model, but for what that would take for another."""
    options, optional = types_of(FIELDS[path].annotation)
    bare = text.strip()
    if optional and bare == "null" and not quoted:
        return None
    if not bare and not quoted:
        raise UserError(f"{path}= has no value: it must be {allowed(path)}")
    if FIELDS[path].annotation is PLAIN:
        return text if quoted else _plain(bare)
    if options == [str]:
        return text
    if options[0] in (int, float):
        if (found := number(bare)) is None:
            raise UserError(f"{path} = {excerpt(text)}: must be {allowed(path)}")
        return found
    return _yes_or_no(bare) if bool in options else bare


def _yes_or_no(bare: str) -> bool | str:
    """What it says; itself where it is neither."""
    try:
        return TypeAdapter(bool).validate_python(bare)
    except ValidationError:
        return bare


def _plain(bare: str) -> Any:
    """A number or yes and no where it is written as one, else the text."""
    found = {"true": True, "false": False}.get(bare.lower(), number(bare))
    return bare if found is None else found


def _scalars(text: str) -> list[yaml.ScalarEvent] | None:
    """The scalars of YAML's `[a, "b, c"]`, one more than are allowed where they are too many; or the single one of a text in quotes.

    None for all else, such as what nests, or names values by anchors and tags. It stops at the first event that does not fit: the parser
    takes minutes, and more levels than Python has, for ten thousand brackets.
    """
    found: list[yaml.ScalarEvent] = []
    begun = False
    try:
        for event in yaml.parse(text, yaml.BaseLoader):
            if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
                found.append(event)
                if not begun or len(found) > _MOST_VALUES:
                    return found if begun or _end(event) == len(text) else None
            elif isinstance(event, yaml.SequenceStartEvent) and not begun and event.anchor is None and event.tag is None:
                begun = True
            elif isinstance(event, yaml.SequenceEndEvent):
                return found if _end(event) == len(text.rstrip()) else None
            elif not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                return None
    except (yaml.YAMLError, ValueError, OverflowError):  # the latter two of an escape beyond the last character
        pass
    return None


def _end(event: yaml.Event) -> int | None:
    return event.end_mark.index if event.end_mark else None
