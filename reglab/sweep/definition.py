"""What W&B takes as a sweep: the keys of its file, what each accepts, and which go together.

The verdicts are those of W&B's own schema (sweeps 0.3), nested parameters included, in words that say where the fault is. What
no server could make use of is refused as well: numbers that are infinite or none, distributions of no width.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from reglab.config import nearest, nested_by_names
from reglab.errors import excerpt
from reglab.sweep.distributions import KINDS, Distribution, Number, kind, of

Place = tuple[str | int, ...]
"""The keys that lead to a value in a file: `("parameters", "optimizer", "parameters", "lr", "min")`."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

NO_METRIC = "it selects by a metric and names none: add `metric: {name: val/accuracy, goal: maximize}`"

_METHODS = {"wandb": ("grid", "bayes", "random"), "optuna": ("custom",), "ax": ("custom",)}
"""Those that each engine of a scheduler goes with."""


MOST_SEEDS = 1000
"""Of an arm."""


@dataclass(frozen=True)
class Fault:
    """What is wrong at a place, with the value that stands there."""

    place: Place
    said: str


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("null", "has no value: give it one, or leave the key out")
        return value


class Metric(_Part):
    """What a search looks at. Of several runs the best is that with the lowest or the highest value."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    target: Number | None = None
    impute: Literal["latest", "best", "worst"] = "worst"
    impute_while_running: Literal["latest", "best", "worst", "false"] = "false"

    @property
    def sign(self) -> int:
        """That which makes the better value the lower one."""
        return -1 if self.goal == "maximize" else 1


class EarlyTermination(_Part):
    """Hyperband: a run is stopped at one of some epochs where it is not among the best of those that came so far."""

    type: Literal["hyperband"]
    min_iter: int | None = Field(default=None, ge=1)
    max_iter: int | None = None
    s: int | None = None
    eta: Annotated[Number, Field(gt=1)] = 3
    strict: bool = True

    @model_validator(mode="after")
    def _says_where_it_looks(self) -> Self:
        if self.min_iter is None and (self.max_iter is None or self.s is None):
            raise ValueError("needs `min_iter`, the first epoch at which runs are stopped, or `max_iter` and `s`")
        if (self.is_backwards and (self.s or 0) < 1) or (self.is_backwards and (self.max_iter or 0) < self.eta):
            raise ValueError(f"stops at no epoch: `max_iter` must be at least eta = {self.eta:g}, and `s` at least 1")
        return self

    @property
    def is_backwards(self) -> bool:
        """Whether its epochs are counted back from the last one."""
        return self.max_iter is not None and self.s is not None


class Scheduler(_Part):
    """Who searches, where it is not W&B's server."""

    engine: Literal["wandb", "optuna", "ax"]
    source: str | None = None
    optimizer: str | None = None
    search_space: str | None = None

    @model_validator(mode="after")
    def _says_where_its_functions_are(self) -> Self:
        for key in ("optimizer", "search_space"):
            if getattr(self, key) is not None and self.source is None:
                raise ValueError(f"`{key}` names a function and needs `source`, the file that it is in")
        return self


class Replicates(_Part):
    """The seeds of each arm: those that it begins with, and as many as it may come to. W&B is told plain `values`."""

    key: str
    first: int = Field(default=0, ge=0)
    start: int = Field(ge=1, le=MOST_SEEDS)
    most: int | None = Field(default=None, le=MOST_SEEDS)

    @model_validator(mode="after")
    def _begins_within_the_most(self) -> Self:
        if self.most is not None and self.most < self.start:
            raise ValueError(f"`most` = {self.most} is fewer than `start` = {self.start}, with which each arm begins")
        if self.first + (self.most or self.start) > 2**31:
            raise ValueError("its last seed is above 2147483647, the largest that a program takes")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Those that lead to its key in nested values."""
        return tuple(self.key.split("."))

    def values(self, seeds: int | None = None) -> list[int]:
        """So many seeds of an arm; those of the first round where none are asked for."""
        return list(range(self.first, self.first + (seeds or self.start)))


class Controller(_Part):
    """Who steps the sweep, as old files say it: W&B (`cloud`) or a program of the user's (`local`)."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["cloud", "local"]


class Definition(_Part):
    """A sweep's file, but for its parameters, which `faults` looks at one by one."""

    apiVersion: str | None = None
    kind: Literal["sweep"] | None = None
    controller: Controller | None = None
    name: str | None = None
    description: str | None = None
    program: str | None = None
    job: str | None = None
    image_uri: str | None = None
    entity: str | None = None
    project: str | None = None
    command: list[Any] | None = None
    method: Literal["grid", "random", "bayes", "custom"]
    run_cap: int | None = Field(default=None, ge=1, lt=2**31)
    metric: Metric | None = None
    metrics: list[Metric] | None = Field(default=None, min_length=2)
    scheduler: Scheduler | None = None
    early_terminate: EarlyTermination | None = None
    replicates: Replicates | None = None
    parameters: Any = None

    @property
    def objectives(self) -> list[Metric]:
        """All metrics that are searched on."""
        return self.metrics or ([self.metric] if self.metric else [])


