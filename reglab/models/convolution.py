"""Convolutions of the network: square kernels, zero padding, and no multiplication by that padding where it is all around."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv2d(nn.Conv2d):
    """PyTorch's, except where the output is a single position: there it is a linear layer of the input that the kernel meets.

    A ResNet-50 with the ImageNet stem sees images of 32×32 as one position in its last stage, where eight of a 3×3 kernel's
    nine weights meet padding only, and where convolution kernels reach a third of a matrix product's speed on a CPU.

    A 1×1 kernel of few channels and a stride is given the positions that it meets, and no stride (`BLOCK`).
    """

    BLOCK = 16
    """Input channels that oneDNN takes at a time with AVX-512; 8 with AVX2. Of fewer, channels last, the gradient of a strided 1×1
    kernel is written past the end of its memory (oneDNN 3.13, https://github.com/uxlfoundation/oneDNN/issues/6035): a process that
    dies, or a gradient that is wrong. `nn.Conv2d(4, 8, 1, stride=2).to(memory_format=torch.channels_last)` and `backward()` on
    (32, 4, 8, 8), also channels last, show it in plain torch 2.15 within some hundred calls."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        height, width = input.shape[2:]
        if height != width or width >= kernel + stride - 2 * padding:
            if kernel == 1 and stride > 1 and self.in_channels < self.BLOCK:
                return F.conv2d(input[:, :, ::stride, ::stride], weight, bias)
            out: Tensor = super()._conv_forward(input, weight, bias)
            return out
        met = min(width, kernel - padding)
        last = (0, 2, 3, 1)  # channels last, as both lie in memory: a copy of neither where one position is met
        # Permuted before they are cut, for a cut tensor's gradient is made anew and contiguous: so its memory, too, is channels last.
        seen, taps = input.permute(last)[:, :met, :met], weight.permute(last)[:, padding : padding + met, padding : padding + met]
        return F.linear(seen.flatten(1), taps.flatten(1), bias)[:, :, None, None]


class StandardizedConv2d(Conv2d):
    """Convolution with scaled weight standardization (Brock et al. 2021, https://arxiv.org/abs/2101.08692, equation 1).

    Each output channel's weights have zero mean and variance γ² / fan-in, times a learned gain; γ undoes the rectifier's
    loss of variance.
    """

    RELU_GAMMA = math.sqrt(2 / (1 - 1 / math.pi))
    LEAST = 1e-4
    """Of what is divided by, squared: fan-in times the variance."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels))  # a vector, hence one unit to AGC
        self.ready: Tensor | None  # the standardized weight, where `Standardization` has made it
        self.register_buffer("ready", None, persistent=False)

    def standardized(self) -> Tensor:
        """Return the weight of equation 1 in fp32, (outputs, inputs, height, width), of which autograd knows the way back."""
        weight = self.weight.float()
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        fan_in = weight[0].numel()
        return (weight - mean) * torch.rsqrt((variance * fan_in).clamp(min=self.LEAST)) * (self.gain * self.RELU_GAMMA).view(-1, 1, 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W) with the standardized weight: the one that is ready, or one that is made here."""
        return self._conv_forward(input, self.standardized() if self.ready is None else self.ready, self.bias)


@dataclass(frozen=True)
class Rows:
    """Weights of many layers: a channel's are a row. All are (channels, fan-in); `ready` is in the type that convolutions compute in."""

    weights: Tensor
    gradients: Tensor
    ready: Tensor


class Standardization:
    """`StandardizedConv2d.standardized` for all layers at once, and its gradient: some launches for each fan-in.

    Layer by layer, with its gradient by autograd, a ResNet-50 takes two thousand. weights, gradients: flat, of the whole network;
    gains: where those of the rows lie in them, (all rows,). Every call works in place, and can be captured in a CUDA graph.
    """

    def __init__(self, groups: Sequence[Rows], weights: Tensor, gradients: Tensor, gains: Tensor):
        self._groups, self._weights, self._gradients, self._gains = groups, weights, gradients, gains
        self._counts = [len(rows.weights) for rows in groups]
        fan_ins = [float(rows.weights.shape[1]) for rows in groups for _ in range(len(rows.weights))]
        self._fan_ins = torch.tensor(fan_ins, device=weights.device)
        self._normed = [torch.empty_like(rows.weights) for rows in groups]  # rows of mean 0 and norm 1

    @torch.no_grad()
    def forward(self) -> None:
        """Make the weights ready."""
        moments = [torch.var_mean(rows.weights, dim=1, correction=0) for rows in self._groups]
        squares = torch.cat([variance for variance, _ in moments]) * self._fan_ins
        self._moves = squares >= StandardizedConv2d.LEAST
        inverse = torch.rsqrt(squares.clamp(min=StandardizedConv2d.LEAST))
        gains = self._weights[self._gains] * StandardizedConv2d.RELU_GAMMA
        self._factors = inverse * gains
        per_group = zip(self._groups, self._normed, moments, inverse.split(self._counts), gains.split(self._counts), strict=True)
        for rows, normed, (_, mean), factor, gain in per_group:
            torch.sub(rows.weights, mean[:, None], out=normed).mul_(factor[:, None])
            torch.mul(normed, gain[:, None], out=rows.ready)

    @torch.no_grad()
    def backward(self) -> None:
        """Turn gradients of what is ready, where those of the weights belong, into those of weights and gains.

        For a row w with mean 0 and norm 1 as n, of factor f, the gradient of f·n is g: that of w is f·(g − mean(g) − n·(n·g)),
        without its last term where the variance is too small to count; that of the gain is γ·(n·g).
        """
        along = torch.cat([torch.linalg.vecdot(rows.gradients, normed) for rows, normed in zip(self._groups, self._normed, strict=True)])
        self._gradients[self._gains] = along * StandardizedConv2d.RELU_GAMMA
        taken = along * self._moves
        for rows, normed, factor, part in zip(
            self._groups, self._normed, self._factors.split(self._counts), taken.split(self._counts), strict=True
        ):
            gradients = rows.gradients
            gradients.sub_(gradients.mean(1, keepdim=True)).addcmul_(normed, part[:, None], value=-1).mul_(factor[:, None])
