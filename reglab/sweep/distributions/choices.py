"""Distributions of values that the file lists, of any kind."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from reglab.sweep.distributions.distribution import Distribution, Number, whole_at


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
        return self.values[whole_at(share, 0, len(self.values))]


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


def same(value: Any) -> str:
    """What two values have in common that W&B takes for one: 3.0 is 3, and neither is true."""
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)
