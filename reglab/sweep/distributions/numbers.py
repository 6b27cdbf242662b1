"""Distributions of numbers: between two ends, around a mean, and in steps."""

import math
import sys
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from reglab.sweep.distributions.distribution import Distribution, Number, Positive, Whole, whole_at


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
        return whole_at(share, self.min, self.max + 1)

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


def _between(share: float, low: float, high: float) -> float:
    return share * (high - low) + low


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
