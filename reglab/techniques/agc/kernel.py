"""Adaptive gradient clipping of a whole network in one launch of a Triton kernel: a program for each unit.

Each weight and each gradient is read once for the norms; only gradients that are too long are read and written again.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from reglab.techniques.agc.declared import SMALLEST_GRADIENT_NORM
from reglab.techniques.units import Units

BLOCK = 1024
"""Elements that a program reads at a time: units have 10 to 4,608."""


@triton.jit  # type: ignore[untyped-decorator]
def clip_units(weights, gradients, starts, lengths, clip, eps, smallest, clipped, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """Equation 3 of `agc` for the unit that is this program's number; says in `clipped` whether it was too long."""
    unit = tl.program_id(0)
    start, length = tl.load(starts + unit), tl.load(lengths + unit)
    offsets = tl.arange(0, BLOCK)
    weight_squares, gradient_squares = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for begin in range(0, length, BLOCK):
        inside = begin + offsets < length
        weight = tl.load(weights + start + begin + offsets, mask=inside, other=0.0)
        gradient = tl.load(gradients + start + begin + offsets, mask=inside, other=0.0)
        weight_squares += weight * weight
        gradient_squares += gradient * gradient
    norm = tl.sqrt(tl.sum(gradient_squares, 0))
    # A broken weight makes the limit NaN, hence the gradient, as it does outside the kernel: maximum alone would drop it.
    limit = tl.maximum(tl.sqrt(tl.sum(weight_squares, 0)), eps, propagate_nan=tl.PropagateNan.ALL) * tl.load(clip)
    too_long = (norm < limit) == 0  # true for NaN, so that a broken gradient stays visible
    tl.store(clipped + unit, too_long.to(tl.float32))
    if too_long:
        factor = limit / tl.where(norm != norm, norm, tl.maximum(norm, smallest))  # noqa: PLR0124
        for begin in range(0, length, BLOCK):
            inside = begin + offsets < length
            place = gradients + start + begin + offsets
            tl.store(place, tl.load(place, mask=inside, other=0.0) * factor, mask=inside)


class ClipKernel:
    """`clip_units` on the buffers of one network. flat: (2, n) in fp32, weights and gradients."""

    def __init__(self, flat: Tensor, groups: Sequence[Units]):
        starts = [group.start + unit * group.length for group in groups for unit in range(group.count)]
        lengths = [group.length for group in groups for _ in range(group.count)]
        self.weights, self.gradients = flat
        self.starts = torch.tensor(starts, dtype=torch.int32, device=flat.device)
        self.lengths = torch.tensor(lengths, dtype=torch.int32, device=flat.device)
        self.clipped = torch.empty(len(starts), device=flat.device)

    def __call__(self, clip: Tensor, eps: float) -> Tensor:
        """Clip in one launch, by a limit () on the device; returns the fraction of units that were clipped, a scalar there."""
        buffers = self.weights, self.gradients, self.starts, self.lengths
        clip_units[(len(self.starts),)](*buffers, clip, eps, SMALLEST_GRADIENT_NORM, self.clipped, BLOCK, enable_fp_fusion=True)
        return self.clipped.mean()
