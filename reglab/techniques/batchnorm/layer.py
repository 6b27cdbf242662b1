"""What batch normalization does."""

from torch import nn

from reglab.techniques.applied import Applied
from reglab.techniques.batchnorm.declared import BatchNormConfig


class BatchNorm(Applied[BatchNormConfig]):
    """Normalizes the feature maps of the first convolutions of each block, or of the first stages."""

    def shifts(self, position: int) -> bool:
        return position <= self.own.layers

    def after_convolution(self, position: int, channels: int) -> nn.Module | None:
        if position > self.own.layers:
            return None
        made = nn.BatchNorm2d(channels)
        made.num_batches_tracked = None  # nothing reads it, and counting is an operation on the device for each layer and step
        return made
