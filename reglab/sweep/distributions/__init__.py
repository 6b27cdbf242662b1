"""The distributions of a sweep's parameters: W&B's, with what each accepts and what it draws."""

from collections.abc import Mapping
from typing import Any

from reglab.sweep.distributions.choices import Categorical, CategoricalWithProbabilities, Constant, same
from reglab.sweep.distributions.distribution import Distribution, Number
from reglab.sweep.distributions.numbers import (
    Beta,
    Exponents,
    IntUniform,
    InvLogUniform,
    InvLogUniformValues,
    LogNormal,
    LogUniform,
    LogUniformValues,
    Normal,
    QBeta,
    QLogNormal,
    QLogUniform,
    QLogUniformValues,
    QNormal,
    Quantized,
    QUniform,
    Uniform,
)

__all__ = ["KINDS", "Constant", "Distribution", "Exponents", "IntUniform", "Number", "Quantized", "kind", "of", "same"]

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
