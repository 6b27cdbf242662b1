"""Where batch normalization sits."""

import pytest
import torch
from torch import nn

from reglab.config import RunConfig
from reglab.techniques.batchnorm.declared import BatchNormConfig
from reglab.techniques.batchnorm.layer import BatchNorm


def applied(layers):
    return BatchNorm(BatchNormConfig(layers=layers), RunConfig.parse({}), torch.device("cpu"))


@pytest.mark.parametrize(("layers", "carrying"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_the_first_layers_carry_it(layers, carrying):
    assert [position for position in (1, 2, 3, 4) if applied(layers).shifts(position)] == carrying
    norms = [position for position in (1, 2, 3, 4) if isinstance(applied(layers).after_convolution(position, 8), nn.BatchNorm2d)]
    assert norms == carrying


def test_a_layer_normalizes_its_channels_and_learns_a_scale_and_a_shift():
    norm = applied(1).after_convolution(1, 24)
    assert norm.num_features == 24 and norm.affine and norm.track_running_stats
    assert applied(1).after_convolution(2, 24) is None
