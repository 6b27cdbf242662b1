"""The distributions of a sweep's parameters: W&B's, with what each accepts and what it draws.

A distribution is its quantile function: `at(share)` is the value that so large a share of all draws does not exceed. Drawing is
`at` of a uniform number, a grid is the values of those that have few, and a search that learns works on shares, which lie between
0 and 1 for every distribution. The arithmetic is that of W&B's own engine (sweeps 0.3), operation by operation.
"""

import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise PydanticCustomError("number", "must be a number")
    return value


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


Number = Annotated[float, PlainValidator(_number)]
"""A finite number, kept as it stands in the file: a whole `q` makes whole draws."""

Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""Of those that a float tells apart."""

Positive = Annotated[Number, Field(gt=0)]


class Distribution(BaseModel):
    """What a parameter may be. `distribution` is its name in the file, which some need not have there."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: ClassVar[str]
    is_continuous: ClassVar[bool] = True
    """Whether it draws real numbers, not choices or steps."""
    is_numeric: ClassVar[bool] = True

    def at(self, share: float) -> Any:
        """The quantile of a share from 0 to 1."""
        raise NotImplementedError

    def share(self, value: Any) -> float:
        """The share of draws below a value: the inverse of `at`, but for what `at` rounds."""
        raise NotImplementedError

    @property
    def is_searched(self) -> bool:
        """Whether it draws more than one value."""
        return True

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest number that it draws; infinite where there is none."""
        return self.at(0.0), self.at(1.0)

    @property
    def choices(self) -> list[Any] | None:
        """The values that it draws, where the file lists them."""
        return None

    @property
    def count(self) -> int | None:
        """How many cells a grid has of it; none where it may not be in a grid."""
        return None

    @property
    def cells(self) -> list[Any]:
        """What a grid has of it, in order."""
        raise NotImplementedError

    @property
    def ends(self) -> list[Any]:
        """The values that the file itself gives: every choice, or the least and the greatest number."""
        return list(self.choices or ())

    def covers(self, number: float) -> bool:
        """Whether it may have drawn this number, here or on W&B's server, which rounds otherwise."""
        low, high = self.limits
        step = getattr(self, "q", 0)
        return low - step <= number <= high + step or any(math.isclose(number, end) for end in (low, high))


class Constant(Distribution):
    """One value."""

    name = "constant"
    is_continuous = is_numeric = False
    distribution: Literal["constant"] = "constant"
    value: Any

    def at(self, share: float) -> Any:
        return self.value

    @property
    def is_searched(self) -> bool:
        return False

    @property
    def choices(self) -> list[Any]:
        return [self.value]

    @property
    def count(self) -> int:
        return 1

    @property
    def cells(self) -> list[Any]:
        return self.choices


class _Choice(Distribution):
    is_continuous = is_numeric = False
    values: list[Any] = Field(min_length=1)

    @property
    def is_searched(self) -> bool:
        return len({same(value) for value in self.values}) > 1

    @property
    def choices(self) -> list[Any]:
        return self.values


class Categorical(_Choice):
    """One of some values, all as likely."""

    name = "categorical"
    distribution: Literal["categorical"] = "categorical"

    @property
    def count(self) -> int:
        return len(self.cells)

    @property
    def cells(self) -> list[Any]:
        return list({same(value): value for value in self.values}.values())

    def at(self, share: float) -> Any:
        return self.values[_whole_at(share, 0, len(self.values))]


