"""What a study file says: what is varied, asked and claimed, as data. The engine of reports knows no study beyond it.

`sweeps/studies/four_regularizers.yaml` has an example of everything.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from reglab.config import FIELDS, OPTIONS, SPEED_KEYS, unknown_key
from reglab.errors import excerpt
from reglab.report.studies.claim_kinds import Claim, Data, Key, Levels, Many, Measured, Stem, Words, stem_of
from reglab.report.studies.columns import NONE, Column, Level, Treatment, typed
from reglab.section import NO_EFFECT


class ColumnData(Data):
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
            if key is not None and (said := _fault_of_key(key)):
                raise ValueError(said)
        if not getattr(self, self.kind):
            raise ValueError(f"{self.kind}: must not be empty")
        return self

    @field_validator("says")
    @classmethod
    def _says_a_level(cls, says: str | Mapping[str, str] | None) -> str | Mapping[str, str] | None:
        for text in (says,) if isinstance(says, str) else (says or {}).values():
            if {"{", "}"} & set(text.replace("{}", "", 1)):
                raise ValueError(f"{excerpt(text)}: braces stand for the level, as {{}}, and once")
        return says

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


def _fault_of_key(key: str) -> str | None:
    """Why a key tells no arms apart."""
    if key not in FIELDS:
        return unknown_key(key)
    if key in OPTIONS:
        return f"{key} is a mapping and no level: name a key of it, such as {key}.depth"
    if key == "arm":
        return "arm stands for other keys: name those that differ"
    is_one_arm = key in SPEED_KEYS or NO_EFFECT in FIELDS[key].metadata
    return f"{key} is no factor: runs that differ in nothing else are one arm" if is_one_arm else None


class FigureData(Data):
    """A figure of a question. `x` makes it one of lines, `arrays` one of the keys of a factor, else it has a row for each arm. `name` is
    that of its files."""

    name: Stem
    title: str
    says: str = ""
    x: str | None = None
    lines: str | None = None
    panels: str | None = None
    everywhere: Levels | None = None
    y: Annotated[tuple[Measured, ...], Many, Field(min_length=1)] = ("test/accuracy",)
    rows: str | None = None
    arrays: str | None = None

    def columns(self) -> Iterator[tuple[str, str]]:
        """Yield the columns that it draws by, each with the field that names it."""
        yield from ((field, column) for field in ("x", "lines", "panels", "rows", "arrays") if (column := getattr(self, field)) is not None)
        yield from (("everywhere", column) for column in self.everywhere or ())


class Question(Data):
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
        if not isinstance(data, dict) or not isinstance(data.get("name"), str | int | float):
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


class StudiedParameter(Data):
    """A row of the table of what a study varies."""

    technique: str
    parameter: str
    of: str
    among: Levels = {}
    candidates: Annotated[tuple[str, ...], Many] = ()


def _short(value: Any) -> Any:
    """`{rate: optimizer.lr}` for `{rate: {key: optimizer.lr}}`."""
    return {name: {"key": each} if isinstance(each, str) else each for name, each in value.items()} if isinstance(value, dict) else value


class Design(Data):
    """What a study file says. `setup`: in which set-up it was published, by keys, `images`, `train_images` and `seeds`.

    `looks`: the numbers of seeds an arm at which its claims are decided; `planned`: how many seeds each of its sweeps gives an arm,
    unless it is asked for more.
    `targets`: training accuracies whose time is told beside that of the runs' own target, from their epochs.
    """

    title: str
    source: str = ""
    description: str = ""
    sweeps: tuple[str, ...] = ()
    setup: Mapping[Key, str | int | float | None] = {}
    factors: Annotated[Mapping[str, ColumnData], BeforeValidator(_short)]
    columns: Mapping[str, ColumnData] = {}
    colour_by: tuple[str, ...] = ()
    table_1: tuple[StudiedParameter, ...] = ()
    questions: tuple[Question, ...] = ()
    claims: tuple[Claim, ...] = ()
    looks: tuple[int, ...] = ()
    planned: Mapping[str, int] = {}
    targets: Annotated[tuple[float, ...], Many] = ()
    covers: frozenset[Key] = Field(default=frozenset(), description="keys that follow from the factors, and are no set-up of their own")
    path: Path | None = None
    is_shipped: bool = False

    @field_validator("looks")
    @classmethod
    def _rise(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if list(looks) != sorted({*looks}) or (looks and looks[0] < 2):
            raise ValueError("must be numbers of seeds that rise, from 2 on, such as [3, 5, 8, 12]")
        return looks

    @field_validator("covers")
    @classmethod
    def _are_keys(cls, covers: frozenset[str]) -> frozenset[str]:
        if unknown := sorted(key for key in covers if key not in FIELDS):
            raise ValueError(unknown_key(unknown[0]))
        return covers

    @field_validator("targets")
    @classmethod
    def _are_shares(cls, targets: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < target < 1 for target in targets):
            raise ValueError("must be shares of the training images between 0 and 1, such as 0.6")
        return targets

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
        return self.with_columns({name: column.of(values, {}, {}) for name, column in self.by_name.items() if column.is_factor})

    def with_columns(self, factors: Mapping[str, Level]) -> Treatment:
        """The columns that follow from the factors, beside them."""
        found = dict(factors)
        for name, column in self.by_name.items():
            if not column.is_factor:
                found[name] = column.of({}, found, self.plain)
        return Treatment(found)

    @cached_property
    def plain(self) -> Mapping[str, Level]:
        """What the base has in each column, where it has in no factor what most arms have."""
        found = {name: column.plain for name, column in self.by_name.items() if column.is_factor}
        for name, column in self.by_name.items():
            if not column.is_factor:
                found[name] = column.of({}, found, found)
        return found
