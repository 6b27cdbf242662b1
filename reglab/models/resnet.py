"""ResNet-50 (He et al. 2016, https://arxiv.org/abs/1512.03385) with normalization and dropout layers where the study puts them.

Every bottleneck block has three convolution units: convolution, normalization, rectifier, dropout. The third is added to
the shortcut before its rectifier. With batch normalization in all three and the ImageNet stem, this is torchvision's
`resnet50`, parameter names included.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.models.convolution import Conv2d, StandardizedConv2d
from reglab.techniques.applied import Applied, apply

EXPANSION = 4
"""Output channels of a block over its inner channels."""

BLOCKS_PER_STAGE = (3, 4, 6, 3)


class Layers:
    """Makes the layers of one place in the network from a configuration, and from the techniques that are applied."""

    def __init__(self, config: RunConfig, applied: Sequence[Applied[Any]]):
        self.config, self.applied = config, applied
        self.convolution = StandardizedConv2d if config.model.standardize else Conv2d

    def position(self, stage: int, unit: int) -> int:
        """What the number of layers counts: units of a block, or stages of the network (both from 1)."""
        return unit if self.config.model.placement == "unit" else stage

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int, position: int) -> Conv2d:
        """A convolution that keeps the extent at stride 1, with a bias exactly where no normalization follows."""
        bias = not any(each.shifts(position) for each in self.applied)
        return self.convolution(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)

    def norm(self, channels: int, position: int) -> nn.Module:
        """Return what follows a convolution at `position`, of (N, channels, H, W): what the techniques put there, or nothing at all."""
        return _together(each.after_convolution(position, channels) for each in self.applied)

    def drop(self, position: int) -> nn.Module:
        """Return what ends the unit at `position`."""
        return _together(each.after_unit(position) for each in self.applied)

    def branch(self, number: int) -> nn.Module:
        """Return what ends the residual branch of block `number` (from 1)."""
        return _together(each.on_branch(number, sum(BLOCKS_PER_STAGE)) for each in self.applied)


def _together(layers: Iterable[nn.Module | None]) -> nn.Module:
    """All of these in a row; one that is alone keeps its place in the network's names."""
    found = [layer for layer in layers if layer is not None]
    return nn.Identity() if not found else found[0] if len(found) == 1 else nn.Sequential(*found)


class Bottleneck(nn.Module):
    """Three convolution units (1x1, 3x3, 1x1) around a shortcut; the stride is on the 3x3. `number`: of all blocks, from 1."""

    def __init__(self, layers: Layers, stage: int, number: int, inputs: int, inner: int, stride: int):
        super().__init__()
        outputs = EXPANSION * inner
        first, second, third = (layers.position(stage, unit) for unit in (1, 2, 3))
        self.conv1, self.bn1, self.drop1 = layers.conv(inputs, inner, 1, 1, first), layers.norm(inner, first), layers.drop(first)
        self.conv2, self.bn2, self.drop2 = layers.conv(inner, inner, 3, stride, second), layers.norm(inner, second), layers.drop(second)
        self.conv3, self.bn3, self.drop3 = layers.conv(inner, outputs, 1, 1, third), layers.norm(outputs, third), layers.drop(third)
        self.branch = layers.branch(number)

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what is added to the branch of `x` (N, C, H, W), in the branch's own shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature maps of `x` (N, C, H, W): branch and shortcut, added and rectified."""
        out = self.drop1(F.relu(self.bn1(self.conv1(x)), inplace=True))
        out = self.drop2(F.relu(self.bn2(self.conv2(out)), inplace=True))
        out = self.branch(self.drop3(self.bn3(self.conv3(out))))
        return F.relu(out + self.shortcut(x), inplace=True)


class IdentityBlock(Bottleneck):
    """A bottleneck whose shortcut is its input."""

    def __init__(self, layers: Layers, stage: int, number: int, channels: int):
        super().__init__(layers, stage, number, channels, channels // EXPANSION, stride=1)

    def shortcut(self, x: Tensor) -> Tensor:
        return x


class ConvBlock(Bottleneck):
    """A bottleneck that changes extent or channels: its shortcut is a 1x1 projection, normalized like a first unit."""

    def __init__(self, layers: Layers, stage: int, number: int, inputs: int, inner: int, stride: int):
        super().__init__(layers, stage, number, inputs, inner, stride)
        outputs, position = EXPANSION * inner, layers.position(stage, 1)
        self.downsample = nn.Sequential(layers.conv(inputs, outputs, 1, stride, position), layers.norm(outputs, position))

    def shortcut(self, x: Tensor) -> Tensor:
        projected: Tensor = self.downsample(x)
        return projected


class ResNet50(nn.Module):
    """Classifies (N, 3, H, W) images: returns (N, classes) logits. `applied`: the techniques that act in it; by default its run's."""

    def __init__(self, config: RunConfig, classes: int, applied: Sequence[Applied[Any]] | None = None):
        super().__init__()
        applied = apply(config, torch.device("cpu")) if applied is None else applied
        layers, width = Layers(config, applied), config.model.width
        kernel, stride = (7, 2) if config.model.stem == "imagenet" else (3, 1)
        self.conv1, self.bn1 = layers.conv(3, width, kernel, stride, position=1), layers.norm(width, position=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if config.model.stem == "imagenet" else nn.Identity()
        channels = width
        for stage, blocks in enumerate(BLOCKS_PER_STAGE, start=1):
            inner = width * 2 ** (stage - 1)
            number = 1 + sum(BLOCKS_PER_STAGE[: stage - 1])
            first = ConvBlock(layers, stage, number, channels, inner, stride=1 if stage == 1 else 2)
            channels = EXPANSION * inner
            rest = [IdentityBlock(layers, stage, number + further, channels) for further in range(1, blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(channels, classes)
        _initialize(self, config.model.init)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized images (N, 3, H, W)."""
        out = self.pool(F.relu(self.bn1(self.conv1(images)), inplace=True))
        for stage in range(1, len(BLOCKS_PER_STAGE) + 1):
            out = self.get_submodule(f"layer{stage}")(out)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def _initialize(network: nn.Module, init: str) -> None:
    """Glorot and Bengio 2010 (uniform) or He et al. 2015 (normal, fan-out) weights; biases zero; normalization starts as the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if init == "glorot":
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
