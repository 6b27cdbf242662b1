"""The Triton kernel of AGC: against the matrices, in Triton's interpreter, and compiled for the GPUs that it is for."""

import os
import subprocess
import sys

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from reglab.techniques.agc.clip import AdaptiveClip
from reglab.techniques.agc.kernel import BLOCK, ClipKernel, clip_units
from reglab.techniques.units import Units
from tests.fake_gpu import fake

EPS = 1e-3
GROUPS = [Units(0, 7, 10), Units(128, 5, 147), Units(896, 3, 1024), Units(3968, 2, 4608)]
"""Shorter than a block, as long, and longer; with gaps between them."""


in_the_interpreter = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="the first test runs it")


@pytest.mark.slow
def test_triton_s_interpreter_agrees():
    """Triton decides when it is imported whether it interprets."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        __file__,
        "-k",
        "interpreted",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        "-W",
        "ignore::RuntimeWarning",
    ]  # numpy's, of infinity
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def flat(scale=0.1):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 14_000, generator=generator) * torch.tensor([[1.0], [scale]])


def with_every_kind(buffer):
    """Units of zero, tiny, huge, infinite gradients, of gradients or weights that are no numbers, and weights of zero or infinity."""
    for unit, factor in enumerate([0.0, 1e-8, 1e-2, 1e6, 1e18, float("inf"), float("nan")]):
        buffer[1, unit * 10 : unit * 10 + 10] *= factor
    buffer[0, 128 : 128 + 147] = 0
    buffer[1, 896:1920] = 0
    buffer[0, 1920] = float("nan")
    buffer[0, 2944] = float("inf")
    return buffer


def clipped(made, device="cpu"):
    """What the matrices leave, and what the kernel does; and both fractions."""
    ours, theirs = made.clone(), made.clone().to(device)
    fraction = AdaptiveClip(ours, GROUPS, 0.02, EPS)()
    return ours, theirs, fraction


@pytest.mark.parametrize("scale", [1e-6, 0.02, 1.0])
@in_the_interpreter
def test_interpreted_it_does_what_the_matrices_do(scale):
    ours, theirs, fraction = clipped(flat(scale))
    assert ClipKernel(theirs, GROUPS)(torch.tensor(0.02), EPS) == pytest.approx(fraction.item())
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=0)
    if scale == 1e-6:
        assert fraction == 0
        assert torch.equal(theirs, ours)


@in_the_interpreter
def test_interpreted_gradients_of_every_kind_are_the_same():
    ours, theirs, fraction = clipped(with_every_kind(flat()))
    assert ClipKernel(theirs, GROUPS)(torch.tensor(0.02), EPS) == pytest.approx(fraction.item())
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=0, equal_nan=True)


@pytest.mark.parametrize("capability", [80, 90])
def test_it_compiles_for_a_gpu_that_is_not_here(capability):
    types = dict.fromkeys(["weights", "gradients", "clip", "clipped"], "*fp32") | dict.fromkeys(["starts", "lengths"], "*i32")
    signature = {name: types.get(name, "fp32") for name in clip_units.arg_names if name != "BLOCK"} | {"BLOCK": "constexpr"}
    source = ASTSource(clip_units, signature, {(clip_units.arg_names.index("BLOCK"),): BLOCK})
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": True})
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert compiled.asm["cubin"]


@pytest.mark.gpu
@pytest.mark.skipif(fake.is_here(), reason="the fake GPU computes nothing")
@pytest.mark.parametrize("broken", [False, True])
def test_on_a_gpu_it_does_what_the_matrices_do(broken):
    ours, theirs, fraction = clipped(with_every_kind(flat()) if broken else flat(), "cuda")
    clip = AdaptiveClip(theirs, GROUPS, 0.02, EPS)
    assert clip().item() == pytest.approx(fraction.item())
    torch.testing.assert_close(theirs.cpu(), ours, rtol=1e-5, atol=0, equal_nan=True)


@pytest.mark.gpu
def test_on_a_gpu_a_call_is_one_launch_and_the_mean():
    clip = AdaptiveClip(flat().cuda(), GROUPS, 0.02, EPS)
    clip()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        clip()
        torch.cuda.synchronize()
    assert len([event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]) <= 3
