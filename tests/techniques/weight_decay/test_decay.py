"""Weight decay: which parameters it is of. `test_optimizer.py` holds the steps against PyTorch's and timm's groups."""

import pytest
import torch

from reglab.config import RunConfig
from reglab.techniques.weight_decay.decay import WeightDecay
from reglab.techniques.weight_decay.declared import WeightDecayConfig


@pytest.mark.parametrize(("of", "vector"), [("all", 0.1), ("weights", 0.0)])
def test_it_is_of_all_parameters_or_of_none_that_is_a_vector(of, vector):
    own = WeightDecay(WeightDecayConfig(rate=0.1, of=of), RunConfig.parse({}), torch.device("cpu"))
    assert own.decay(torch.ones(3, 2)) == own.decay(torch.ones(4, 3, 1, 1)) == 0.1
    assert own.decay(torch.ones(3)) == vector


def test_parameters_of_one_decay_are_neighbours_and_optimized_together(make_run):
    run = make_run(batchnorm={"layers": 2}, weight_decay={"rate": 0.1, "of": "weights"})
    assert [decay for _, decay in run.flat.groups] == [0.0, 0.1]
    start = run.flat.buffer.data_ptr()
    for (part, decay), group in zip(run.flat.groups, run.optimizer.param_groups, strict=True):
        assert group["weight_decay"] == decay
        inside = range(part.data_ptr() - start, part.data_ptr() - start + 4 * part.numel())
        mine = [name for name, parameter in run.network.named_parameters() if (parameter.ndim > 1) == bool(decay)]
        assert all(4 * run.flat.places[name] in inside for name in mine)


def test_all_of_one_decay_is_one_parameter(make_run):
    (group,) = make_run(weight_decay={"rate": 0.1}).optimizer.param_groups
    assert len(group["params"]) == 1 and group["weight_decay"] == 0.1
