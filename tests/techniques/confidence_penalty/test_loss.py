"""Confidence penalty: against PyTorch's entropy of a categorical distribution."""

import pytest
import torch
from torch.distributions import Categorical

from reglab.config import RunConfig
from reglab.techniques.confidence_penalty.declared import ConfidencePenaltyConfig
from reglab.techniques.confidence_penalty.loss import ConfidencePenalty


@pytest.mark.parametrize("scale", [0.1, 1, 30, 1000])
def test_the_penalty_is_the_negative_entropy_times_its_rate(scale):
    own = ConfidencePenalty(ConfidencePenaltyConfig(rate=0.3), RunConfig.parse({}), torch.device("cpu"))
    logits = scale * torch.randn(16, 10)
    torch.testing.assert_close(own.penalty(logits), -0.3 * Categorical(logits=logits).entropy().mean())


def test_it_is_added_to_the_loss(make_run):
    plain, penalized = (make_run(confidence_penalty={"rate": rate}) for rate in (0, 0.5))
    batch = plain.batches.batch(plain.batches.positions(plain.batches.order(plain.draws), 0), plain.draws)
    loss, logits = plain.step.gradients(batch)
    torch.testing.assert_close(penalized.step.gradients(batch)[0], loss - 0.5 * Categorical(logits=logits).entropy().mean())
