"""What a study file says: what is varied, asked and claimed, as data. The engine of reports knows no study beyond it.

`sweeps/studies/four_regularizers.yaml` has an example of everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from reglab.config import FIELDS, current, nearest, unknown_key
from reglab.report.columns import NONE, Column, Condition, Level, Treatment, typed, written
from reglab.report.measures import MEASURES
from reglab.tracking.record import is_own

Place = Sequence[str | int]


class _Data(BaseModel):
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


class ColumnData(_Data):
    """A factor (`key`, `keys` or `parts` of the configuration) or another column (`count`, `same` or `levels` of those)."""

    key: Key | None = None
    keys: tuple[Key, ...] | None = None
    parts: Mapping[Key, str] | None = None
    count: str | None = None
    same: str | None = None
    levels: Mapping[str, Levels] | None = None
    switch: Key | None = None
    without: str | None = None
    base: Literal["most"] | None = None
    title: str | None = None
    says: str | Words | None = None
    colours: Words | None = None
    scale: Literal["linear", "log", "sqrt"] | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        kinds = ("key", "keys", "parts", "count", "same", "levels")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise ValueError(f"must have one of {', '.join(kinds)}")
        for key in (self.key, self.switch, *(self.keys or ()), *(self.parts or ())):
            if key is not None and key not in FIELDS:
                raise ValueError(unknown_key(key))
        return self

    @property
    def kind(self) -> str:
        """Which of the six ways of making a column it says."""
        return next(kind for kind in ("key", "keys", "parts", "count", "same", "levels") if getattr(self, kind) is not None)

    def named(self, name: str) -> Column:
        """Return it as a column called `name`."""
        sources = getattr(self, self.kind)
        sources = (sources,) if isinstance(sources, str) else tuple(sources)
        without = typed(self.without or NONE)
        if self.kind == "key" and "without" not in self.model_fields_set:
            without = FIELDS[sources[0]].default
        if self.kind == "levels":
            sources = tuple(dict.fromkeys(column for condition in (self.levels or {}).values() for column in condition))
        return Column(
            name=name,
            kind=self.kind,
            sources=sources,
            title=self.title or name.replace("_", " "),
            switch=self.switch,
            without=without,
            is_common=self.base is not None,
            words=self.parts,
            levels=self.levels,
            says=self.says,
            colours=self.colours,
            scale=self.scale,
        )


class FigureData(_Data):
    """A figure of a question. `x` makes it one of lines, `arrays` one of the keys of a factor, else it has a row for each arm."""

    name: str
    title: str
    says: str = ""
    x: str | None = None
    lines: str | None = None
    panels: str | None = None
    everywhere: Levels | None = None
    y: Annotated[tuple[Measured, ...], Many] = ("test/accuracy",)
    rows: str | None = None
    arrays: str | None = None

    def columns(self) -> Iterator[tuple[str, str]]:
        """Yield the columns that it draws by, each with the field that names it."""
        yield from ((field, column) for field in ("x", "lines", "panels", "rows", "arrays") if (column := getattr(self, field)))
        yield from (("everywhere", column) for column in self.everywhere or ())


class Question(_Data):
    """Which arms answer it (those that depart from the base in `varies` only, and are `among`), and what shows them.

    `against`: how the arm that its table compares with departs from the base. `order`: of its table, `factors`, `best`, or a column.
    """

    name: str
    title: str
    asks: str = ""
    called: str = Field(default="the arms", description="what its arms are called together")
    varies: tuple[str, ...] | None = None
    among: Annotated[tuple[Levels, ...], Many] = ()
    against: Levels | None = None
    order: str = "factors"
    logged: str | None = None
    figures: tuple[FigureData, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, data: Any) -> Any:
        """`{name: decay at each rate, x: decay, lines: rate, y: test/accuracy}` is a question with one figure."""
        if not isinstance(data, dict) or "name" not in data:
            return data
        data = dict(data)
        stem = stem_of(str(data["name"]))
        drawn = {field: data.pop(field) for field in ("x", "lines", "panels", "y", "says") if field in data}
        title = data.setdefault("title", data["name"])
        if drawn or "figures" not in data:
            data["figures"] = [*data.get("figures", ()), {"name": f"figure_{stem}" if drawn else stem, "title": title} | drawn]
        return data | {"name": stem}

    def __hash__(self) -> int:
        return hash(self.name)


def stem_of(name: str) -> str:
    """A name as that of a file."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class Comparison(_Data):
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


class Pairwise(Comparison):
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


class SoonerClaim(Comparison):
    """Level `between` reaches the target sooner than `and`, in over half of the cases: configurations, or each seed apart."""

    of: Literal["time_to_target/seconds"] = "time_to_target/seconds"
    between: Levels
    other: Levels = Field(alias="and")
    cases: Literal["configurations", "seeds"] = "configurations"


class BestClaim(Comparison):
    """A level has the best of all levels, in a share of the cases."""

    level: Levels
    among: Levels
    in_at_least: float = Field(default=0.75, gt=0.5, le=1)


class ThresholdClaim(Comparison):
    """The mean of each of some levels is at least, or at most, so much: per cent, or seconds."""

    between: Levels
    at_least: float | None = None
    at_most: float | None = None
    because: str = ""

    @property
    def is_claim(self) -> bool:
        """Whether it claims a bound: without one it only tells what the mean is."""
        return (self.at_least, self.at_most) != (None, None)


