"""Adaptive gradient clipping: against timm's, bit for bit, and against the equation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.utils.agc import adaptive_clip_grad
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from reglab.config import RunConfig
from reglab.models.resnet import ResNet50
from reglab.regularizers import agc

torch.set_num_threads(1)
EPS = 1e-3
SHAPES = {
    "convolution": (8, 5, 3, 3),
    "linear": (10, 7),
    "vector": (16,),
    "gain": (6, 1, 1, 1),
    "one unit": (1, 9),
    "one number": (1,),
}


def parameter(weight, gradient):
    made = nn.Parameter(weight.clone())
    made.grad = None if gradient is None else gradient.clone()
    return made


def drawn(shape, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator) * scale


def clipped(weight, gradient, clip=0.02, eps=EPS):
    made = parameter(weight, gradient)
    return made.grad, agc.adaptive_clip([made], clip, eps)


def timms(weight, gradient, clip=0.02, eps=EPS):
    made = parameter(weight, gradient)
    adaptive_clip_grad([made], clip, eps)
    return made.grad


def assert_bitwise_equal(first, second):
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(first.signbit() & ~first.isnan(), second.signbit() & ~second.isnan())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("clip", [0.01, 0.02, 0.04, 3.0])
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e-3, 1.0, 1e18, 3e38])
def test_gradients_are_timms_bit_for_bit(shape, clip, scale):
    weight, gradient = drawn(shape, scale)
    assert_bitwise_equal(clipped(weight, gradient, clip)[0], timms(weight, gradient, clip))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("broken", [float("inf"), -float("inf"), float("nan")])
def test_a_broken_gradient_is_timms_and_stays_visible(shape, broken):
    weight, gradient = drawn(shape, 0.1)
    gradient.view(-1)[0] = broken
    made, _ = clipped(weight, gradient)
    assert_bitwise_equal(made, timms(weight, gradient))
    assert not made.isfinite().all()


@pytest.mark.parametrize("length", [1 - 1e-5, 1.0, 1 + 1e-5])
def test_the_threshold_itself_is_timms(length):
    weight = drawn((200, 7))[0]
    gradient = weight * (0.02 * length)
    made, fraction = clipped(weight, gradient)
    assert_bitwise_equal(made, timms(weight, gradient))
    assert fraction == {1 - 1e-5: 0, 1 + 1e-5: 1}.get(length, fraction)


def mixed():
    """Units of every kind side by side: zero, tiny, ordinary, huge, infinite, not a number; and weights of zero."""
    pairs = []
    for number, shape in enumerate(SHAPES.values()):
        weight, gradient = drawn(shape, seed=number)
        factors = torch.tensor([0.0, 1e-8, 1e-2, 1.0, 1e6, 1e38, float("inf"), float("nan")]).repeat(2)[: shape[0]]
        weight[0] = 0
        pairs.append((weight, gradient * factors.view(-1, *[1] * (len(shape) - 1))))
    return pairs


def test_a_mixed_network_is_timms_bit_for_bit():
    ours, theirs = ([parameter(*pair) for pair in mixed()] for _ in range(2))
    agc.adaptive_clip(ours, 0.02, EPS)
    adaptive_clip_grad(theirs, 0.02, EPS)
    for mine, his in zip(ours, theirs, strict=True):
        assert_bitwise_equal(mine.grad, his.grad)
        assert torch.equal(mine, his)


def test_a_whole_network_is_timms_bit_for_bit():
    torch.manual_seed(0)
    network = ResNet50(RunConfig.parse({"model": {"width": 4, "standardize": True}, "batchnorm": {"layers": 2}}), 10)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    parameters = agc.clipped_parameters(network, network.fc)
    theirs = [parameter(p.detach(), p.grad) for p in parameters]
    head = network.fc.weight.grad.clone()
    fraction = agc.adaptive_clip(parameters, 0.02, EPS)
    adaptive_clip_grad(theirs, 0.02, EPS)
    assert all(torch.equal(mine.grad, his.grad) for mine, his in zip(parameters, theirs, strict=True))
    assert torch.equal(network.fc.weight.grad, head)
    assert 0 < fraction <= 1


@pytest.mark.parametrize("shape", [(8, 5, 3, 3), (8, 5, 1, 1), (6, 1, 1, 1)])
def test_channels_last_gradients_are_clipped_as_contiguous_ones(shape):
    weight, gradient = drawn(shape, 0.1)
    made = nn.Parameter(weight.to(memory_format=torch.channels_last))
    made.grad = gradient.to(memory_format=torch.channels_last)
    agc.adaptive_clip([made], 0.02, EPS)
    assert made.grad.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made.grad, clipped(weight, gradient)[0])
    # timm sums a norm in memory order, which rounds otherwise here
    reference = timms(weight.to(memory_format=torch.channels_last), gradient.to(memory_format=torch.channels_last))
    torch.testing.assert_close(made.grad, reference, rtol=1e-5, atol=0)


def test_a_unit_is_an_output_channel_a_row_or_a_whole_vector():
    units = {name: len(agc.unit_norms(drawn(shape)[0])) for name, shape in SHAPES.items()}
    assert units == {"convolution": 8, "linear": 10, "vector": 1, "gain": 6, "one unit": 1, "one number": 1}
    torch.testing.assert_close(agc.unit_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]])), torch.tensor([5.0, 2.0]))
    torch.testing.assert_close(agc.unit_norms(torch.tensor([3.0, 4.0])), torch.tensor([5.0]))


def test_the_fraction_counts_units_over_all_parameters():
    weight = torch.ones(4, 2)
    gradient = torch.full((4, 2), 1e-4)
    gradient[1] = 1.0
    small = parameter(torch.ones(5), torch.full((5,), 1e-4))
    large = parameter(torch.ones(5), torch.ones(5))
    none = parameter(torch.ones(5), None)
    assert clipped(weight, gradient)[1] == 0.25
    assert agc.adaptive_clip([parameter(weight, gradient), small, none], 0.02, EPS) == pytest.approx(1 / 5)
    assert agc.adaptive_clip([parameter(weight, gradient), large], 0.02, EPS) == pytest.approx(2 / 5)
    assert clipped(weight, torch.zeros(4, 2))[1] == 0
    assert clipped(weight, torch.full((4, 2), float("nan")))[1] == 1


def test_a_parameter_without_a_gradient_is_left_out():
    frozen, other = parameter(torch.ones(3), None), parameter(*drawn((4, 3)))
    agc.adaptive_clip([frozen, other], 0.02, EPS)
    assert frozen.grad is None
    assert_bitwise_equal(other.grad, timms(*drawn((4, 3))))


def test_only_the_weight_of_the_head_is_spared():
    network = ResNet50(RunConfig.parse({"model": {"width": 4}, "batchnorm": {"layers": 3}}), 10)
    acted_on = {id(parameter) for parameter in agc.clipped_parameters(network, network.fc)}
    spared = [name for name, parameter in network.named_parameters() if id(parameter) not in acted_on]
    assert spared == ["fc.weight"]


def test_weights_are_left_as_they_are():
    weight, gradient = drawn((8, 5, 3, 3))
    made = parameter(weight, gradient)
    agc.adaptive_clip([made], 0.02, EPS)
    assert torch.equal(made, weight)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10**6), st.floats(0.005, 0.5), st.floats(1e-4, 1.0), st.floats(1e-6, 1e6), st.floats(1e-6, 10))
def test_a_clipped_gradient_keeps_its_direction_and_its_norm_is_bounded(seed, clip, eps, scale, size):
    weight, gradient = drawn((6, 3, 2, 2), scale, seed)
    weight *= size
    made, fraction = clipped(weight, gradient, clip, eps)
    limit = clip * weight.flatten(1).norm(dim=1).clamp(min=eps)
    before, after = gradient.flatten(1).norm(dim=1), made.flatten(1).norm(dim=1)
    assert (after <= limit * (1 + 1e-5)).all()
    cosine = (made.flatten(1).double() * gradient.flatten(1).double()).sum(1) / (after.double() * before.double())
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-5)
    short = before < limit
    assert torch.equal(made[short], gradient[short])
    torch.testing.assert_close(after[~short & (before > 1e-5)], limit[~short & (before > 1e-5)], rtol=1e-4, atol=0)
    assert fraction == pytest.approx(1 - short.float().mean().item(), abs=1e-6)


def test_clipping_never_waits_for_the_device():
    with FakeTensorMode():  # reading a value raises here
        made = [nn.Parameter(torch.randn(shape)) for shape in SHAPES.values()]
        for one in made:
            one.grad = torch.randn_like(one)
        assert agc.adaptive_clip(made, 0.02, EPS).shape == ()
