"""Batch normalization (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167)."""

from torch import nn

from reglab.config import BatchNormConfig


def carries(config: BatchNormConfig, position: int) -> bool:
    """Whether the layer at `position` (1-based: a unit of its block or a stage, by `model.placement`) is normalized."""
    return position <= config.layers


def layer(config: BatchNormConfig, position: int, channels: int) -> nn.Module:
    """What follows the convolution at `position`: a normalization of `channels` feature maps, or nothing."""
    if not carries(config, position):
        return nn.Identity()
    made = nn.BatchNorm2d(channels)
    made.num_batches_tracked = None  # nothing reads it, and counting is an operation on the device for each layer and step
    return made
