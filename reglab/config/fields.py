"""Every key of a configuration by its path, what it accepts in words, and one line for what it does not."""

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from reglab.config.arms import ARMS
from reglab.config.sections import BRIGHTEST, SECTIONS, Presets
from reglab.errors import excerpt
from reglab.foreign import FORM
from reglab.section import MOST, PLAIN, SPEED_ONLY, Functions, OneOf, Options, keys, types_of
from reglab.techniques import FORMERLY


class _Fields(dict[str, FieldInfo]):
    """Definitions by path; each name below a mapping of options is there, too, and none that is gone through."""

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (isinstance(path, str) and path.rpartition(".")[0] in OPTIONS and path[-1] != ".")

    def __missing__(self, path: str) -> FieldInfo:
        if path in self:
            return FieldInfo(annotation=PLAIN, default=None)
        raise KeyError(path)


FIELDS = _Fields(dict(keys(Presets)) | {path: field for name, section in SECTIONS.items() for path, field in keys(section, f"{name}.")})
"""Every key path of a configuration (`dropout.p1`), with its definition; any below a mapping of options (`model.options.depth`)."""

OPTIONS = frozenset(path for path, field in FIELDS.items() if field.annotation is Options)
"""Keys that are a mapping of names to plain values."""

SPEED_KEYS = frozenset(path for path, field in FIELDS.items() if SPEED_ONLY in field.metadata)
"""Keys that change how fast a run goes, and nothing else."""

_NOW = {former: path for path, former in FORMERLY.items()}

_LONGEST_GUESSED = 100
"""Characters of a word for which a near one is looked for."""

_NOT_NAMED = (MOST, BRIGHTEST, -BRIGHTEST)
"""Limits that nobody meets but by mistake: named to whoever did."""

_UNKNOWN = ("extra_forbidden", "invalid_key")


def current(path: str) -> str:
    """The path of a key today, given that or one that it had before."""
    return _NOW.get(path, path)


def allowed(path: str) -> str:
    """What a key accepts, in words: its type, its range or its choices."""
    field = FIELDS[path]
    if path in OPTIONS:
        return "a mapping of names to texts, numbers, true, false or null"
    if any(isinstance(mark, Functions) for mark in field.metadata):
        return f"text, {FORM} once or more with commas between, or null"
    if path == "arm":
        return "one of " + ", ".join(ARMS)
    options, optional = types_of(field.annotation)
    if field.annotation is PLAIN:
        return "text, a number, true, false or null"
    choices = choices_of(path)
    if bool in options:
        choices += ["true", "false"]
    if any(isinstance(mark, OneOf) for mark in field.metadata):
        choices += [f"or {FORM}"]
    if choices:
        text = "one of " + ", ".join(choices)
    else:
        text = {int: "a whole number", float: "a number", str: "text"}[options[0]]
        words = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}
        bounds = [
            f"{word} {limit:g}"
            for kind, (word, name) in words.items()
            for bound in field.metadata
            if type(bound) is kind and (limit := getattr(bound, name)) not in _NOT_NAMED
        ]
        text = " ".join([text, " and ".join(bounds)]).strip()
    return text + (" or null" if optional else "")


def choices_of(path: str) -> list[str]:
    """The words among which a key chooses; none of one that takes others."""
    field = FIELDS[path]
    literal = [str(choice) for option in types_of(field.annotation)[0] for choice in typing.get_args(option)]
    return literal + [word for mark in field.metadata if isinstance(mark, OneOf) for word in mark.words]


def unknown_key(path: str) -> str:
    """One line for a key path that does not exist, with the nearest that does."""
    sections = SECTIONS.keys()
    if path in sections:
        keys = [key for key in FIELDS if key.startswith(path + ".")]
        return f"{path} is a section, not a key: set {', '.join(keys)}"
    known = FIELDS if "." in path else [*sections, *FIELDS]
    return f"unknown key {excerpt(path)}{nearest(path, known) or ': `reglab train --print-config` lists the keys'}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no known word is near. A bare last part (`lr`) counts as near, and what it is short for."""
    if len(word) > _LONGEST_GUESSED:
        return ""
    known = list(known)
    tail = word.rpartition(".")[2]
    same_tail = [key for key in known if key.rpartition(".")[2] in (tail, "".join(part[:1] for part in tail.split("_")))]
    near = difflib.get_close_matches(word, same_tail or known, n=1, cutoff=0 if same_tail else 0.55)
    return f"; did you mean {near[0]}?" if near else ""


def explain(error: ValidationError) -> str:
    """One line for the first fault that pydantic found: the key, the value, what is allowed, and the nearest valid key."""
    faults: dict[str, Any] = {}
    for found in error.errors():
        faults.setdefault(".".join(map(str, found["loc"][:2])), found)  # a union reports each of its members
    path, fault = min(faults.items(), key=lambda item: item[1]["type"] not in _UNKNOWN)
    if fault["type"] in _UNKNOWN:
        line = unknown_key(path)
    elif fault["type"] == "value_error":
        line = str(fault["ctx"]["error"])
    elif fault["type"] == "string_too_long":
        line = f"{path} is a text of {len(fault['input']):,} characters: give at most {fault['ctx']['max_length']:,}"
    elif path in FIELDS:
        given = excerpt(fault["input"])
        line = f"{path} = {given}: must be {allowed(path)}{_limit_not_named(fault)}{nearest(given, choices_of(path))}"
        if isinstance(fault["input"], list):
            line += "; a sweep searches over a list, and a text that begins with [ stands in quotes"
    else:
        section = str(fault["loc"][0]) if fault["loc"] else "the configuration"
        line = f"{section} = {excerpt(fault['input'])}: must be a mapping of keys"
    return line + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def _limit_not_named(fault: Mapping[str, Any]) -> str:
    """The limit that a value is beyond, where `allowed` does not name it."""
    limits = {"le": "at most", "ge": "at least"}
    met = (f", {words} {limit:g}" for name, words in limits.items() if (limit := fault.get("ctx", {}).get(name)) in _NOT_NAMED)
    return next(met, "")
