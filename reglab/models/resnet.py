"""ResNet-50 (He et al. 2016, https://arxiv.org/abs/1512.03385) with normalization and dropout layers where the study puts them.

Every bottleneck block has three convolution units: convolution, normalization, rectifier, dropout. The third is added to
the shortcut before its rectifier. With batch normalization in all three and the ImageNet stem, this is torchvision's
`resnet50`, parameter names included.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.models.layers import Layers, initialize
from reglab.models.network import Network
from reglab.techniques.applied import Applied

EXPANSION = 4
"""Output channels of a block over its inner channels."""

BLOCKS_PER_STAGE = (3, 4, 6, 3)


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
    """Classifies (N, channels, H, W) images: returns (N, classes) logits. `applied`: the techniques that act in it."""

    def __init__(self, config: RunConfig, classes: int, channels: int, applied: Sequence[Applied[Any]]):
        super().__init__()
        layers, width = Layers(config, applied, sum(BLOCKS_PER_STAGE)), config.model.width
        kernel, stride = (7, 2) if config.model.stem == "imagenet" else (3, 1)
        self.conv1, self.bn1 = layers.conv(channels, width, kernel, stride, position=1), layers.norm(width, position=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if config.model.stem == "imagenet" else nn.Identity()
        inputs = width
        for stage, blocks in enumerate(BLOCKS_PER_STAGE, start=1):
            inner = width * 2 ** (stage - 1)
            number = 1 + sum(BLOCKS_PER_STAGE[: stage - 1])
            first = ConvBlock(layers, stage, number, inputs, inner, stride=1 if stage == 1 else 2)
            inputs = EXPANSION * inner
            rest = [IdentityBlock(layers, stage, number + further, inputs) for further in range(1, blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(inputs, classes)
        initialize(self, config.model.init)

    @property
    def network(self) -> Network:
        """As the rest knows it."""
        return Network.of_our_layers(self, self.fc)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized images (N, 3, H, W)."""
        out = self.pool(F.relu(self.bn1(self.conv1(images)), inplace=True))
        for stage in range(1, len(BLOCKS_PER_STAGE) + 1):
            out = self.get_submodule(f"layer{stage}")(out)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits
