"""Groups of keys of a configuration: what each key accepts, and in which runs its value decides what the run comes to."""

import keyword
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from reglab.errors import shown
from reglab.foreign import is_reference

if TYPE_CHECKING:
    from reglab.config import RunConfig

MOST = 10**9
"""The largest number that a key without a limit of its own takes: no run needs more, and single-precision arithmetic holds it."""

LAYERS = 3
"""The most layers that a technique can have: the convolution units of a bottleneck block."""


@dataclass(frozen=True)
class Matters:
    """In the annotation of a key: in which runs its value decides what the run comes to. A key without it does in every run.

    `when` is given the section that the key is in, and the whole configuration.
    """

    when: Callable[[Any, "RunConfig"], bool]


NO_EFFECT = Matters(lambda own, run: False)
"""Of a key that changes no result: no identity tells of it."""


@dataclass(frozen=True)
class OneOf:
    """In the annotation of a text: one of these words, or a function of the user's, as `package.module:function`."""

    words: tuple[str, ...]

    def takes(self, value: Any) -> bool:
        """Whether it may be that."""
        return isinstance(value, str) and (value in self.words or is_reference(value))


@dataclass(frozen=True)
class Functions:
    """In the annotation of a text: functions of the user's, as `package.module:function`, with commas between."""

    @staticmethod
    def of(text: str | None) -> tuple[str, ...]:
        """Each of them."""
        return tuple(each.strip() for each in text.split(",")) if text else ()


Plain = bool | int | float | str | None
"""A value of which nobody knows before what it is."""

PLAIN: Any = Plain
"""That, as the type of a field."""

LONGEST_OPTION = 1000
"""Characters of a text."""


class Options(BaseModel):
    """Plain values under names that nobody knows before: the keyword arguments of a function of the user's."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Plain]

    @model_validator(mode="after")
    def _are_keyword_arguments(self) -> Self:
        for name, value in self.given.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name) or keyword.iskeyword(name):
                raise PydanticCustomError("option", "no name of an argument")
            if isinstance(value, str) and (len(value) > LONGEST_OPTION or shown(value) != value):
                raise PydanticCustomError("option", "too long for a record, or it holds what is not printed")
        return self

    @property
    def given(self) -> dict[str, Plain]:
        """The values by their names."""
        return dict(self.model_extra or {})


SPEED_ONLY = "speed only"
"""Of a key that changes times and no accuracy, but for rounding: reports pool the accuracies of runs that differ in it, not the times."""


class Section(BaseModel):
    """A group of keys. Frozen, and an unknown key is an error: a misspelt treatment must never run as its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_is_read_as_what_it_does_not_say(cls, value: Any, info: ValidationInfo) -> Any:
        options, choices = _reading(cls)[str(info.field_name)]
        if isinstance(value, bool) and bool not in options:
            raise PydanticCustomError("flag", "true and false are not numbers")
        if isinstance(value, str) and options[0] in (int, float) and number(value) is None:
            raise PydanticCustomError("number", "digits in groups, of another base or of a clock are no number")
        if isinstance(value, float) and options == [str]:
            raise PydanticCustomError("text", "1.10 was text, and is 1.1 as a number")
        if not all(mark.takes(value) for mark in choices):
            raise PydanticCustomError("choice", "neither one of these words nor a function")
        return value

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """The keys of this section that have an effect in `run`, and their values: of two ways to say the same, always one."""
        return {name: getattr(self, name) for name, marks in _marks(type(self)) if all(mark.when(self, run) for mark in marks)}

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """The same keys, with the values that were given."""
        return {name: getattr(self, name) for name in self.effective(run)}


@cache
def _reading(model: type[Section]) -> dict[str, tuple[list[Any], list[OneOf]]]:
    """Of each field: the types that it allows, and the words."""
    fields = model.model_fields.items()
    return {name: (types_of(field.annotation)[0], [mark for mark in field.metadata if isinstance(mark, OneOf)]) for name, field in fields}


@cache
def _marks(model: type[Section]) -> tuple[tuple[str, tuple[Matters, ...]], ...]:
    """Of each key: in which runs it matters."""
    keys = ((name, field) for name, field in model.model_fields.items() if not is_section(field))
    return tuple((name, tuple(mark for mark in field.metadata if isinstance(mark, Matters))) for name, field in keys)


def is_section(field: FieldInfo) -> bool:
    """Whether what stands under this name is a group of keys of its own."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key path of a model (`dropout.p1`), with its definition."""
    for name, field in model.model_fields.items():
        if is_section(field):
            yield from keys(typing.cast(type[Section], field.annotation), f"{prefix}{name}.")
        else:
            yield prefix + name, field


def types_of(annotation: Any) -> tuple[list[Any], bool]:
    """The types that an annotation allows, None aside, and whether it allows None."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)
    return [member for member in members if member is not type(None)], type(None) in members


def number(text: str) -> int | float | None:
    """A number in decimal or scientific notation; None for everything else that programs take for one: `1_000`, `0x10`, `1:30`."""
    if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?", text, re.IGNORECASE):
        return None
    try:
        return int(text)
    except ValueError:  # with a point or an exponent, or thousands of digits
        return float(text)
