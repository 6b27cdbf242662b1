"""Adaptive gradient clipping (Brock, De, Smith and Simonyan 2021, https://arxiv.org/abs/2102.06171, equation 3).

The gradient G of a unit with weights W is scaled to norm clip · max(‖W‖, eps) where it is longer than that. A unit is an
output channel of a convolution or a row of a linear layer; a vector (bias, normalization weight) is one unit. The weight
of the final linear layer is left alone, as in the authors' code.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SMALLEST_GRADIENT_NORM = 1e-6
"""Keeps the quotient finite for a gradient of zeros; the authors' value."""


def clipped_parameters(network: nn.Module, head: nn.Linear) -> list[nn.Parameter]:
    """The parameters of `network` that AGC acts on: all but the weight of `head`, its final linear layer."""
    return [parameter for parameter in network.parameters() if parameter is not head.weight]


def unit_norms(tensor: Tensor) -> Tensor:
    """The norm of each unit: (units,) along the first dimension, or (1,) for a vector."""
    return torch.linalg.vector_norm(tensor.reshape(1, -1) if tensor.ndim <= 1 else tensor.flatten(1), dim=1)


@torch.no_grad()
def adaptive_clip(parameters: Sequence[nn.Parameter], clip: float, eps: float) -> Tensor:
    """Scale gradients in place by equation 3; returns the fraction of units that were clipped, a scalar on the device.

    Never waits for the device. Gradients must be unscaled. Parameters without a gradient are left out.
    """
    present = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in present if parameter.grad is not None]
    weight_norms = [unit_norms(parameter) for parameter in present]
    limit = torch.cat(weight_norms).clamp_(min=eps).mul_(clip)
    norms = torch.cat([unit_norms(gradient) for gradient in gradients])
    within = norms < limit  # false for NaN, so that a broken gradient stays visible
    scale = torch.where(within, 1.0, limit / norms.clamp(min=_SMALLEST_GRADIENT_NORM))
    for gradient, factor in zip(gradients, scale.split([len(norm) for norm in weight_norms]), strict=True):
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
    return 1 - within.float().mean()
