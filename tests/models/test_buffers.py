"""Buffers of networks: those that a forward pass writes over, those that it replaces, and those that are empty at first."""

import torch

from reglab.models import buffers
from tests.models.own import Remembering, small


def after_a_pass(network):
    network.train()(torch.rand(2, 3, 8, 8))
    return network


def test_what_was_kept_is_put_back_into_the_tensors_that_were_there():
    network = after_a_pass(Remembering(10, 8, 3))
    mean, batches = network.mean, network.batches
    value, kept = mean.clone(), buffers.Kept(network)
    after_a_pass(network)
    assert network.mean is not mean and network.batches == 2
    kept.put_back()
    assert network.mean is mean and torch.equal(mean, value)
    assert network.batches is batches and batches == 1


def test_those_that_were_replaced_are_told_and_those_that_were_written_over_are_not():
    network = small(10, 8, 3)
    kept = buffers.Kept(network)
    after_a_pass(network)
    assert network[1].num_batches_tracked == 1 and kept.replaced == []
    network = Remembering(10, 8, 3)
    kept = buffers.Kept(network)
    after_a_pass(network)
    assert kept.replaced == ["mean"]


def test_a_place_that_is_empty_takes_what_another_network_had_there():
    network, other = Remembering(10, 8, 3), after_a_pass(Remembering(10, 8, 3))
    assert buffers.unsaved(other).keys() == {"batches"} and "mean" in other.state_dict()
    buffers.make_room(network, other.state_dict() | {"nothing": torch.ones(3)})
    assert network.state_dict().keys() == other.state_dict().keys() and network.mean == 0
