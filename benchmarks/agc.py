"""A call of adaptive gradient clipping on ResNet-50 at full width: reglab against timm.

The peer is `timm.utils.agc.adaptive_clip_grad`, parameter by parameter. Both clip the same gradients, and must leave the same
ones: bit for bit on a CPU. Gradients are put back before each call, and the caches filled with something else. What our step spends beside the call, to bring its
gradients into one buffer, is the second row's: there it is counted as ours.

    python -m benchmarks.agc [--rounds N]
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from timm.utils.agc import adaptive_clip_grad
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measure import Comparison, compare, show
from reglab.config import RunConfig
from reglab.models.resnet import ResNet50
from reglab.regularizers.agc import AdaptiveClip
from reglab.settings import settings
from reglab.training.environment import pick_device
from reglab.training.flat import FlatParameters

CLIP, EPS = 0.02, 1e-3


class Launches(TorchDispatchMode):
    """Counts the operations that reach the dispatcher: on a GPU each launches a kernel or more."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return function(*args, **(kwargs or {}))


def launches(call: Callable[[], object]) -> int:
    with Launches() as counted:
        call()
    return counted.count


def measure(layers: int, gathered: bool, device: torch.device, rounds: int) -> Comparison:
    """With so many normalized units in each block; `gathered`: our side starts from separate gradients, as autograd leaves them."""
    torch.manual_seed(0)
    network = ResNet50(RunConfig.parse({"batchnorm": {"layers": layers}}), 10).to(device).to(memory_format=torch.channels_last)
    theirs = {name: nn.Parameter(parameter.detach().clone()) for name, parameter in network.named_parameters()}
    gradients = [torch.randn_like(parameter) * parameter.detach().abs().mean() * 0.03 for parameter in theirs.values()]
    flat = FlatParameters(network, network.fc, torch.float32)
    clip = AdaptiveClip(flat.buffer, flat.units, CLIP, EPS)
    ours = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    clipped = [parameter for name, parameter in theirs.items() if name != "fc.weight"]

    for parameter in theirs.values():
        parameter.grad = torch.zeros_like(parameter)
    others = [parameter.grad for parameter in theirs.values() if parameter.grad is not None]
    elsewhere = torch.zeros(40_000_000, device=device)

    def fresh() -> None:
        torch._foreach_copy_(others, gradients)
        torch._foreach_copy_(ours, gradients)
        elsewhere.add_(1)  # what a backward pass does too: no cache holds the gradients

    def our_call() -> None:
        if gathered:
            torch._foreach_copy_(ours, gradients)
        clip()

    def their_call() -> None:
        adaptive_clip_grad(clipped, CLIP, EPS)

    fresh()
    counts = {"reglab": launches(our_call), "timm": launches(their_call)}
    same = all(map(torch.equal, ours, others))
    title = f"AGC on ResNet-50, {layers} BN layers" + (", gradients brought together" if gathered else "")
    found = compare(title, {"reglab": our_call, "timm": their_call}, device, rounds, before=fresh)
    return replace(found, facts={"launches": counts, "bitwise equal": same})


def run(device: torch.device, rounds: int = 15) -> list[Comparison]:
    return [measure(layers, gathered, device, rounds) for layers in (0, 3) for gathered in (False, True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for found in run(pick_device(settings().device), options.rounds):
        show(found)


if __name__ == "__main__":
    main()
