"""WideResNet (Zagoruyko and Komodakis 2016, https://arxiv.org/abs/1605.07146) for small images, with layers where techniques put them.

WideResNet 28-10 has `model.depth` 28 and `model.widen` 10: a 3x3 stem of 16 channels, then three stages of (depth − 4) / 6 blocks with
16, 32 and 64 times `widen` channels, the second and third at half the extent. Each block has two 3x3 convolution units around a
shortcut, and is pre-activated: what follows the addition, normalization and rectifier, stands in the next block, before its branch.

A unit is counted as in ResNet-50: a convolution and the normalization behind it. So a block's first unit is normalized between its two
convolutions, and its second one after the addition, at the beginning of the next block, or before the pooling. The stem is a first unit
of the first stage. Dropout ends a unit: of the first one that is between the convolutions, where the paper has it (there it is
`dropout.layers=1`), and of the second one before the addition. The paper's network has `batchnorm.layers=2`.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.models.layers import Layers, initialize
from reglab.models.network import Network
from reglab.techniques.applied import Applied

STEM = 16
"""Channels; those of the stages are 1, 2 and 4 times `model.widen` as many."""

STAGES = (1, 2, 4)


class PreActivated(nn.Module):
    """Two 3x3 units around a shortcut; the stride is on the first. `number`: of all blocks, from 1.

    `before` is the position of the unit that comes before it, whose normalization it begins with.
    """

    def __init__(self, layers: Layers, stage: int, number: int, before: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        first, second = layers.position(stage, 1), layers.position(stage, 2)
        self.bn1 = layers.norm(inputs, before)
        self.conv1, self.bn2, self.drop1 = layers.conv(inputs, outputs, 3, stride, first), layers.norm(outputs, first), layers.drop(first)
        self.conv2, self.drop2 = layers.conv(outputs, outputs, 3, 1, second), layers.drop(second)
        self.branch = layers.branch(number)
        self.shortcut = layers.projection(inputs, outputs, stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature maps of `x` (N, C, H, W): branch and shortcut, added."""
        active = F.relu(self.bn1(x))
        inner = self.drop1(F.relu(self.bn2(self.conv1(active)), inplace=True))
        out: Tensor = self.branch(self.drop2(self.conv2(inner)))
        shortcut: Tensor = x if self.shortcut is None else self.shortcut(active)
        return out + shortcut


class WideResNet(nn.Module):
    """Classifies (N, channels, H, W) images: returns (N, classes) logits. `applied`: the techniques that act in it."""

    def __init__(self, config: RunConfig, classes: int, channels: int, applied: Sequence[Applied[Any]]):
        super().__init__()
        blocks = (config.model.depth - 4) // 6
        layers = Layers(config, applied, len(STAGES) * blocks)
        self.conv1 = layers.conv(channels, STEM, 3, 1, position=1)
        inputs, before, number = STEM, 1, 0
        for stage, multiple in enumerate(STAGES, start=1):
            made = []
            for block in range(blocks):
                number += 1
                outputs = STEM * multiple * config.model.widen
                made.append(PreActivated(layers, stage, number, before, inputs, outputs, stride=2 if stage > 1 and block == 0 else 1))
                inputs, before = outputs, layers.position(stage, 2)
            self.add_module(f"layer{stage}", nn.Sequential(*made))
        self.bn1 = layers.norm(inputs, before)
        self.fc = nn.Linear(inputs, classes)
        initialize(self, config.model.init)

    @property
    def network(self) -> Network:
        """As the rest knows it."""
        return Network.of_our_layers(self, self.fc)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized images (N, channels, H, W)."""
        out = self.conv1(images)
        for stage in range(1, len(STAGES) + 1):
            out = self.get_submodule(f"layer{stage}")(out)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(F.relu(self.bn1(out)), 1).flatten(1))
        return logits
