"""What the confidence penalty does."""

from torch import Tensor
from torch.nn import functional as F

from reglab.techniques.applied import Applied
from reglab.techniques.confidence_penalty.declared import ConfidencePenaltyConfig


class ConfidencePenalty(Applied[ConfidencePenaltyConfig]):
    """Takes the mean entropy of the predicted classes, in nats, from the loss (Pereyra et al. 2017, equation 1)."""

    def penalty(self, logits: Tensor) -> Tensor:
        likelihoods = F.log_softmax(logits, 1)
        return self.own.rate * (likelihoods.exp() * likelihoods).sum(1).mean()
