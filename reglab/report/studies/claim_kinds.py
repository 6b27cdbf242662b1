"""What a study file claims, as data: comparisons of a few kinds, each of which says what must be seen."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from reglab.config import current, nearest
from reglab.errors import excerpt
from reglab.report.studies.columns import Condition, written
from reglab.report.studies.measures import MEASURES, is_time
from reglab.tracking.results import is_own

Place = Sequence[str | int]


class Data(BaseModel):
    """What a study file says of something: nothing but what is known may stand there, a number may be a name, and is finite elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _condition(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be columns with their levels, such as {decay: 0.1}")
    return {str(column): _levels(column, _listed(levels)) for column, levels in value.items()}


def _levels(column: Any, levels: Sequence[Any]) -> list[str]:
    found = [_level(level) for level in levels]
    if not found:
        raise ValueError(f"{column} is a list of no levels: give it one, or leave it out")
    if twice := next((level for level in found if found.count(level) > 1), None):
        raise ValueError(f"{column}: {twice} is there twice")
    return found


def _level(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"a level is a word or a number, and not a {'mapping' if isinstance(value, dict) else 'list'}")
    return written(value)


def _names_a_level(condition: Condition) -> Condition:
    if not condition:
        raise ValueError("must name a level, such as {decay: 0.1}")
    return condition


def _words(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must have a word for each level, such as {0: none}")
    return {_level(level): word for level, word in value.items()}


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _measure(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError("must name a measure, such as test/accuracy")
    if name not in MEASURES and not is_own(name):
        raise ValueError(f"no report has {name}{nearest(name, MEASURES)}; it has {', '.join(MEASURES)}, and test/… of train.metrics")
    return name


_LONGEST = 150
"""Bytes of a file's name without its ending: file systems take 255, in which other words stand beside it."""


def stem_of(name: str) -> str:
    """A name as that of a file: its letters, of any script, and digits. Raises ValueError where it has none, or too many."""
    stem = re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name).lower()).strip("_")
    if not stem:
        raise ValueError(f"{excerpt(name)!r} cannot name a file: give a name with a letter or a digit")
    if len(stem.encode()) > _LONGEST:
        raise ValueError(f"{excerpt(name)} is too long for the name of a file: have a short `name`, and a `title` in full")
    return stem


Levels = Annotated[Condition, BeforeValidator(_condition)]
Named = Annotated[Levels, AfterValidator(_names_a_level)]
Words = Annotated[Mapping[str, str], BeforeValidator(_words)]
Number = Annotated[float, BeforeValidator(_number)]
Measured = Annotated[str, BeforeValidator(_measure)]
Many = BeforeValidator(_listed)
Stem = Annotated[str, AfterValidator(stem_of)]
"""The name of a question or a figure, as that of its files."""

Key = Annotated[str, AfterValidator(current)]
"""A path of the configuration, under the name that it has today."""


class ClaimedComparison(Data):
    """What is compared, of the runs at some levels. `means`: of how many arms in each case."""

    means: ClassVar[int] = 2
    of: Measured
    at: Levels = {}

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        """Yield every condition with the field that has it."""
        for field, value in self:
            for condition in value if isinstance(value, tuple) else (value,):
                if isinstance(condition, Mapping):
                    yield _written_as(field), condition


def _written_as(field: str) -> str:
    return {"other": "and", "here": "with"}.get(field, field)


class Sided(ClaimedComparison):
    """Level `between` against level `and`. A list of levels is a comparison for each."""

    between: Named
    other: Named = Field(alias="and")

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if _have_in_common(self.between, self.other):
            raise ValueError("a level of `between` is one of `and`, too: nothing differs from itself")
        return self


def _have_in_common(one: Condition, other: Condition) -> bool:
    """Whether a combination of levels that one lists is one of the other."""
    return one.keys() == other.keys() and all(set(one[column]) & set(other[column]) for column in one)


class Bounded(ClaimedComparison):
    """It is at least, or at most, so much."""

    at_least: Number | None = None
    at_most: Number | None = None
    because: str = Field(default="", description="why this margin")

    @property
    def is_claim(self) -> bool:
        """Whether it claims a bound: without one it only tells what there is."""
        return (self.at_least, self.at_most) != (None, None)

    @model_validator(mode="after")
    def _leaves_a_range(self) -> Self:
        if self.at_least is not None and self.at_most is not None and self.at_least >= self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is not below at_most {self.at_most:g}: nothing lies between")
        return self


class Pairwise(Sided, Bounded):
    """Pair by pair, what `between` has more than `and`, or how many times as much, is in a range."""

    within: Annotated[Number | None, Field(gt=0)] = None

    @field_validator("at_least", "at_most")
    @classmethod
    def _is_what_a_ratio_can_be(cls, bound: float | None, info: ValidationInfo) -> float | None:
        if bound is not None and bound <= 0 and is_time(info.data.get("of", "")):
            raise ValueError(f"{bound:g}: a ratio is above 0, and 1 of times that are alike")
        return bound

    @property
    def is_claim(self) -> bool:
        """Whether it claims a range: without one it only tells what the difference is."""
        return super().is_claim or self.within is not None

    @model_validator(mode="after")
    def _claims_one_range(self) -> Self:
        if self.within is not None and super().is_claim:
            raise ValueError("`within` is a range of its own, beside at_least or at_most: claim them as two comparisons, or leave one out")
        return self


class DifferenceClaim(Pairwise):
    """In points."""

    @field_validator("of")
    @classmethod
    def _in_points(cls, of: str) -> str:
        if is_time(of):
            raise ValueError(f"{of} has no difference in points: `ratio` compares times")
        return of


class RatioClaim(Pairwise):
    """Of times."""

    @field_validator("of")
    @classmethod
    def _of_times(cls, of: str) -> str:
        if not is_time(of):
            raise ValueError(f"{of} is no time: `difference` compares it")
        return of


class InteractionClaim(Pairwise):
    """What `between` has more than `and`, or how many times as much, is more `with` a level than `against` another: a difference of two
    differences, in points, or a ratio of two ratios, of times."""

    means = 4
    here: Named = Field(alias="with")
    against: Named

    @model_validator(mode="after")
    def _is_of_two_differences(self) -> Self:
        if _have_in_common(self.here, self.against):
            raise ValueError("a level of `with` is one of `against`, too: nothing differs from itself")
        if twice := sorted((self.between.keys() | self.other.keys()) & (self.here.keys() | self.against.keys())):
            raise ValueError(f"{twice[0]} is in `between` or `and`, and in `with` or `against`: they are of other columns")
        return self


class SoonerClaim(Sided):
    """Level `between` reaches the target sooner than `and`, in over half of the cases: configurations, or each seed apart."""

    of: Literal["time_to_target/seconds"] = "time_to_target/seconds"
    cases: Literal["configurations", "seeds"] = "configurations"


class BestClaim(ClaimedComparison):
    """A level has the best of all levels, in a share of the cases."""

    level: Named
    among: Named
    in_at_least: Annotated[Number, Field(gt=0.5, le=1)] = 0.75

    @model_validator(mode="after")
    def _is_one_of_several(self) -> Self:
        if self.level.keys() != self.among.keys() or not all(set(self.level[name]) <= set(self.among[name]) for name in self.among):
            raise ValueError("level: must be one of `among`, by the same columns")
        if math.prod(map(len, self.among.values())) < 2:
            raise ValueError("among: must have two or more levels, of which one is best")
        return self


class ThresholdClaim(Bounded):
    """The mean of each of some levels is at least, or at most, so much: per cent, or seconds."""

    means = 1
    between: Named


class TrendClaim(ClaimedComparison):
    """From each level to the next, it rises or falls."""

    over: Named
    direction: Literal["rises", "falls"]

    @model_validator(mode="after")
    def _is_over_one_column(self) -> Self:
        if len(self.over) != 1 or len(next(iter(self.over.values()))) < 2:
            raise ValueError("over: must be one column with two or more levels, in order")
        return self


class Champion(ClaimedComparison):
    """The best of some arms of a question against the first of others that there is."""

    question: Stem
    among: Annotated[tuple[Levels, ...], Many]
    against: Annotated[tuple[Levels, ...], Many]


class Kinds(Data):
    """Comparisons of each kind: one, or a list of them."""

    difference: Annotated[tuple[DifferenceClaim, ...], Many] = ()
    trend: Annotated[tuple[TrendClaim, ...], Many] = ()
    ratio: Annotated[tuple[RatioClaim, ...], Many] = ()
    interaction: Annotated[tuple[InteractionClaim, ...], Many] = ()
    best: Annotated[tuple[BestClaim, ...], Many] = ()
    sooner: Annotated[tuple[SoonerClaim, ...], Many] = ()
    threshold: Annotated[tuple[ThresholdClaim, ...], Many] = ()

    def comparisons(self) -> Iterator[tuple[Place, ClaimedComparison]]:
        """All of them, each with its place in the file."""
        for field in type(self).model_fields:
            value = getattr(self, field)
            for number, comparison in enumerate(value if isinstance(value, tuple) else ()):
                if isinstance(comparison, ClaimedComparison):
                    yield (field, number), comparison


class Beside(Kinds):
    """What is told of a claim and has no say in its verdict."""

    champion: Annotated[tuple[Champion, ...], Many] = ()


class PublishedValue(ClaimedComparison):
    """What the study's authors report of a level."""

    value: str


class Claim(Kinds):
    """`question` names whose runs speak to it; without one, all do. `rule` says in words what must be seen."""

    text: str
    rule: str = ""
    question: Stem | None = None
    figure: Stem | None = None
    beside: Beside = Beside()
    published: Annotated[tuple[PublishedValue, ...], Many] = ()

    @property
    def claimed(self) -> list[ClaimedComparison]:
        """The comparisons that it is made of, without what its authors published of them."""
        return [comparison for place, comparison in self.comparisons() if place[0] != "published"]

    @model_validator(mode="after")
    def _claims_something(self) -> Self:
        if not (claimed := self.claimed):
            raise ValueError(f"must have one of {', '.join(Kinds.model_fields)}")
        if not all(getattr(comparison, "is_claim", True) for comparison in claimed):
            raise ValueError("must say what is claimed: at_least, at_most, or, of a difference, a ratio or an interaction, within")
        return self
