"""Adaptive gradient clipping (Brock, De, Smith and Simonyan 2021, https://arxiv.org/abs/2102.06171, equation 3).

The gradient G of a unit with weights W is scaled to norm clip · max(‖W‖, eps) where it is longer than that. A unit is an
output channel of a convolution or a row of a linear layer; a vector (bias, normalization weight) is one unit. The weight
of the final linear layer is left alone, as in the authors' code.

Parameter by parameter this takes ten operations for each of 160 tensors. Here weights and gradients lie in flat buffers
in which units of one length are neighbours, hence rows of a matrix: a dozen matrices in a ResNet-50, and on a GPU one
kernel for all of them.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reglab.errors import first_line
from reglab.techniques.agc.declared import SMALLEST_GRADIENT_NORM, AGCConfig
from reglab.techniques.applied import Averaging, Weights
from reglab.techniques.units import Units

if TYPE_CHECKING:
    from reglab.techniques.agc.kernel import ClipKernel

_log = logging.getLogger(__name__)


def factors(weight_norms: Tensor, gradient_norms: Tensor, clip: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Equation 3 for units (U,): what each gradient is multiplied by, and whether it is short enough to stay as it is."""
    limit = weight_norms.clamp(min=eps).mul_(clip)
    within = gradient_norms < limit  # false for NaN, so that a broken gradient stays visible
    return torch.where(within, 1.0, limit / gradient_norms.clamp(min=SMALLEST_GRADIENT_NORM)), within


def kernel(flat: Tensor, groups: Sequence[Units]) -> "ClipKernel | None":
    """Return one launch for all units of `flat` (2, n); None, and a line that says why, where Triton finds no C compiler."""
    try:
        from reglab.techniques.agc.kernel import ClipKernel

        ClipKernel(torch.zeros(2, 64, device=flat.device), [Units(0, 1, 64)])(torch.ones((), device=flat.device), 1e-3)
        return ClipKernel(flat, groups)
    except Exception as error:  # the compiler's, the driver's, Triton's own
        _log.warning("gradients are clipped without Triton's kernel, in more launches: %s", first_line(error))
        return None


class AdaptiveClip:
    """Scales the gradients of `groups` by equation 3, in place. `clip` may be changed between calls.

    flat: (2, n) in fp32: weights, then their gradients, which must be unscaled.
    A call never waits for the device and can be captured in a CUDA graph. It returns the fraction of units that were
    clipped, a scalar on the device.
    """

    def __init__(self, flat: Tensor, groups: Sequence[Units], clip: float, eps: float):
        self.clip, self.eps = torch.tensor(clip, device=flat.device), eps
        units = sum(group.count for group in groups)
        self._norms, self._factors = torch.empty(2, units, device=flat.device), torch.empty(units, device=flat.device)
        counts = [group.count for group in groups]
        matrices = [flat[:, group.start : group.end].view(2, group.count, group.length) for group in groups]
        self._by_length = list(zip(matrices, self._norms.split(counts, dim=1), strict=True))
        self._gradients = [(matrix[1], factor[:, None]) for matrix, factor in zip(matrices, self._factors.split(counts), strict=True)]
        self._kernel = kernel(flat, groups) if flat.is_cuda else None

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Clip the gradients in `flat` in place; returns the fraction of units that were clipped, a scalar on the device."""
        if self._kernel:
            return self._kernel(self.clip, self.eps)
        for matrix, norms in self._by_length:
            torch.linalg.vector_norm(matrix, dim=2, out=norms)
        weight_norms, gradient_norms = self._norms
        scale, within = factors(weight_norms, gradient_norms, self.clip, self.eps)
        self._factors.copy_(scale)
        for gradient, factor in self._gradients:
            gradient.mul_(factor)
        return 1 - within.float().mean()


class AGC(Averaging[AGCConfig]):
    """Clips the gradients of all units but those of the weights of the last layer."""

    probe = "agc/clipped_fraction"

    clip: AdaptiveClip

    def take(self, weights: Weights) -> None:
        if not weights.spares_last:
            _log.warning("gradients of the last layer are clipped, too: no single linear layer of this network has an output a class")
        self.clip = AdaptiveClip(weights.flat, weights.units, self.own.clip, self.own.eps)

    def on_gradients(self) -> None:
        self.tell(self.clip())
