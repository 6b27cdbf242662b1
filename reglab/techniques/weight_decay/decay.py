"""What weight decay does."""

from torch import Tensor

from reglab.techniques.applied import Applied
from reglab.techniques.weight_decay.declared import WeightDecayConfig


class WeightDecay(Applied[WeightDecayConfig]):
    """Decay of all parameters, or of those that are no vector: neither biases nor normalization's scales and shifts."""

    def decay(self, parameter: Tensor) -> float:
        return self.own.rate if self.own.of == "all" or parameter.ndim > 1 else 0.0