def leaves(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each searched or fixed key of nested parameters: its path (`dropout.p1`) and its definition (`{"min": 0.1, …}`)."""
    for path, _, definition in _placed(parameters, prefix, ()):
        yield path, definition


def places(parameters: Mapping[str, Any]) -> dict[str, Place]:
    """Where in a file each of these paths is defined."""
    return {path: place for path, place, _ in _placed(parameters, "", ("parameters",))}


@dataclass(frozen=True)
class Parameter:
    """A searched or fixed key. `names` are those that lead to it in nested values: `("optimizer", "lr")`."""

    path: str
    place: Place
    names: tuple[str, ...]
    distribution: Distribution


def parameters_of(config: Mapping[str, Any]) -> list[Parameter]:
    """The parameters of a sweep that is known to be good, in the order in which W&B draws them: by name."""
    placed = _placed(config.get("parameters", {}), "", ("parameters",), in_order=sorted)
    return [Parameter(path, place, tuple(map(str, place[1::2])), of(definition)) for path, place, definition in placed]


def assembled(parameters: Iterable[Parameter], values: Iterable[Any]) -> dict[str, Any]:
    """Values of these parameters, nested as a run has them."""
    return nested_by_names(zip((parameter.names for parameter in parameters), values, strict=True))


def value_at(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What nested values have for a parameter; None where it is not there."""
    inside: Any = values
    for name in names:
        inside = inside.get(name) if isinstance(inside, Mapping) else None
    return inside


def _placed(
    parameters: Mapping[str, Any], prefix: str, place: Place, in_order: Callable[[Mapping[str, Any]], Iterable[str]] = list
) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    for name in in_order(parameters):
        definition, here = parameters[name], (*place, name)
        if isinstance(definition, dict) and isinstance(definition.get("parameters"), dict):
            yield from _placed(definition["parameters"], f"{prefix}{name}.", (*here, "parameters"), in_order)
        else:
            yield f"{prefix}{name}", here, definition


def faults(config: Mapping[str, Any]) -> list[Fault]:
    """Why W&B would not take this sweep, or could not make use of it; nothing for a good one."""
    found: list[Fault] = []
    try:
        definition = Definition.model_validate(config)
    except ValidationError as error:
        found += [_told(fault) for fault in error.errors()]
        definition = None
    parameters = config.get("parameters")
    if isinstance(parameters, Mapping):
        found += _of_parameters(parameters, ("parameters",))
    elif "parameters" in config:
        found.append(Fault(("parameters",), f"parameters = {excerpt(parameters)}: must be a mapping of names"))
    if definition and not found:
        found += _of_what_goes_together(definition)
        found += _of_replicates(definition)
    return found


def _of_parameters(parameters: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    if not parameters:
        yield Fault(place, "parameters: has none: give it one")
    for name, definition in parameters.items():
        here = (*place, name)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            said = "a name begins with a letter or an underscore, and goes on with those, digits, dots and hyphens"
            yield Fault(here, f"parameters: {excerpt(name)}: {said}")
        elif not isinstance(definition, Mapping):
            yield Fault(here, f"{_path(here)} = {excerpt(definition)}: must be a mapping, such as {{value: …}} or {{values: […]}}")
        elif "parameters" in definition:
            yield from _of_nested(definition, here)
        else:
            yield from _of_definition(definition, here)


def _of_nested(definition: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    if others := [str(key) for key in definition if key != "parameters"]:
        yield Fault(place, f"{_path(place)}: {', '.join(others)} stands beside `parameters`: keep one of them")
    elif isinstance(definition["parameters"], Mapping):
        yield from _of_parameters(definition["parameters"], (*place, "parameters"))
    else:
        yield Fault(place, f"{_path(place)}.parameters = {excerpt(definition['parameters'])}: must be a mapping of names")


def _of_definition(definition: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    found = kind(definition)
    if found is None and "distribution" in definition:
        name = str(definition["distribution"])
        known = f"must be one of {', '.join(KINDS)}{nearest(name, KINDS)}"
        yield Fault((*place, "distribution"), f"{_path(place)}: distribution = {excerpt(name)}: {known}")
    elif found is None:
        yield Fault(place, f"{_path(place)}: says nothing to draw: give it `value`, `values`, `min` and `max`, or a `distribution`")
    else:
        try:
            found.model_validate(definition)
        except ValidationError as error:
            yield from (_told(fault, place, found.name) for fault in error.errors())


def _of_what_goes_together(sweep: Definition) -> Iterator[Fault]:
    scheduler, method = sweep.scheduler, sweep.method
    if sweep.parameters is None and not (scheduler and scheduler.search_space):
        yield Fault((), "parameters: is missing: a sweep needs it, unless `scheduler.search_space` names a function")
    if sweep.metric and sweep.metrics:
        yield Fault(("metrics",), "metrics: stands beside `metric`: keep `metric` for one objective, or `metrics` for several")
    elif sweep.metrics and method != "custom":
        yield Fault(("metrics",), f"metrics: several objectives need `method: custom` and a scheduler, not `method: {method}`")
    if scheduler:
        if sweep.controller and sweep.controller.type == "local":
            yield Fault(("controller",), "controller.type = local: a sweep has a `scheduler` or a local controller, not both")
        if sweep.early_terminate:
            yield Fault(("early_terminate",), "early_terminate: stands beside `scheduler`, whose engine decides by itself what to stop")
        if method not in (fitting := _METHODS[scheduler.engine]):
            said = f"method = {method}: the engine {scheduler.engine} goes with {' or '.join(fitting)}"
            yield Fault(("method",), said)
    parameters = parameters_of({"parameters": sweep.parameters or {}})
    if method == "grid":
        for parameter in parameters:
            if parameter.distribution.count is None:
                said = f"a grid has no {parameter.distribution.name}: give it `values`, or whole numbers as `min` and `max`"
                yield Fault(parameter.place, f"{parameter.path}: {said}")
    if method == "bayes" and sweep.metric is None and not scheduler:
        yield Fault(("method",), NO_METRIC)
    if (
        method == "bayes"
        and not any(parameter.distribution.is_searched for parameter in parameters)
        and not (scheduler and scheduler.search_space)
    ):
        yield Fault(("parameters",), "method = bayes: searches over nothing: every parameter has one value")


def _of_replicates(sweep: Definition) -> Iterator[Fault]:
    if (replicates := sweep.replicates) is None:
        return
    if sweep.scheduler and sweep.scheduler.search_space:
        said = f"scheduler.search_space = {sweep.scheduler.search_space} says every key of a run: have it draw the seed, or name parameters"
        yield Fault(("replicates",), f"replicates: {said}")
    if not all(map(_NAME.fullmatch, replicates.names)):
        yield Fault(("replicates", "key"), f"replicates.key = {excerpt(replicates.key)}: must be a parameter's name, such as train.seed")
        return
    inside: Any = sweep.parameters or {}
    for number, name in enumerate(replicates.names):
        definition = inside.get(name)
        is_last, is_group = number + 1 == len(replicates.names), isinstance(definition, Mapping) and "parameters" in definition
        if definition is not None and (is_last or not is_group):
            there = ".".join(replicates.names[: number + 1])
            yield Fault(("replicates", "key"), f"replicates.key = {replicates.key}: {there} stands in `parameters`, too: keep one of them")
            return
        inside = definition["parameters"] if definition else {}


def _told(fault: ErrorDetails, place: Place = (), name: str = "") -> Fault:
    """A fault that pydantic found, as a person has it."""
    inside = tuple(key for key in fault["loc"] if key not in ("float", "int", "function-plain[_number()]"))
    where = ".".join(part for part in (_path(place), *map(str, inside)) if part)
    key, at = str(inside[-1]) if inside else "", (*place, *inside)
    match fault["type"]:
        case "missing":
            what = f", and {name} needs it" if name else ""
            return Fault((*place, *inside[:-1]), f"{where}: is missing{what}")
        case "too_short":
            return Fault(at, f"{where}: has {fault['ctx']['actual_length']} items: must have at least {fault['ctx']['min_length']}")
        case "extra_forbidden":
            known = _known(inside, name)
            return Fault(at, f"{where}: unknown key {excerpt(key)}{nearest(key, known) or '; known are ' + ', '.join(known)}")
        case "value_error":
            return Fault(at, ": ".join(part for part in (where, str(fault["ctx"]["error"])) if part))
        case "literal_error":
            said = f"must be one of {fault['ctx']['expected']}".replace("'", "").replace(" or ", ", ")
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than" as bound:
            (limit,) = (fault["ctx"][key] for key in ("ge", "gt", "le", "lt") if key in fault["ctx"])
            said = f"must be {_BOUNDS[bound]} {limit}"
        case kind:
            said = _MUST_BE.get(kind) or fault["msg"]
    return Fault(at, f"{where} = {excerpt(fault['input'])}: {said}" if fault["type"] != "null" else f"{where}: {said}")


_BOUNDS = {"greater_than_equal": "at least", "greater_than": "above", "less_than_equal": "at most", "less_than": "below"}

_MUST_BE = {
    "model_type": "must be a mapping",
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "invalid_key": "a key is a word",
}
"""What a value of another type is told; a fault that is raised here says so itself."""


def _known(place: Place, name: str) -> Sequence[str]:
    """The keys that there are beside one that there is not."""
    if name:
        return list(KINDS[name].model_fields)
    model: Any = {
        "metric": Metric,
        "metrics": Metric,
        "scheduler": Scheduler,
        "early_terminate": EarlyTermination,
        "replicates": Replicates,
        "controller": Controller,
    }.get(str(place[0]) if len(place) > 1 else "", Definition)
    return list(model.model_fields)


def _path(place: Place) -> str:
    """A place as people write it: a parameter by its path (`optimizer.lr`)."""
    if place[:1] != ("parameters",):
        return ".".join(map(str, place))
    return ".".join(str(name) for number, name in enumerate(place[1:]) if number % 2 == 0)
