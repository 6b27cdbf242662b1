"""Dropout layers, and the probe that counts what they drop."""

import math

import pytest
import torch
from torch import nn

from reglab.config import RunConfig
from reglab.techniques.dropout.declared import DropoutConfig
from reglab.techniques.dropout.layer import Dropout, DropoutProbe


def layer_of(position, **keys):
    return Dropout(DropoutConfig(**keys), RunConfig.parse({}), torch.device("cpu")).after_unit(position)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def counted(network, images):
    counts = torch.zeros(2, dtype=torch.int64)
    with DropoutProbe(network, counts):
        network(images)
    return counts.tolist()


def kind(layer):
    return layer.p if isinstance(layer, nn.Dropout) else layer


@pytest.mark.parametrize(
    ("keys", "layers"),
    [
        ({"layers": 0, "p": 0.5}, [None] * 4),
        ({"layers": 2, "p": 0.5}, [0.5, 0.5, None, None]),
        ({"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}, [0.1, 0.2, 0.3, None]),
        ({"layers": 1, "p1": 0.1, "p2": 0.2, "p3": 0.3}, [0.1] + [None] * 3),
        ({"layers": 3, "p": 0}, [None] * 4),
        ({"layers": 3, "p1": 0.1, "p2": 0, "p3": 0.3}, [0.1, None, 0.3, None]),
    ],
)
def test_each_position_has_the_configured_probability(keys, layers):
    assert [kind(layer_of(position, **keys)) for position in (1, 2, 3, 4)] == layers


@pytest.mark.parametrize("p", [0.2, 0.8])
def test_elements_are_dropped_one_by_one_and_the_others_scaled(p):
    layer = layer_of(1, layers=1, p=p)
    out = layer(torch.ones(64, 16, 8, 8))
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 1 / (1 - p)]))
    shares = (out == 0).float().mean((2, 3))  # of each feature map
    assert shares.min() > 0 and shares.max() < 1
    assert torch.equal(layer.eval()(out), out)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_probe_counts_the_true_rate(p):
    elements = 200_000
    dropped, live = counted(layer_of(1, layers=1, p=p), torch.randn(elements))
    assert live == elements
    assert abs(dropped - p * elements) < 4 * math.sqrt(elements * p * (1 - p))


def test_the_probe_adds_up_layers_and_passes():
    network, counts = nn.Sequential(nn.Dropout(0.2), nn.Identity(), nn.Dropout(0.5)), torch.zeros(2, dtype=torch.int64)
    with DropoutProbe(network, counts):
        first = network(torch.ones(100_000))
        network(torch.ones(100_000))
    alive = 0.8 * 200_000
    assert abs(counts[1] - (200_000 + alive)) < 2000
    assert abs(counts[0] - (0.2 * 200_000 + 0.5 * alive)) < 2000
    assert abs((first != 0).float().mean() - 0.4) < 0.01


def test_the_probe_does_not_count_what_was_zero_before():
    images = torch.cat([torch.zeros(50_000), torch.ones(50_000)])
    dropped, live = counted(nn.Dropout(0.3), images)
    assert live == 50_000 and abs(dropped / live - 0.3) < 0.015


def test_the_probe_counts_none_in_evaluation():
    assert counted(nn.Sequential(nn.Dropout(0.5)).eval(), torch.ones(1000)) == [0, 1000]


def test_the_probe_counts_nothing_without_dropout():
    assert counted(nn.Sequential(nn.ReLU(), nn.Identity()), torch.ones(1000)) == [0, 0]


def test_the_probe_leaves_the_result_as_it_is():
    network, images = nn.Dropout(0.5), torch.randn(1000)
    torch.manual_seed(1)
    plain = network(images)
    torch.manual_seed(1)
    with DropoutProbe(network, torch.zeros(2, dtype=torch.int64)):
        assert torch.equal(network(images), plain)


@pytest.mark.parametrize("fails", [False, True])
def test_the_probe_takes_its_hooks_away(fails):
    network, counts = nn.Sequential(nn.Dropout(0.5)), torch.zeros(2, dtype=torch.int64)
    try:
        with DropoutProbe(network, counts):
            assert network[0]._forward_hooks
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not network[0]._forward_hooks
    network(torch.ones(10))
    assert counts.tolist() == [0, 0]
