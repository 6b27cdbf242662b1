"""Stochastic depth: against torchvision's, given the same draws."""

import pytest
import torch
from torch import nn

from reglab.config import RunConfig
from reglab.models import build
from reglab.techniques.stochastic_depth.branches import Branch, StochasticDepth
from reglab.techniques.stochastic_depth.declared import StochasticDepthConfig


@pytest.mark.parametrize("p", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("shape", [(64, 3), (16, 4, 5, 5)])
def test_a_branch_is_torchvisions_row_by_row(p, shape):
    from torchvision.ops import StochasticDepth as Reference

    x = torch.randn(shape)
    torch.manual_seed(0)
    made = Branch(p)(x)
    torch.manual_seed(0)
    torch.testing.assert_close(made, Reference(p, "row")(x))
    assert torch.equal(Branch(p).eval()(x), x)


def test_branches_are_dropped_the_more_often_the_deeper_they_are():
    network = build(RunConfig.parse({"model": {"width": 4}, "stochastic_depth": {"rate": 0.32}}), 10, 32, 3).module
    rates = [module.p for module in network.modules() if isinstance(module, Branch)]
    assert rates == pytest.approx([0.32 * number / 16 for number in range(1, 17)])


def test_a_network_without_it_has_no_branch():
    assert not any(isinstance(module, Branch) for module in build(RunConfig.parse({"model": {"width": 4}}), 10, 32, 3).module.modules())


def test_what_it_drops_is_counted():
    own = StochasticDepth(StochasticDepthConfig(rate=0.4), RunConfig.parse({}), torch.device("cpu"))
    network = nn.Sequential(own.on_branch(1, 2), nn.Linear(5, 5), own.on_branch(2, 2))
    torch.manual_seed(0)
    with own.probing(network):
        network(torch.randn(4000, 5) + 9)
    assert own.measured(own.sums.tolist(), 1)["stochastic_depth/dropped"] == pytest.approx(0.3, abs=0.02)
    network(torch.randn(4000, 5))
    assert own.sums[1] == 8000  # closed
