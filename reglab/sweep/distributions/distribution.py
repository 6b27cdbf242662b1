"""What a distribution answers, and the numbers that a definition may have.

A distribution is its quantile function: `at(share)` is the value that so large a share of all draws does not exceed. Drawing is
`at` of a uniform number, a grid is the values of those that have few, and a search that learns works on shares, which lie between
0 and 1 for every distribution. The arithmetic is that of W&B's own engine (sweeps 0.3), operation by operation.
"""

import math
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
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


def whole_at(share: float, low: int, end: int) -> int:
    """The quantile of whole numbers from `low` to below `end`, which are all as likely."""
    number = math.ceil(share * (end - low) + low) - 1
    before = max(number - 1, low)
    return before if (before - low + 1) / (end - low) >= share else max(number, low)
