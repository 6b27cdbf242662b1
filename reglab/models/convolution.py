"""Convolutions of the network: square kernels, zero padding, and no multiplication by that padding where it is all around."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv2d(nn.Conv2d):
    """PyTorch's, except where the output is a single position: there it is a linear layer of the input that the kernel meets.

    A ResNet-50 with the ImageNet stem sees images of 32×32 as one position in its last stage, where eight of a 3×3 kernel's
    nine weights meet padding only, and where convolution kernels reach a third of a matrix product's speed on a CPU.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        height, width = input.shape[2:]
        if height != width or width >= kernel + stride - 2 * padding:
            return super()._conv_forward(input, weight, bias)
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

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels))  # a vector, hence one unit to AGC

    def standardized(self) -> Tensor:
        weight = self.weight.float()
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        fan_in = weight[0].numel()
        return (weight - mean) * torch.rsqrt((variance * fan_in).clamp(min=1e-4)) * (self.gain * self.RELU_GAMMA).view(-1, 1, 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.standardized(), self.bias)
