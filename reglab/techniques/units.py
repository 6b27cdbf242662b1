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
        """The place in the buffer behind the last of them."""
        return self.start + self.count * self.length


def unit_length(parameter: Tensor) -> int:
    """Return how many elements each unit of a parameter has: of a matrix or kernel (units, …), else of a vector or scalar all."""
    return parameter.numel() if parameter.ndim <= 1 else parameter.numel() // parameter.shape[0]
