"""Adaptive gradient clipping: against timm's, bit for bit, and against the equation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from reglab.config import RunConfig
from reglab.models import Network, build
from reglab.techniques.agc import clip as agc
from reglab.techniques.agc import kernel as agc_kernel
from reglab.techniques.agc.clip import AdaptiveClip
from reglab.techniques.units import Units, unit_length
from reglab.training.flat import FlatParameters

EPS = 1e-3
SHAPES = {
    "convolution": (8, 5, 3, 3),
    "linear": (10, 7),
    "vector": (16,),
    "gain": (6, 1, 1, 1),
    "one unit": (1, 9),
    "one number": (1,),
}
FORMATS = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])


def drawn(shape, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator) * scale


def clipped(weight, gradient, clip=0.02, eps=EPS):
    """The gradient as clipped, and the fraction of clipped units, of one tensor in buffers of its own."""
    flat = torch.stack([weight.flatten(), gradient.flatten()])
    length = unit_length(weight)
    fraction = AdaptiveClip(flat, [Units(0, weight.numel() // length, length)], clip, eps)()
    assert torch.equal(flat[0], weight.flatten())
    return flat[1].view(weight.shape), fraction


def timms(weight, gradient, clip=0.02, eps=EPS):
    from timm.utils.agc import adaptive_clip_grad

    made = nn.Parameter(weight.clone())
    made.grad = gradient.clone()
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


class Mixed(nn.Module):
    """Parameters of every shape, two of some; in some units weights of zero, and gradients of every kind."""

    def __init__(self):
        super().__init__()
        for name, shape in SHAPES.items():
            for number in (1, 2):
                self.register_parameter(f"{name} {number}", nn.Parameter(drawn(shape, seed=number)[0]))
        self.head = nn.Linear(7, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter[0] = 0


def broken_gradients(module):
    """Side by side in each tensor: zero, tiny, ordinary, huge, infinite, not a number."""
    kinds = torch.tensor([0.0, 1e-8, 1e-2, 1.0, 1e6, 1e38, float("inf"), float("nan")])
    for number, parameter in enumerate(module.parameters()):
        factors = kinds.roll(number).repeat(2)[: parameter.shape[0]].view(-1, *[1] * (parameter.ndim - 1))
        parameter.grad.copy_(drawn(parameter.shape, seed=number)[1] * factors)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(RunConfig.parse({"model": {"width": 4, "standardize": True}, "batchnorm": {"layers": 2}}), 10, 32, 3).module


def both(module, head, fill):
    """The gradients that ours and timm's leave of the same ones, by name; and the fraction that ours tells."""
    from timm.utils.agc import adaptive_clip_grad

    flat = FlatParameters(Network.of_our_layers(module, head), torch.float32)
    fill(module)
    theirs = {name: nn.Parameter(parameter.detach().clone()) for name, parameter in module.named_parameters()}
    for name, parameter in module.named_parameters():
        theirs[name].grad = parameter.grad.clone()
    adaptive_clip_grad([parameter for name, parameter in theirs.items() if module.get_parameter(name) is not head.weight], 0.02, EPS)
    fraction = AdaptiveClip(flat.buffer, flat.units, 0.02, EPS)()
    return {name: (parameter.grad, theirs[name].grad) for name, parameter in module.named_parameters()}, fraction


@FORMATS
def test_a_mixed_network_is_timms_bit_for_bit(memory_format):
    module = Mixed().to(memory_format=memory_format)
    weights = [parameter.detach().clone() for parameter in module.parameters()]
    gradients, fraction = both(module, module.head, broken_gradients)
    for ours, theirs in gradients.values():
        assert_bitwise_equal(ours, theirs)
    assert all(torch.equal(old, new) for old, new in zip(weights, module.parameters(), strict=True))
    assert 0 < fraction < 1


@FORMATS
def test_a_whole_network_is_timms_bit_for_bit(network, memory_format):
    def backward(module):
        module(torch.randn(4, 3, 32, 32)).square().sum().backward()

    gradients, fraction = both(network.to(memory_format=memory_format), network.fc, backward)
    for ours, theirs in gradients.values():
        assert_bitwise_equal(ours, theirs)
    assert 0 < fraction <= 1


def test_a_unit_is_an_output_channel_a_row_or_a_whole_vector():
    lengths = {name: unit_length(drawn(shape)[0]) for name, shape in SHAPES.items()}
    assert lengths == {"convolution": 45, "linear": 7, "vector": 16, "gain": 1, "one unit": 9, "one number": 1}


def test_the_fraction_counts_units_over_all_groups():
    short, long = torch.full((5,), 1e-4), torch.ones(5)
    flat = torch.stack([torch.ones(15), torch.cat([short, long, short])])
    assert AdaptiveClip(flat, [Units(0, 2, 5), Units(10, 5, 1)], 0.02, EPS)() == pytest.approx(1 / 7)
    assert clipped(torch.ones(4, 2), torch.zeros(4, 2))[1] == 0
    assert clipped(torch.ones(4, 2), torch.full((4, 2), float("nan")))[1] == 1


def test_what_is_in_no_group_is_left_alone():
    flat = torch.stack([torch.ones(12), torch.full((12,), 1e3)])
    AdaptiveClip(flat, [Units(4, 2, 2)], 0.02, EPS)()
    assert (flat[1] == 1e3).tolist() == [True] * 4 + [False] * 4 + [True] * 4


def test_the_clip_threshold_may_change_between_calls():
    weight, gradient = drawn((8, 5))
    flat = torch.stack([weight.flatten(), gradient.flatten()])
    clip = AdaptiveClip(flat, [Units(0, 8, 5)], 0.02, EPS)
    clip.clip.fill_(0.5)
    clip()
    assert_bitwise_equal(flat[1].view(8, 5), timms(weight, gradient, 0.5))


@settings(max_examples=80)
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


class Launches(TorchDispatchMode):
    """Counts what is dispatched: on a GPU each is a launch or more."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("layers", [0, 3])
def test_a_call_for_resnet_50_takes_few_launches(layers):
    """At full width, where there are most lengths."""
    with torch.device("meta"):
        made = build(RunConfig.parse({"batchnorm": {"layers": layers}}), 10, 32, 3)
        flat = FlatParameters(made, torch.float32)
        clip = AdaptiveClip(flat.buffer, flat.units, 0.02, EPS)
        with Launches() as launches:
            clip()
    assert launches.count <= 45


def test_clipping_never_waits_for_the_device():
    with FakeTensorMode():  # reading a value raises here
        clip = AdaptiveClip(torch.randn(2, 30), [Units(0, 2, 5), Units(10, 5, 4)], 0.02, EPS)
        assert clip().shape == ()


def test_where_triton_cannot_build_its_kernel_the_matrices_do_it_and_the_log_says_so(monkeypatch, caplog):
    class Unbuildable:
        def __init__(self, flat, groups):
            pass

        def __call__(self, clip, eps):
            raise RuntimeError("Failed to find C compiler.\nSecond line")

    monkeypatch.setattr(agc_kernel, "ClipKernel", Unbuildable)
    assert agc.kernel(torch.zeros(2, 64), [Units(0, 1, 64)]) is None
    assert caplog.messages == ["gradients are clipped without Triton's kernel, in more launches: Failed to find C compiler."]
