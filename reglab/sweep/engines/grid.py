"""Every cell of a grid, once."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import product
from typing import Any

from reglab.sweep.definition import parameters_of, value_at
from reglab.sweep.engines.engine import Engine

SEED = ("train", "seed")


def size(config: Mapping[str, Any]) -> int:
    """How many cells a grid has, known before any is made."""
    return math.prod(parameter.distribution.count or 0 for parameter in parameters_of(config))


class Grid(Engine):
    """One seed after the other, so that a sweep cut short has every arm once; within a seed in W&B's order."""

    @property
    def exhausted(self) -> bool:
        return super().exhausted or len(self.trials) >= len(self._cells)

    def _draw(self) -> dict[str, Any]:
        return self._cells[len(self.trials)]

    @cached_property
    def _cells(self) -> list[dict[str, Any]]:
        choices: list[Iterable[Any]] = [parameter.distribution.cells for parameter in self.parameters]
        return sorted((self._assembled(values) for values in product(*choices)), key=_seed)


def _seed(values: Mapping[str, Any]) -> tuple[bool, float, str]:
    """Numbers first, by their value; whatever else a program takes for a seed comes after them."""
    seed = value_at(values, SEED)
    is_number = seed is None or isinstance(seed, int | float)
    return not is_number, (seed or 0) if is_number else 0, "" if is_number else str(seed)