class CategoricalWithProbabilities(_Choice):
    """One of some values, each with its probability."""

    name = "categorical_w_probabilities"
    distribution: Literal["categorical_w_probabilities"] = "categorical_w_probabilities"
    probabilities: list[Annotated[Number, Field(ge=0)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        if len(self.probabilities) != len(self.values):
            raise ValueError(f"{len(self.probabilities)} probabilities for {len(self.values)} values: give each value one")
        if not math.isclose(total := sum(self.probabilities), 1, rel_tol=1e-5, abs_tol=1e-8):
            raise ValueError(f"probabilities come to {total:g}, not to 1")
        return self

    def at(self, share: float) -> Any:
        reached = 0.0
        for value, probability in zip(self.values, self.probabilities, strict=True):
            reached += probability
            if share < reached:
                return value
        return self.values[max(number for number, probability in enumerate(self.probabilities) if probability)]


class _Bounded(Distribution):
    min: Number
    max: Number

    @model_validator(mode="after")
    def _min_is_below_max(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min = {self.min} is not below max = {self.max}")
        return self

    @property
    def ends(self) -> list[Any]:
        return list(self.limits)


class IntUniform(_Bounded):
    """A whole number between two, both among them, all as likely."""

    name = "int_uniform"
    is_continuous = False
    distribution: Literal["int_uniform"] = "int_uniform"
    min: Whole
    max: Whole

    def at(self, share: float) -> int:
        return _whole_at(share, self.min, self.max + 1)

    def share(self, value: Any) -> float:
        return float(value - self.min) / (self.max - self.min)

    @property
    def limits(self) -> tuple[float, float]:
        return self.min, self.max

    @property
    def count(self) -> int:
        return self.max + 1 - self.min

    @property
    def cells(self) -> list[int]:
        return list(range(self.min, self.max + 1))


class Uniform(_Bounded):
    """A real number between two."""

    name = "uniform"
    distribution: Literal["uniform"] = "uniform"

    def at(self, share: float) -> float:
        return _between(share, self.min, self.max)

    def share(self, value: Any) -> float:
        return float(value - self.min) / (self.max - self.min)


class Exponents(_Bounded):
    """Of the old kind, whose `min` and `max` are exponents of e."""

    replacement: ClassVar[str]

    @model_validator(mode="after")
    def _is_a_number(self) -> Self:
        for key, exponent in (("min", self.min), ("max", self.max)):
            if abs(exponent) > _MOST_EXPONENT:
                said = f"{key} = {exponent} is an exponent of e, and e to its power is no number"
                raise ValueError(f"{said}: {self.replacement} takes the values themselves")
        return self

    def at(self, share: float) -> float:
        return _exp(_between(share, self.min, self.max))

    def share(self, value: Any) -> float:
        return (_log(value) - self.min) / (self.max - self.min)


_MOST_EXPONENT = 700


class LogUniform(Exponents):
    """A number whose natural logarithm is uniform between `min` and `max`."""

    name = "log_uniform"
    replacement = "log_uniform_values"
    distribution: Literal["log_uniform"]


class InvLogUniform(Exponents):
    """A number the logarithm of whose inverse is uniform between `min` and `max`."""

    name = "inv_log_uniform"
    replacement = "inv_log_uniform_values"
    distribution: Literal["inv_log_uniform"]

    def at(self, share: float) -> float:
        return _exp(-_between(1 - share, self.min, self.max))

    def share(self, value: Any) -> float:
        return 1 - (-_log(value) - self.min) / (self.max - self.min)


class _LogValues(_Bounded):
    min: Positive

    def at(self, share: float) -> float:
        return _exp(_between(share, _log(self.min), _log(self.max)))

    def share(self, value: Any) -> float:
        low, high = _log(self.min), _log(self.max)
        return (_log(value) - low) / (high - low)


class LogUniformValues(_LogValues):
    """A number between `min` and `max` whose logarithm is uniform."""

    name = "log_uniform_values"
    distribution: Literal["log_uniform_values"]


class InvLogUniformValues(_LogValues):
    """As W&B has it, the logarithm of the inverse is uniform; between the same two values."""

    name = "inv_log_uniform_values"
    distribution: Literal["inv_log_uniform_values"]

    def at(self, share: float) -> float:
        return _exp(-_between(1 - share, -_log(self.max), -_log(self.min)))


class Normal(Distribution):
    """A number about `mu` with a standard deviation of `sigma`."""

    name = "normal"
    distribution: Literal["normal"]
    mu: Number = 0.0
    sigma: Positive = 1.0

    def at(self, share: float) -> float:
        return _normal(share) * self.sigma + self.mu

    def share(self, value: Any) -> float:
        return _below_normal((value - self.mu) / self.sigma)


class LogNormal(Distribution):
    """A number whose logarithm is normal."""

    name = "log_normal"
    distribution: Literal["log_normal"]
    mu: Number = 0.0
    sigma: Positive = 1.0

    def at(self, share: float) -> float:
        return _exp(self.sigma * _normal(share)) * _exp(self.mu)

    def share(self, value: Any) -> float:
        return _below_normal((_log(value) - self.mu) / self.sigma)


class Beta(Distribution):
    """A share from 0 to 1, of the beta distribution with `a` and `b`."""

    name = "beta"
    distribution: Literal["beta"]
    a: Positive = 1.0
    b: Positive = 1.0

    def at(self, share: float) -> float:
        from scipy.special import betaincinv

        return float(betaincinv(self.a, self.b, share))

    def share(self, value: Any) -> float:
        from scipy.special import betainc

        return float(betainc(self.a, self.b, min(max(value, 0), 1)))


_NEAR = 1e-9


class Quantized(Distribution):
    """In steps of `q`: the nearest to what the distribution under it draws."""

    is_continuous = False
    q: Positive = 1.0

    @property
    def ends(self) -> list[Any]:
        return [self.at(share) for share in (_NEAR, 1 - _NEAR)] if super().ends else []

    def at(self, share: float) -> float:
        exact: float = super().at(share)
        steps = exact / self.q  # half a step is rounded to the even one, at one point that chance does not hit
        return round(steps) * self.q if math.isfinite(steps) else exact


class QUniform(Quantized, Uniform):
    """`uniform` in steps."""

    name = "q_uniform"
    distribution: Literal["q_uniform"]  # type: ignore[assignment]

    @property
    def count(self) -> int:
        steps = (self.max - self.min) / self.q
        return math.ceil(steps) if math.isfinite(steps) else sys.maxsize

    @property
    def cells(self) -> list[Any]:
        """Up to `max`, which a grid leaves out."""
        step = (self.min + self.q) - self.min  # as numpy counts
        return [self.min + number * step for number in range(self.count)]


class QLogUniform(Quantized, LogUniform):
    """`log_uniform` in steps."""

    name = "q_log_uniform"
    replacement = "q_log_uniform_values"
    distribution: Literal["q_log_uniform"]  # type: ignore[assignment]


class QLogUniformValues(Quantized, LogUniformValues):
    """`log_uniform_values` in steps."""

    name = "q_log_uniform_values"
    distribution: Literal["q_log_uniform_values"]  # type: ignore[assignment]


class QNormal(Quantized, Normal):
    """`normal` in steps."""

    name = "q_normal"
    distribution: Literal["q_normal"]  # type: ignore[assignment]


class QLogNormal(Quantized, LogNormal):
    """`log_normal` in steps."""

    name = "q_log_normal"
    distribution: Literal["q_log_normal"]  # type: ignore[assignment]


class QBeta(Quantized, Beta):
    """`beta` in steps."""

    name = "q_beta"
    distribution: Literal["q_beta"]  # type: ignore[assignment]


KINDS: dict[str, type[Distribution]] = {
    kind.name: kind
    for kind in (
        Constant,
        Categorical,
        CategoricalWithProbabilities,
        IntUniform,
        Uniform,
        QUniform,
        LogUniformValues,
        InvLogUniformValues,
        QLogUniformValues,
        LogUniform,
        InvLogUniform,
        QLogUniform,
        Normal,
        QNormal,
        LogNormal,
        QLogNormal,
        Beta,
        QBeta,
    )
}
"""All that W&B knows, by their names in a file."""


def kind(definition: Mapping[str, Any]) -> type[Distribution] | None:
    """Which distribution a definition means; none where it does not say, or names none that is known."""
    if "distribution" in definition:
        name = definition["distribution"]
        return KINDS.get(name) if isinstance(name, str) else None
    if "value" in definition:
        return Constant
    if "values" in definition:
        return CategoricalWithProbabilities if "probabilities" in definition else Categorical
    if "min" in definition or "max" in definition:
        ends = [definition[key] for key in ("min", "max") if key in definition]
        return IntUniform if all(isinstance(end, int) for end in ends) else Uniform
    return None


def of(definition: Mapping[str, Any]) -> Distribution:
    """The distribution of a definition that is known to be good."""
    found = kind(definition)
    assert found is not None
    return found.model_validate(definition)


def same(value: Any) -> str:
    """What two values have in common that W&B takes for one: 3.0 is 3, and neither is true."""
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)


def _between(share: float, low: float, high: float) -> float:
    return share * (high - low) + low


def _whole_at(share: float, low: int, end: int) -> int:
    """The quantile of whole numbers from `low` to below `end`, which are all as likely."""
    number = math.ceil(share * (end - low) + low) - 1
    before = max(number - 1, low)
    return before if (before - low + 1) / (end - low) >= share else max(number, low)


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _normal(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _below_normal(value: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(value))
