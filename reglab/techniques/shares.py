"""Shares at which two images, or two labels, are mixed."""

import torch
from torch import Tensor


def beta(parameters: Tensor, generator: torch.Generator) -> Tensor:
    """A draw () from Beta(a, b), given (2,) float64 on the generator's device: of two gamma draws, the share of the first."""
    first, second = torch._standard_gamma(parameters, generator=generator).unbind()
    return first / (first + second)
