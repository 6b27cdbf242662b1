import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from reglab.config import RunConfig
from reglab.models import Network, build
from reglab.models.convolution import Conv2d, StandardizedConv2d
from reglab.training.flat import ALIGNMENT, FlatParameters

FORMATS = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])


def network(memory_format=torch.channels_last, **sections):
    torch.manual_seed(0)
    return build(RunConfig.parse({"model": {"width": 4}} | sections), 10, 32, 3).module.to(memory_format=memory_format)


def flattened(made, dtype=torch.float32):
    return FlatParameters(made.network, dtype)


def images(dtype=torch.float32):
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)


@FORMATS
def test_parameters_keep_their_values_names_and_memory_format(memory_format):
    made, before = network(memory_format), network(memory_format)
    flattened(made)
    for (name, new), (old_name, old) in zip(made.named_parameters(), before.named_parameters(), strict=True):
        assert name == old_name
        assert torch.equal(new, old)
        assert new.stride() == old.stride() == new.grad.stride()


@FORMATS
def test_a_unit_is_a_row_of_its_group(memory_format):
    """Every unit of every parameter but the head's weight, once, and nothing else."""
    made = network(memory_format, batchnorm={"layers": 2})
    flat = flattened(made)
    units = [unit for parameter in made.parameters() for unit in (parameter.detach()[None] if parameter.ndim == 1 else parameter.detach())]
    for number, unit in enumerate(units):
        unit.fill_(number)
    rows = [row for group in flat.units for row in flat.weights.detach()[group.start : group.end].view(group.count, group.length)]
    assert all((row == row[0]).all() for row in rows)
    clipped = {int(row[0]): len(row) for row in rows}
    head = {int(unit[0]) for unit in made.fc.weight.detach()}
    assert clipped == {number: unit.numel() for number, unit in enumerate(units) if number not in head}


def test_groups_are_one_a_length_in_order_and_aligned():
    flat = flattened(network(batchnorm={"layers": 3}))
    lengths = [group.length for group in flat.units]
    assert lengths == sorted(set(lengths))
    assert all(group.start % ALIGNMENT == 0 for group in flat.units)
    assert all(one.end <= other.start for one, other in zip(flat.units, flat.units[1:], strict=False))


def test_one_optimizer_step_of_the_flat_weights_is_a_step_of_every_parameter():
    made, plain = network(), network()
    flat = flattened(made)
    flat.backward(F.cross_entropy(flat.forward(made, images()), torch.arange(4)))
    F.cross_entropy(plain(images()), torch.arange(4)).backward()
    torch.optim.Adam([flat.weights], 0.01).step()
    torch.optim.Adam(plain.parameters(), 0.01).step()
    for ours, theirs in zip(made.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_what_lies_between_the_groups_never_moves():
    made = network()
    flat = flattened(made)
    for name in ("weight", "bias"):
        getattr(made.fc, name).data.fill_(1)
    adam = torch.optim.Adam([flat.weights], 0.01, weight_decay=0.1)
    flat.backward(F.cross_entropy(flat.forward(made, images()), torch.arange(4)))
    adam.step()
    for parameter in made.parameters():
        parameter.data.fill_(0)
    assert (flat.weights == 0).all()


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_cast_once_a_step_give_what_autocast_gives(dtype, layers, standardize):
    sections = {"model": {"width": 4, "standardize": standardize}, "batchnorm": {"layers": layers}}
    made, plain = network(**sections), network(**sections)
    flat = flattened(made, dtype)
    with torch.autocast("cpu", dtype):
        ours = flat.forward(made, images(dtype))
        theirs = plain(images(dtype))
        losses = F.cross_entropy(ours, torch.arange(4)), F.cross_entropy(theirs, torch.arange(4))
    assert torch.equal(ours, theirs)
    flat.backward(losses[0])
    losses[1].backward()
    for (name, one), other in zip(made.named_parameters(), plain.parameters(), strict=True):
        assert one.grad.dtype == torch.float32
        if standardize:  # all layers' at once, with a gradient in closed form: equal but for rounding
            assert (one.grad - other.grad).norm() <= 1e-6 * other.grad.norm(), name
        else:
            torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0, msg=name)


