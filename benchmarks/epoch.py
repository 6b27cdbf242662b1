"""A training epoch: reglab's against the plain recipe that anyone would write, batches, network, step and metrics included.

The peer is torchvision's ResNet-50 and transforms, a DataLoader with worker processes, autocast, PyTorch's Adam as it comes,
loss and accuracy read with `.item()` in each step, and, with AGC, timm's `adaptive_clip_grad`. Ours runs the same network
(normalization in all layers) without an evaluation. Both train on as many images of noise, epoch by epoch in turns, on a CPU
each in a process of its own; seconds are those of 50,000.

Without other wishes: on a GPU both stems, three batch sizes, with and without AGC; on a CPU the ImageNet stem at batch 256,
and an epoch of about eight seconds. `model.stem=cifar`, `train.batch_size=64` or `agc.enabled=true` choose rows,
`data.train_limit=2560` the number of images.

    reglab bench epoch [--rounds N] [KEY=VALUE …]
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from benchmarks import measure as shared
from benchmarks.agc import TIMM
from benchmarks.batches import loader, statistics_of
from benchmarks.measure import Absent, Apart, Here, Outcome, Result
from reglab.config import RunConfig
from reglab.data.images import ImageSet
from reglab.errors import UserError
from reglab.processes.signals import Signals
from reglab.techniques.agc.declared import TECHNIQUE as AGC
from reglab.training.clock import synchronize
from reglab.training.memory import device_peak_gb
from reglab.training.run import Run
from reglab.training.step import Precision

ROUNDS = {"cpu": 3, "cuda": 5}
EPOCH = 50_000
"""Images of CIFAR-10: seconds are scaled to them."""

SECONDS = 8.0
"""An epoch of either side takes about as long, where that is less than all images."""

DEFAULTS = ("batchnorm.layers=3", "augment.policy=basic")
FACTORS: dict[str, dict[str, tuple[object, ...]]] = {
    "cpu": {"model.stem": ("imagenet",), "train.batch_size": (256,), "agc.enabled": ("false", "true")},
    "cuda": {"model.stem": ("imagenet", "cifar"), "train.batch_size": (64, 128, 256), "agc.enabled": ("false", "true")},
}


class Ours:
    """Run's own epochs, one after the other, without evaluation; warmed up, and on a GPU captured, as a run is."""

    def __init__(self, config: RunConfig, images: ImageSet, device: torch.device):
        self.run, self.signals, self.device = Run(config, images, device), Signals(), device
        self.network = self.run.network
        self.run.warm_up()

    def epoch(self) -> None:
        self.run.train_until(float("inf"), self.signals)
        self.run.sums.read()
        self.run.leave_epoch()


class Recipe:
    """A training script as the tutorials have it."""

    def __init__(self, config: RunConfig, images: ImageSet, device: torch.device):
        torch.manual_seed(config.train.seed)
        self.config, self.device = config, device
        self.precision = Precision.resolve(config.train.precision, device)
        self.network = torchvision.models.resnet50(num_classes=len(images.classes))
        if config.model.stem == "cifar":
            self.network.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
            self.network.maxpool = nn.Identity()
        self.network.to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.optimizer.lr)
        self.scaler = self.precision.scaler()
        self.batches = loader(images.train, config.train.batch_size, workers(), *statistics_of(images.train), device)

    def epoch(self) -> None:
        self.network.train()
        loss_sum, correct = 0.0, 0
        for images, labels in self.batches:
            loss, right = self.step(images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True))
            loss_sum += loss
            correct += right

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, int]:
        """Loss and number of right answers."""
        self.optimizer.zero_grad()
        with self.precision.autocast():
            logits = self.network(images)
            loss = F.cross_entropy(logits, labels)
        self.scaler.scale(loss).backward()
        if AGC.of(self.config).enabled:
            from timm.utils.agc import adaptive_clip_grad

            self.scaler.unscale_(self.optimizer)
            clipped = [parameter for parameter in self.network.parameters() if parameter is not self.network.fc.weight]
            adaptive_clip_grad(clipped, AGC.of(self.config).clip, AGC.of(self.config).eps)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item() * len(labels), int((logits.argmax(1) == labels).sum().item())


SIDES: dict[str, Callable[..., Any]] = {"recipe": Recipe, "reglab": Ours}


def workers() -> int:
    """Of the peer's DataLoader: a core each, eight at most."""
    return min(8, os.cpu_count() or 1)


def image_count(config: RunConfig) -> int:
    """Whole batches that take reglab about `SECONDS`, two at least and an epoch at most."""
    device = shared.device()
    side = Ours(config, shared.random_images(2 * config.train.batch_size), device)
    side.epoch()
    batches = round(SECONDS / (shared.timed(side.epoch, device) / 2))
    return min(EPOCH, max(2, batches) * config.train.batch_size)


def made(side: Callable[..., Any], config: RunConfig, images: int) -> Any:
    device = shared.device()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return side(config, shared.random_images(images), device)


def epoch(side: Any) -> None:
    side.epoch()
    synchronize(side.device)


def network_size(side: Any) -> int:
    return shared.parameter_count(side.network)


def is_captured(side: Ours) -> bool:
    return side.run.captured


def peak_gb(side: Any) -> float:
    return device_peak_gb(side.device)


def compared(config: RunConfig, rounds: int, device: torch.device) -> Result:
    count = config.data.train_limit or shared.in_a_process(image_count, config)[2]
    sides: dict[str, Apart | Here] = {}
    peaks = {}
    with ExitStack() as stack:
        for name, side in SIDES.items():
            before = torch.cuda.memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
            # A GPU's memory is not the host's, and a process takes long to reach it: there both are in this one.
            sides[name] = Apart(made, side, config, count) if device.type == "cpu" else Here(made, side, config, count)
            stack.enter_context(sides[name])
            sides[name](epoch)
            peaks[f"peak GB of {name}"] = sides[name](peak_gb) - before
        if len({side(network_size) for side in sides.values()}) > 1:
            raise UserError("the recipe's network is torchvision's: leave model and batchnorm as they are, but for model.stem")
        spent = shared.alternate({name: partial(side, epoch) for name, side in sides.items()}, rounds, torch.device("cpu"))
        captured = sides["reglab"](is_captured)
    seconds = {name: [each * EPOCH / count for each in series] for name, series in spent.items()}
    facts: dict[str, Any] = {"images": count, "workers": workers(), "precision": Precision.resolve(config.train.precision, device).name}
    facts["one CUDA graph a step"] = captured
    facts |= {f"images/s of {name}": EPOCH / median(series) for name, series in seconds.items()} | peaks
    agc = f"AGC {AGC.of(config).clip:g}" if AGC.of(config).enabled else "no AGC"
    return Result.of("epoch", f"{config.model.stem}, batch {config.train.batch_size}, {agc}", seconds, ("recipe", "reglab"), device, facts)


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    for case in shared.cases(FACTORS[device.type], [*DEFAULTS, *overrides]):
        config = shared.configured(case)
        if AGC.of(config).enabled and find_spec("timm") is None:
            yield Absent("epoch", "with AGC", TIMM)
        else:
            yield compared(config, rounds or ROUNDS[device.type], device)


if __name__ == "__main__":
    shared.main(measure, __doc__)
