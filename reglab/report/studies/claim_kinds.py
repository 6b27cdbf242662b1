"""What a study file claims, as data: comparisons of a few kinds, each of which says what must be seen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from reglab.config import current, nearest
from reglab.report.studies.columns import Condition, written
from reglab.report.studies.measures import MEASURES
from reglab.tracking.results import is_own

Place = Sequence[str | int]


class Data(BaseModel):
    """What a study file says of something: nothing but what is known may stand there, and a number may be a name."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _condition(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be columns with their levels, such as {decay: 0.1}")
    return {str(column): [written(level) for level in _listed(levels)] for column, levels in value.items()}


def _measure(name: str) -> str:
    if name not in MEASURES and not is_own(name):
        raise ValueError(f"no report has {name}{nearest(name, MEASURES)}; it has {', '.join(MEASURES)}, and test/… of train.metrics")
    return name


Levels = Annotated[Condition, BeforeValidator(_condition)]
Words = Annotated[Mapping[str, str], BeforeValidator(lambda value: {written(key): word for key, word in dict(value).items()})]
Measured = Annotated[str, BeforeValidator(_measure)]
Many = BeforeValidator(_listed)
Key = Annotated[str, AfterValidator(current)]
"""A path of the configuration, under the name that it has today."""


class ClaimedComparison(Data):
    """What is compared, of the runs at some levels."""

    of: Measured
    at: Levels = {}

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        """Yield every condition with the field that has it."""
        for field, value in self:
            for condition in value if isinstance(value, tuple) else (value,):
                if isinstance(condition, Mapping):
                    yield _written_as(field), condition


def _written_as(field: str) -> str:
    return "and" if field == "other" else field


class Pairwise(ClaimedComparison):
    """Level `between` against level `and`, pair by pair. A list of levels is a comparison for each."""

    between: Levels
    other: Levels = Field(alias="and")
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = Field(default=None, gt=0)
    because: str = Field(default="", description="why this margin")

    @property
    def is_claim(self) -> bool:
        """Whether it claims a range: without one it only tells what the difference is."""
        return (self.at_least, self.at_most, self.within) != (None, None, None)


class DifferenceClaim(Pairwise):
    """In points."""

    @field_validator("of")
    @classmethod
    def _in_points(cls, of: str) -> str:
        if of in MEASURES and MEASURES[of].is_time:
            raise ValueError(f"{of} has no difference in points: `ratio` compares times")
        return of


class RatioClaim(Pairwise):
    """Of times."""

    @field_validator("of")
    @classmethod
    def _of_times(cls, of: str) -> str:
        if of not in MEASURES or not MEASURES[of].is_time:
            raise ValueError(f"{of} is no time: `difference` compares it")
        return of


class SoonerClaim(ClaimedComparison):
    """Level `between` reaches the target sooner than `and`, in over half of the cases: configurations, or each seed apart."""

    of: Literal["time_to_target/seconds"] = "time_to_target/seconds"
    between: Levels
    other: Levels = Field(alias="and")
    cases: Literal["configurations", "seeds"] = "configurations"


class BestClaim(ClaimedComparison):
    """A level has the best of all levels, in a share of the cases."""

    level: Levels
    among: Levels
    in_at_least: float = Field(default=0.75, gt=0.5, le=1)


class ThresholdClaim(ClaimedComparison):
    """The mean of each of some levels is at least, or at most, so much: per cent, or seconds."""

    between: Levels
    at_least: float | None = None
    at_most: float | None = None
    because: str = ""

    @property
    def is_claim(self) -> bool:
        """Whether it claims a bound: without one it only tells what the mean is."""
        return (self.at_least, self.at_most) != (None, None)


class TrendClaim(ClaimedComparison):
    """From each level to the next, it rises or falls."""

    over: Levels
    direction: Literal["rises", "falls"]

    @model_validator(mode="after")
    def _is_over_one_column(self) -> Self:
        if len(self.over) != 1 or len(next(iter(self.over.values()))) < 2:
            raise ValueError("over: must be one column with two or more levels, in order")
        return self


class Champion(ClaimedComparison):
    """The best of some arms of a question against the first of others that there is."""

    question: str
    among: Annotated[tuple[Levels, ...], Many]
    against: Annotated[tuple[Levels, ...], Many]


class Kinds(Data):
    """Comparisons of each kind: one, or a list of them."""

    difference: Annotated[tuple[DifferenceClaim, ...], Many] = ()
    trend: Annotated[tuple[TrendClaim, ...], Many] = ()
    ratio: Annotated[tuple[RatioClaim, ...], Many] = ()
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
    question: str | None = None
    figure: str | None = None
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
            raise ValueError("must say what is claimed: at_least, at_most, or, of a difference or a ratio, within")
        return self
