"""Where batch normalization sits."""

import pytest
from torch import nn

from reglab.config import BatchNormConfig
from reglab.regularizers import batchnorm


@pytest.mark.parametrize(("layers", "carrying"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_the_first_layers_carry_it(layers, carrying):
    config = BatchNormConfig(layers=layers)
    assert [position for position in (1, 2, 3, 4) if batchnorm.carries(config, position)] == carrying
    norms = [position for position in (1, 2, 3, 4) if isinstance(batchnorm.layer(config, position, 8), nn.BatchNorm2d)]
    assert norms == carrying


def test_a_layer_normalizes_its_channels_and_learns_a_scale_and_a_shift():
    norm = batchnorm.layer(BatchNormConfig(layers=1), 1, 24)
    assert norm.num_features == 24 and norm.affine and norm.track_running_stats
    assert type(batchnorm.layer(BatchNormConfig(layers=1), 2, 24)) is nn.Identity