class TrendClaim(Comparison):
    """From each level to the next, it rises or falls."""

    over: Levels
    direction: Literal["rises", "falls"]

    @model_validator(mode="after")
    def _is_over_one_column(self) -> Self:
        if len(self.over) != 1 or len(next(iter(self.over.values()))) < 2:
            raise ValueError("over: must be one column with two or more levels, in order")
        return self


class Champion(Comparison):
    """The best of some arms of a question against the first of others that there is."""

    question: str
    among: Annotated[tuple[Levels, ...], Many]
    against: Annotated[tuple[Levels, ...], Many]


class Kinds(_Data):
    """Comparisons of each kind: one, or a list of them."""

    difference: Annotated[tuple[DifferenceClaim, ...], Many] = ()
    trend: Annotated[tuple[TrendClaim, ...], Many] = ()
    ratio: Annotated[tuple[RatioClaim, ...], Many] = ()
    best: Annotated[tuple[BestClaim, ...], Many] = ()
    sooner: Annotated[tuple[SoonerClaim, ...], Many] = ()
    threshold: Annotated[tuple[ThresholdClaim, ...], Many] = ()

    def comparisons(self) -> Iterator[tuple[Place, Comparison]]:
        """All of them, each with its place in the file."""
        for field in type(self).model_fields:
            value = getattr(self, field)
            for number, comparison in enumerate(value if isinstance(value, tuple) else ()):
                if isinstance(comparison, Comparison):
                    yield (field, number), comparison


class Beside(Kinds):
    """What is told of a claim and has no say in its verdict."""

    champion: Annotated[tuple[Champion, ...], Many] = ()


class PublishedValue(Comparison):
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

    @model_validator(mode="after")
    def _claims_something(self) -> Self:
        claimed = [comparison for place, comparison in self.comparisons() if place[0] != "published"]
        if not claimed:
            raise ValueError(f"must have one of {', '.join(Kinds.model_fields)}")
        if not all(getattr(comparison, "is_claim", True) for comparison in claimed):
            raise ValueError("must say what is claimed: at_least, at_most, or, of a difference or a ratio, within")
        return self


class Parameter(_Data):
    """A row of the table of what a study varies."""

    technique: str
    parameter: str
    of: str
    among: Levels = {}
    candidates: Annotated[tuple[str, ...], Many] = ()


def _short(value: Any) -> Any:
    """`{rate: optimizer.lr}` for `{rate: {key: optimizer.lr}}`."""
    return {name: {"key": each} if isinstance(each, str) else each for name, each in value.items()} if isinstance(value, dict) else value


class Design(_Data):
    """What a study file says. `setup`: in which set-up it was published, by keys, `images`, `train_images` and `seeds`.

    `looks`: the numbers of seeds an arm at which its claims are decided; `planned`: how many seeds each of its sweeps gives an arm.
    """

    title: str
    source: str = ""
    description: str = ""
    sweeps: tuple[str, ...] = ()
    setup: Mapping[Key, str | int | float | None] = {}
    factors: Annotated[Mapping[str, ColumnData], BeforeValidator(_short)]
    columns: Mapping[str, ColumnData] = {}
    colour_by: tuple[str, ...] = ()
    table_1: tuple[Parameter, ...] = ()
    questions: tuple[Question, ...] = ()
    claims: tuple[Claim, ...] = ()
    looks: tuple[int, ...] = ()
    planned: Mapping[str, int] = {}
    covers: frozenset[str] = Field(default=frozenset(), description="keys that follow from the factors, and are no set-up of their own")
    path: Path | None = None
    is_shipped: bool = False

    @field_validator("looks")
    @classmethod
    def _rise(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if list(looks) != sorted({*looks}) or (looks and looks[0] < 2):
            raise ValueError("must be numbers of seeds that rise, from 2 on, such as [3, 5, 8, 12]")
        return looks

    @property
    def name(self) -> str:
        """By which it is found again: that of a study that comes with reglab, else its file."""
        assert self.path
        return self.path.stem if self.is_shipped else str(self.path)

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Its columns, factors first, each behind those that it is made of."""
        return {name: data.named(name) for name, data in (*self.factors.items(), *self.columns.items())}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its factors."""
        return tuple(self.factors)

    @cached_property
    def covered(self) -> frozenset[str]:
        """Keys that the factors stand for."""
        return self.covers.union(*(column.covers for column in self.by_name.values()))

    @cached_property
    def is_labelled(self) -> bool:
        """Whether it varies what the label of a run tells of."""
        return any(column.is_labelled for column in self.by_name.values())

    @property
    def stems(self) -> list[str]:
        """The names of its sweeps: their files' without the ending."""
        return [Path(sweep).stem for sweep in self.sweeps]

    @property
    def files(self) -> list[Path]:
        """Its sweep files, which the study file names from where it stands."""
        return [(self.path.parent if self.path else Path()) / sweep for sweep in self.sweeps]

    def treatment(self, values: Mapping[str, Any]) -> Treatment:
        """What a run has in each column, given the keys that have an effect in it."""
        return self.with_columns({name: column.of(values, {}) for name, column in self.by_name.items() if column.is_factor})

    def with_columns(self, factors: Mapping[str, Level]) -> Treatment:
        """The columns that follow from the factors, beside them."""
        found = dict(factors)
        for name, column in self.by_name.items():
            if not column.is_factor:
                found[name] = column.of({}, found)
        return Treatment(found)
