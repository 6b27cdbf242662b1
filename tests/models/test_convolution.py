"""Convolutions: PyTorch's wherever the output has one position, and timm's where weights are standardized."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from reglab.config import RunConfig
from reglab.models import build
from reglab.models.convolution import Conv2d, StandardizedConv2d
from tests.waiting import PATIENCE

# --- one position out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("extent", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_is_pytorchs_convolution(kernel, stride, extent, bias):
    torch.manual_seed(0)
    ours = Conv2d(6, 8, kernel, stride, padding=kernel // 2, bias=bias).to(memory_format=torch.channels_last)
    peer = nn.Conv2d(6, 8, kernel, stride, padding=kernel // 2, bias=bias)
    peer.load_state_dict(ours.state_dict())
    images = torch.randn(5, 6, extent, extent).to(memory_format=torch.channels_last)
    outputs, gradients = [], []
    for made in (ours, peer):
        seen = images.clone().requires_grad_()
        outputs.append(made(seen))
        outputs[-1].square().sum().backward()
        gradients.append([seen.grad, *(parameter.grad for parameter in made.parameters())])
    assert outputs[0].shape == outputs[1].shape
    assert outputs[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


class Called(TorchFunctionMode):
    """Collects the functions of PyTorch that are called while it is open, and of convolutions the weight and the stride."""

    def __init__(self):
        super().__init__()
        self.functions, self.convolutions = [], []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.functions.append(func)
        if func is nn.functional.conv2d:
            self.convolutions.append((args[1], args[3][0] if len(args) > 3 else 1))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("kernel", "stride", "extent", "is_a_product"), [(1, 1, 1, True), (3, 1, 1, True), (3, 2, 2, True), (1, 2, 2, True), (3, 1, 2, False)]
)
def test_one_position_takes_a_matrix_product(kernel, stride, extent, is_a_product):
    made = Conv2d(6, 8, kernel, stride, padding=kernel // 2)
    with Called() as called:
        made(torch.randn(2, 6, extent, extent))
    assert (nn.functional.linear in called.functions, nn.functional.conv2d in called.functions) == (is_a_product, not is_a_product)


@pytest.mark.parametrize("inputs", [1, 4, 7, 8, 12, 15, 16])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_strided_kernel_of_one_position_meets_what_pytorchs_meets(inputs, stride):
    """Of fewer than sixteen channels, where oneDNN writes past its memory; the peer is contiguous, where it does not."""
    torch.manual_seed(0)
    ours = Conv2d(inputs, 8, 1, stride).to(memory_format=torch.channels_last)
    peer = nn.Conv2d(inputs, 8, 1, stride)
    peer.load_state_dict(ours.state_dict())
    images = torch.randn(5, inputs, 8, 8)
    gradients = []
    for made, seen in ((ours, images.to(memory_format=torch.channels_last)), (peer, images.clone())):
        made(seen.requires_grad_()).square().sum().backward()
        gradients.append([seen.grad, *(parameter.grad for parameter in made.parameters())])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "strides"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_no_network_gives_pytorch_a_strided_kernel_of_few_channels(width, strides):
    """See `Conv2d.BLOCK`."""
    made = build(RunConfig.parse({"model": {"width": width}}), 10, 32, 3).module
    with Called() as called:
        made(torch.randn(2, 3, 32, 32))
    strided = [weight for weight, stride in called.convolutions if stride > 1 and weight.shape[2] == 1]
    assert all(weight.shape[1] >= Conv2d.BLOCK for weight in strided)
    assert len(strided) == strides  # the last stage's is a matrix product


@pytest.mark.slow
def test_a_network_of_one_channel_trains(tmp_path):
    """In a process of its own, since it would take this one with it."""
    train = [sys.executable, "-m", "reglab", "train", "model.width=1", "data.source=digits", "data.train_limit=256", "data.test_limit=64"]
    subprocess.run([*train, "train.epochs=6", "train.batch_size=32", "batchnorm.layers=2"], cwd=tmp_path, check=True, timeout=PATIENCE)


def test_what_is_not_square_is_pytorchs():
    made = Conv2d(6, 8, 3, padding=1)
    images = torch.randn(2, 6, 1, 5)
    assert torch.equal(made(images), nn.functional.conv2d(images, made.weight, made.bias, padding=1))


# --- scaled weight standardization ------------------------------------------------------------------------------------------


@pytest.fixture
def standardized():
    torch.manual_seed(0)
    made = StandardizedConv2d(6, 8, 3, stride=2, padding=1)
    nn.init.uniform_(made.gain, 0.5, 2)
    return made


def test_standardized_weights_have_no_mean_and_the_variance_of_equation_1(standardized):
    weight = standardized.standardized().detach()
    gamma = math.sqrt(2 / (1 - 1 / math.pi))
    torch.testing.assert_close(weight.mean((1, 2, 3)), torch.zeros(8), rtol=0, atol=1e-6)
    torch.testing.assert_close(weight.std((1, 2, 3), correction=0), standardized.gain.view(-1) * gamma / math.sqrt(54))


def test_standardized_convolution_is_timms(standardized):
    from timm.layers import ScaledStdConv2d

    # timm adds eps to the variance, the paper's code takes the larger of the two: alike where eps is far below the
    # variance, so timm's is made tiny here, and what is left is rounding.
    peer = ScaledStdConv2d(6, 8, 3, stride=2, padding=1, gamma=StandardizedConv2d.RELU_GAMMA, eps=1e-12)
    state = standardized.state_dict()
    peer.load_state_dict(state | {"gain": state["gain"].view(-1, 1, 1, 1)}, strict=True)
    images = torch.randn(3, 6, 9, 9)
    outputs, gradients = [], []
    for made in (standardized, peer):
        outputs.append(made(images))
        outputs[-1].square().sum().backward()
        gradients.append({name: parameter.grad.squeeze() for name, parameter in made.named_parameters()})
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_standardization_ignores_shift_and_scale_of_the_weights(standardized):
    before = standardized.standardized()
    with torch.no_grad():
        standardized.weight.mul_(7).add_(3)
    torch.testing.assert_close(standardized.standardized(), before, rtol=1e-4, atol=1e-5)


def test_weights_without_variance_are_not_divided_by_zero(standardized):
    with torch.no_grad():
        standardized.weight.fill_(0.5)
    assert (standardized.standardized() == 0).all()