def test_standardizing_all_layers_at_once_is_standardizing_each():
    """Bit for bit, with the gradients that autograd finds; also where the variance is too small to count, and of gains of zero."""
    sections = {"model": {"width": 4, "standardize": True}, "batchnorm": {"layers": 1}}
    made, plain = network(**sections), network(**sections)
    for one in (made, plain):
        with torch.no_grad():
            one.layer1[0].conv1.weight[0] = 0.5
            one.layer1[0].conv1.weight[1].mul_(1e-4)
            one.layer2[0].conv2.gain[:2] = torch.tensor([0.0, -2.0])
    flat = flattened(made)
    ours, theirs = flat.forward(made, images()), plain(images())
    assert torch.equal(ours, theirs)
    assert torch.equal(made(images()), theirs)  # as in an evaluation, which asks each layer
    flat.backward(F.cross_entropy(ours, torch.arange(4)))
    F.cross_entropy(theirs, torch.arange(4)).backward()
    for (name, one), other in zip(made.named_parameters(), plain.parameters(), strict=True):
        assert (one.grad - other.grad).norm() <= 1e-6 * other.grad.norm(), name
    assert made.layer1[0].conv1.weight.grad[:2].norm() > 0


def test_standardization_is_some_operations_for_each_fan_in():
    made = network(model={"width": 4, "standardize": True})
    flat = flattened(made)
    standardization = flat._standardization
    flat.forward(made, images())
    assert counted(standardization.forward).all + counted(standardization.backward).all < 20 * len(standardization._groups) + 40


def test_a_cast_weight_is_the_latest_one():
    made = network()
    flat = flattened(made, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        before = flat.forward(made, images(torch.bfloat16))
        with torch.no_grad():
            flat.weights.mul_(2)
        after = flat.forward(made, images(torch.bfloat16))
    assert not torch.equal(before, after)


def test_gradients_are_replaced_not_added_to():
    made = network()
    flat = flattened(made)
    found = []
    for _ in range(2):
        flat.backward(F.cross_entropy(flat.forward(made, images()), torch.arange(4)))
        found.append(flat.weights.grad.clone())
    assert found[0].norm() > 0
    assert torch.equal(*found)


class Casts(TorchDispatchMode):
    """Counts conversions, and all operations."""

    def __init__(self):
        super().__init__()
        self.conversions = self.all = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.all += 1
        self.conversions += function is torch.ops.aten._to_copy.default
        return function(*args, **(kwargs or {}))


def counted(step):
    with Casts() as counts:
        step()
    return counts


def test_half_precision_costs_few_conversions_and_the_network_counts_no_batches(make_run):
    """Autocast alone converts each of some hundred tensors in each direction."""
    run = make_run(train={"precision": "bf16"}, batchnorm={"layers": 3})
    batch = run.batches.batch(run.batches.positions(run.batches.order(run.draws), 0), run.draws)
    run.step(batch)
    plain = network(batchnorm={"layers": 3})

    def autocast():
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(plain(batch.images), batch.labels)
        loss.backward()

    ours, theirs = counted(lambda: run.step.gradients(batch)), counted(autocast)
    assert theirs.conversions > 100
    assert ours.conversions < 10
    assert ours.all < theirs.all - 100
    assert not any(name.endswith("num_batches_tracked") for name, _ in run.network.named_buffers())


def test_standardized_weights_are_standardized_in_fp32():
    made = network(model={"width": 4, "standardize": True})
    flat = flattened(made, torch.bfloat16)
    seen = []
    for module in made.modules():
        if isinstance(module, StandardizedConv2d):
            module.register_forward_pre_hook(lambda module, inputs: seen.append(module.weight.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        flat.forward(made, images(torch.bfloat16))
    assert set(seen) == {torch.float32}


@pytest.mark.slow
def test_a_compiled_network_trains_with_cast_weights():
    made = nn.Sequential(Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 10))
    flat = FlatParameters(Network.of_our_layers(made, made[3]), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        eager = flat.forward(made, images(torch.bfloat16))
        made.compile()
        compiled = flat.forward(made, images(torch.bfloat16))
    torch.testing.assert_close(compiled, eager, rtol=0.05, atol=0.05)
    flat.backward(compiled.float().square().mean())
    assert all(parameter.grad.norm() > 0 for parameter in made.parameters())
