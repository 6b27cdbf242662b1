"""Where the time of a training step on a GPU goes: its kernels by kind, and what no kernel fills.

A step is one CUDA graph, so that what stands between its kernels is the device's own. Kinds are told by the names of the
kernels, as PyTorch's profiler has them from CUPTI; milliseconds and launches are those of one step, over a profile of 20. The
largest kernels of all stand in the JSON.

    reglab bench kernels [KEY=VALUE …]
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks import measure as shared
from benchmarks.epoch import Ours
from benchmarks.measure import Absent, Outcome
from reglab.training.clock import synchronize

STEPS = 20
DEFAULTS = ("batchnorm.layers=3", "augment.policy=basic", "train.batch_size=256")
FACTORS = {"model.stem": ("imagenet", "cifar")}

KINDS = {
    "clipping": r"clip_units",
    "optimizer": r"[Ff]used_?[Aa]dam|FusedAdam|fused_sgd|FusedSgd",
    "normalization": r"batch_?norm|bn_[fb]w|[Bb]atchNorm",
    "convolution": r"cudnn|fprop|dgrad|wgrad|convolve|implicit|conv2d|nchwToNhwc|nhwcToNchw",
    "matrix product": r"gemm|nvjet|cutlass|splitK|gemv",
    "pooling": r"pool",
    "copy and cast": r"copy|Memcpy|Memset|Cat",
    "random numbers": r"distribution|philox|random",
    "reduction": r"reduce|softmax|nll_loss|argmax",
    "gather": r"index|gather|scatter",
    "elementwise": r"elementwise",
}
"""The first that a kernel's name matches; `other` without one."""


@dataclass(frozen=True)
class Kernel:
    """Of one step."""

    name: str
    launches: float
    milliseconds: float

    @property
    def kind(self) -> str:
        return next((kind for kind, pattern in KINDS.items() if re.search(pattern, self.name)), "other")


@dataclass(frozen=True)
class Share:
    """A kind of kernel in one step; `idle` is what no kernel fills of the step's own time."""

    benchmark: str
    case: str
    kind: str
    milliseconds: float
    launches: float
    share: float  # of the step
    device: str
    torch_version: str
    largest: list[tuple[str, float, float]]  # name, launches, milliseconds

    def cells(self) -> dict[str, str]:
        row = {"case": self.case, "kind": self.kind, "ms a step": f"{self.milliseconds:.3f}", "launches": f"{self.launches:.0f}"}
        return row | {"share": f"{self.share:.1%}"}


def profiled(side: Ours, steps: int) -> tuple[list[Kernel], float]:
    """The kernels of a step, longest first, and its milliseconds outside the profiler."""
    milliseconds = shared.timed(side.epoch, side.device) / side.run.batches.steps_per_epoch * 1000
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as taken:
        side.epoch()
        synchronize(side.device)
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for event in taken.events() or []:
        if event.device_type == DeviceType.CUDA:
            spent[event.name].append(event.device_time)
    kernels = [Kernel(name, len(each) / steps, sum(each) / steps / 1000) for name, each in spent.items()]
    return sorted(kernels, key=lambda kernel: -kernel.milliseconds), milliseconds


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    if device.type != "cuda":
        yield Absent("kernels", "a step's kernels", "a CUDA GPU")
        return
    for case in shared.cases(FACTORS, [*DEFAULTS, *overrides]):
        config = shared.configured(case)
        side = Ours(config, shared.random_images(STEPS * config.train.batch_size), device)
        side.epoch()
        kernels, step = profiled(side, STEPS)
        title = f"{config.model.stem}, batch {config.train.batch_size}"
        by_kind: defaultdict[str, list[Kernel]] = defaultdict(list)
        for kernel in kernels:
            by_kind[kernel.kind].append(kernel)
        idle = Kernel("idle", 0, max(0.0, step - sum(kernel.milliseconds for kernel in kernels)))
        for kind, members in [*sorted(by_kind.items(), key=lambda item: -sum(each.milliseconds for each in item[1])), ("idle", [idle])]:
            spent, launches = sum(each.milliseconds for each in members), sum(each.launches for each in members)
            largest = [(each.name, each.launches, each.milliseconds) for each in members[:8]]
            yield Share("kernels", title, kind, spent, launches, spent / step, shared.device_name(device), torch.__version__, largest)


if __name__ == "__main__":
    shared.main(measure, __doc__)
