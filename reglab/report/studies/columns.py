"""Columns of a study: what a run's configuration comes to under each name by which questions and claims speak of it.

A factor is read from keys of the configuration; other columns look at the factors in other ways. A level has one writing: 0.2 is
`0.2`, true is `true`, nothing is `none`. Levels are compared by it, so a study file names them as they are written.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab.config import FIELDS, LABELLED
from reglab.reading import number_in

Level = str | int | float | bool | None

NONE, ANY, BASE, OTHER, ITS = "none", "any", "base", "other", "its"
"""Words of conditions: no level, any but none, that of the base, any but that of the base, and that of the arm in question."""

REST = "*"
"""Stands for every level that is not named."""

TAKEN = frozenset(
    {"model", "identity", "machine", "n", "searched", "validation_accuracy", "test_accuracy", "train_accuracy", "gap", "train_seconds"}
    | {"time_to_target_seconds", "reached", "timed", "name", "seed", "run", "state", "x", "level", "at", "value", "low", "high"}
)
"""Names that tables and figures have for columns of their own."""

Condition = Mapping[str, Sequence[str]]
"""Written levels by column: one of those of each column must be there."""

_LONG_NUMBER = re.compile(r"\d+\.\d{3,}(e[-+]?\d+)?")


def written(level: Any) -> str:
    """A level as it is compared: numbers of one value are one text, whole ones with all of their digits, fractions with twelve."""
    if level is None:
        return NONE
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, str):
        number = number_in(level)
        return level if number is None else _digits(number)
    return _digits(level)


_FRACTIONS = 10.0**12
"""From this size twelve digits leave nothing of what is behind the point, and two numbers that differ would be one."""

_LONG = 10.0**21
"""From this size a number that is no integer is told by its power of ten."""


def _digits(number: int | float) -> str:
    if isinstance(number, int):
        return str(number)
    value = float(f"{number:.12g}") if abs(number) < _FRACTIONS else number
    if abs(value) < _LONG and value == math.floor(value):
        return str(int(value))  # no -0
    return f"{value:.12g}" if abs(value) < _FRACTIONS else repr(float(value))


def brief(level: Level) -> str:
    """A level as people read it: fractions to three digits."""
    return _LONG_NUMBER.sub(lambda found: f"{float(found.group()):.3g}", written(level))


def in_order(level: Level) -> tuple[Any, ...]:
    """For sorting: nothing first, numbers as numbers, texts by how many numbers they have, whether those are one, and these."""
    if level is None:
        return (0,)
    if not isinstance(level, str):
        return 1, level
    numbers = [number for part in level.split("/") if (number := number_in(part)) is not None]
    return 2, len(numbers), len(set(numbers)), numbers, level


class Treatment(Mapping[str, Level]):
    """What one arm has in each column of a study."""

    def __init__(self, levels: Mapping[str, Level]):
        self._levels = dict(levels)
        self._hash = hash(tuple(self._levels.items()))

    def __getitem__(self, column: str) -> Level:
        return self._levels[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __bool__(self) -> bool:
        """Of an arm that varies nothing, too."""
        return True

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Treatment) and self._levels == other._levels

    def __repr__(self) -> str:
        return f"Treatment({self._levels})"


def meets(levels: Mapping[str, Level], condition: Condition, base: Mapping[str, Level]) -> bool:
    """Say whether levels are what a condition asks for."""
    return all(any(_is(levels[column], wanted, base.get(column)) for wanted in choices) for column, choices in condition.items())


def _is(level: Level, wanted: str, base: Level) -> bool:
    if wanted == ANY:
        return level is not None
    if wanted == OTHER:
        return written(level) != written(base)
    return written(level) == of_base(wanted, base)


def of_base(wanted: str, base: Level) -> str:
    """`base` and `base/2` as the level that they are."""
    word, slash, share = wanted.partition("/")
    if word != BASE or not isinstance(base, int | float):
        return written(base) if wanted == BASE else wanted
    if not slash:
        return written(base)
    return written(base // int(share) if isinstance(base, int) else base / int(share))


@dataclass(frozen=True)
class Column:
    """One column. `sources`: the keys, or the columns, that it is made of; `covers`: the keys of the configuration that it stands for.

    `kind`: `key` is one key, `keys` several in a row (`0.1/0.2`), `parts` several in words (`sgd lr 0.1`), `count` and `same` look at
    a column of keys: how many there are, and the one value of all; `levels` are conditions on other columns, by name.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    title: str
    switch: str | None = None
    without: Level = None
    is_common: bool = False  # whether the base has what most arms have
    words: Mapping[str, str] | None = None
    levels: Mapping[str, Condition] | None = None
    says: str | Mapping[str, str] | None = None
    colours: Mapping[str, str] | None = None
    scale: str | None = None

    @property
    def is_factor(self) -> bool:
        """Whether it is made of keys of the configuration, and not of other columns."""
        return self.kind in ("key", "keys", "parts")

    @property
    def covers(self) -> frozenset[str]:
        """The keys of the configuration that it stands for, by all their names; none for what is no factor."""
        keys = {self.switch} if self.switch else set()
        return frozenset(keys.union(*({key, *_SAME.get(key, ())} for key in self.sources))) if self.is_factor else frozenset()

    @property
    def is_labelled(self) -> bool:
        """Whether the label of a run tells of it."""
        return any(key.startswith(LABELLED) for key in self.covers)

    @property
    def plain(self) -> Level:
        """What the base has in a factor, where it is not what most arms have: what it is `without`, or the default."""
        return self._of({key: FIELDS[key].default for key in self.sources} if self.kind == "parts" else {})

    def of(self, values: Mapping[str, Any], before: Mapping[str, Level], plain: Mapping[str, Level]) -> Level:
        """Its level. `values` are the keys that have an effect in a run; `before` has the columns that stand before it, and `plain` what
        these are in the base."""
        if self.is_factor:
            return self._of(values)
        if self.kind == "levels":
            assert self.levels is not None
            return next((name for name, condition in self.levels.items() if meets(before, condition, plain)), None)
        there = [part for part in str(before[self.sources[0]] or "").split("/") if part]
        if self.kind == "count":
            return len(there)
        return self.without if not there else typed(there[0]) if len(set(there)) == 1 else None

    def _of(self, values: Mapping[str, Any]) -> Level:
        if self.kind == "key":
            (key,) = self.sources
            level: Level = values.get(key, self.without)
            return level
        if self.kind == "keys":
            return "/".join(written(values[key]) for key in self.sources if values.get(key) is not None) or None
        assert self.words is not None
        first, *_ = self.sources
        said = [f"{self.words[key]} {_part(values[key])}".strip() for key in self.sources if _is_said(key, values, first)]
        return " ".join(said)

    def place(self, level: Level) -> tuple[Any, ...]:
        """For sorting: in the order of its words, where it has some for the level, else as levels are ordered."""
        known = list(self.levels or (self.says if isinstance(self.says, Mapping) else ()))
        return (-1, known.index(written(level))) if isinstance(level, str) and written(level) in known else in_order(level)

    def say(self, level: Level) -> str:
        """A level in words, in a label; empty where it is not worth a word."""
        if isinstance(self.says, str):
            return self.says.format(brief(level))
        if self.says is not None:
            words = self.says.get(written(level), self.says.get(REST))
            return brief(level) if words is None else words.format(brief(level))
        return brief(level) if self.kind in ("parts", "levels") else f"{self.title} {brief(level)}"

    def colour(self, level: Level) -> str | None:
        """Return the colour that the study gives a level; None where it gives none."""
        return (self.colours or {}).get(written(level), (self.colours or {}).get(REST))


_SAME = {"dropout.p": ("dropout.p1", "dropout.p2", "dropout.p3")}
"""Keys that are a short way to give others."""


def typed(text: str) -> Level:
    """Return a written level as the value that it is."""
    number = number_in(text)
    return {NONE: None, "true": True, "false": False}.get(text, text) if number is None else number


def _part(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _is_said(key: str, values: Mapping[str, Any], first: str) -> bool:
    return key in values and (key == first or values[key] != FIELDS[key].default)


def short_names(keys: Sequence[str], called: Mapping[str, str] | None = None) -> dict[str, str]:
    """A short name for each key: what it is `called`, or its last part, where only one has it and no table's column does."""
    tails = [(called or {}).get(key, key.rpartition(".")[2]) for key in keys]
    return {
        key: tail if tails.count(tail) == 1 and tail not in TAKEN else key.replace(".", "_") for key, tail in zip(keys, tails, strict=True)
    }


def scale_of(levels: Sequence[Level]) -> str | None:
    """`log` of numbers that differ by factors."""
    numbers = [level for level in levels if isinstance(level, int | float) and not isinstance(level, bool)]
    return "log" if len(numbers) == len(levels) > 2 and min(numbers) > 0 and max(numbers) >= 8 * min(numbers) else None
