"""Label smoothing: against its formula."""

import torch
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.techniques.label_smoothing.declared import LabelSmoothingConfig
from reglab.techniques.label_smoothing.loss import LabelSmoothing


def test_a_share_of_each_label_is_spread_over_all_classes():
    logits, labels = torch.randn(8, 5), torch.arange(8) % 5
    own = LabelSmoothing(LabelSmoothingConfig(rate=0.2), RunConfig.parse({}), torch.device("cpu"))
    soft = torch.eye(5)[labels] * 0.8 + 0.2 / 5
    torch.testing.assert_close(own.loss(logits, labels), -(soft * F.log_softmax(logits, 1)).sum(1).mean())
