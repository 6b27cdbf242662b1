"""What label smoothing does."""

from torch import Tensor
from torch.nn import functional as F

from reglab.techniques.applied import Applied
from reglab.techniques.label_smoothing.declared import LabelSmoothingConfig


class LabelSmoothing(Applied[LabelSmoothingConfig]):
    """Cross-entropy with labels of which a share is spread evenly over all classes (Szegedy et al. 2016, section 7)."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.own.rate)
