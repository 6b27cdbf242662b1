"""Units of a network's parameters: output channels of convolutions, rows of linear layers, and each vector as one."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Units:
    """Units of one length that are neighbours in a flat buffer."""

    start: int  # their first element
    count: int
    length: int  # elements of each

    @property
    def end(self) -> int:
        return self.start + self.count * self.length


def unit_length(parameter: Tensor) -> int:
    """Elements of each unit of a parameter."""
    return parameter.numel() if parameter.ndim <= 1 else parameter.numel() // parameter.shape[0]
