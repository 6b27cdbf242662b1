"""What networks are made of, place by place: a convolution, and what techniques put behind it."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from reglab.config import RunConfig
from reglab.models.convolution import Conv2d, StandardizedConv2d
from reglab.techniques.applied import Applied


class Layers:
    """Makes the layers of one place in a network of so many residual `branches`, from a configuration and the techniques `applied`."""

    def __init__(self, config: RunConfig, applied: Sequence[Applied[Any]], branches: int):
        self.config, self.applied, self.branches = config, applied, branches
        self.convolution = StandardizedConv2d if config.model.standardize else Conv2d

    def position(self, stage: int, unit: int) -> int:
        """What the number of layers counts: units of a block, or stages of the network (both from 1)."""
        return unit if self.config.model.placement == "unit" else stage

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int, position: int) -> Conv2d:
        """A convolution that keeps the extent at stride 1, with a bias exactly where no normalization follows."""
        bias = not any(each.shifts(position) for each in self.applied)
        return self.convolution(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)

    def projection(self, inputs: int, outputs: int, stride: int) -> Conv2d:
        """A 1x1 convolution for a shortcut, without a bias: what it is added to has one, or is normalized afterwards."""
        return self.convolution(inputs, outputs, 1, stride, bias=False)

    def norm(self, channels: int, position: int) -> nn.Module:
        """Return what follows a convolution at `position`, of (N, channels, H, W): what the techniques put there, or nothing at all."""
        return _together(each.after_convolution(position, channels) for each in self.applied)

    def drop(self, position: int) -> nn.Module:
        """Return what ends the unit at `position`."""
        return _together(each.after_unit(position) for each in self.applied)

    def branch(self, number: int) -> nn.Module:
        """Return what ends the residual branch of block `number` (from 1)."""
        return _together(each.on_branch(number, self.branches) for each in self.applied)


def _together(layers: Iterable[nn.Module | None]) -> nn.Module:
    """All of these in a row; one that is alone keeps its place in the network's names."""
    found = [layer for layer in layers if layer is not None]
    return nn.Identity() if not found else found[0] if len(found) == 1 else nn.Sequential(*found)


def initialize(network: nn.Module, init: str) -> None:
    """Glorot and Bengio 2010 (uniform) or He et al. 2015 (normal, fan-out) weights; biases zero; normalization starts as the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if init == "glorot":
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
