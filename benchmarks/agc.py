"""Adaptive gradient clipping: a call of reglab's against timm's, on the same gradients of the full-width network.

The peer is `timm.utils.agc.adaptive_clip_grad`. Both clip the same parameters, all but the weight of the final layer, with
gradients from one backward pass; that their gradients agree afterwards is checked first. Beside the seconds stand the
operations that a call sends through the dispatcher, views left out, and Triton's: on a GPU each is at least a kernel launch. From
the second call on no gradient is longer than its limit, but by rounding: the kernel, which writes only what is too long, has less to do.

    reglab bench agc [--rounds N] [KEY=VALUE …]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import measure as shared
from benchmarks.measure import Absent, Outcome, Result
from reglab.config import RunConfig
from reglab.errors import ReglabError
from reglab.models import Network, build
from reglab.techniques.agc.clip import AdaptiveClip
from reglab.techniques.agc.declared import TECHNIQUE as AGC
from reglab.techniques.batchnorm.declared import TECHNIQUE as BATCHNORM
from reglab.training.flat import FlatParameters
from reglab.training.step import Precision

ROUNDS = 15
TIMM = "timm: pip install timm, or the extra dev of reglab"
CALLS = 10
"""In each round."""

FACTORS = {"batchnorm.layers": (0, 3)}
"""Without normalization there are fewer parameters."""


def timms(network: Network, config: RunConfig) -> Callable[[], object]:
    from timm.utils.agc import adaptive_clip_grad

    parameters = [parameter for parameter in network.module.parameters() if network.head is None or parameter is not network.head.weight]
    return lambda: adaptive_clip_grad(parameters, clip_factor=AGC.of(config).clip, eps=AGC.of(config).eps)


def network_of(config: RunConfig, device: torch.device) -> Network:
    """The same weights each time."""
    torch.manual_seed(0)
    made = build(config, shared.CLASSES, *shared.EXTENT)
    made.module.to(device).to(memory_format=torch.channels_last)
    return made


def ours(network: Network, config: RunConfig) -> Callable[[], object]:
    """Takes the network's parameters over, as a run does."""
    flat = FlatParameters(network, torch.float32)
    return AdaptiveClip(flat.buffer, flat.units, AGC.of(config).clip, AGC.of(config).eps)


def backward(network: nn.Module, config: RunConfig, device: torch.device) -> None:
    """Leaves the gradients of one pass over noise; the same ones each time."""
    torch.manual_seed(1)
    images = torch.randn(64, shared.EXTENT.channels, shared.EXTENT.side, shared.EXTENT.side, device=device).contiguous(
        memory_format=torch.channels_last
    )
    with Precision.resolve(config.train.precision, device).autocast():
        loss = F.cross_entropy(network(images), torch.arange(64, device=device) % 10)
    loss.backward()


def gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


class Launches(TorchDispatchMode):
    """Counts the operations that are dispatched while it is open, but those that only make a view."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: OpOverload[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def launches(call: Callable[[], object]) -> int:
    counter = Launches()
    with counter:
        call()
    return counter.count


def agree(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks' gradients have the same bits. Raises ReglabError where they differ by more than rounding."""
    for ours, theirs in zip(gradients(one), gradients(other), strict=True):
        if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-9):
            raise ReglabError(f"the two clip differently: gradients differ by up to {(ours - theirs).abs().max().item():.2g}")
    return all(map(torch.equal, gradients(one), gradients(other)))


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(CALLS):
            call()

    return calls


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    if find_spec("timm") is None:
        yield Absent("agc", "a call against timm's", TIMM)
        return
    device = shared.device()
    for case in shared.cases(FACTORS, overrides):
        config = shared.configured(case)
        mine, theirs = network_of(config, device), network_of(config, device)
        calls = {"timm": timms(theirs, config), "reglab": ours(mine, config)}
        backward(mine.module, config, device)
        for parameter, gradient in zip(theirs.module.parameters(), gradients(mine.module), strict=True):
            parameter.grad = gradient.clone()
        counted = {f"launches of {name}": launches(call) for name, call in calls.items()}
        counted["launches of reglab"] += device.type == "cuda"  # Triton's, which the dispatcher does not see
        same = agree(mine.module, theirs.module)
        spent = shared.alternate({name: repeated(call) for name, call in calls.items()}, rounds or ROUNDS, device)
        seconds = {name: [each / CALLS for each in series] for name, series in spent.items()}
        facts = counted | {"bitwise equal": same, "parameters": len(gradients(mine.module)), "width": config.model.width}
        yield Result.of("agc", f"BN {BATCHNORM.of(config).layers}", seconds, ("timm", "reglab"), device, facts)


if __name__ == "__main__":
    shared.main(measure, __doc__)
