"""How far a training epoch is from what the device can do: its floor in operations and bytes against its seconds.

The peer is the device itself, measured in the same rounds: bytes read and written by a large copy, and operations of a large
matrix product in the run's precision. The floor of a step is the longer of two times: its multiply-adds at that rate (those
of convolutions and linear layers, two operations each, none with padding, twice as many again backward), and its least bytes at that
bandwidth: each output of these layers written and read once forward and once backward (normalization and rectifiers come for
free), and for each fp32 parameter ten transfers (weight read forward and backward, gradient written and read, weight and two
moments of Adam read and written).

    reglab bench bounds [--rounds N] [KEY=VALUE …]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks import measure as shared
from benchmarks.epoch import EPOCH, Ours, image_count
from benchmarks.measure import Outcome, Result
from reglab.config import RunConfig
from reglab.models import build

ROUNDS = 3
DEFAULTS = ("batchnorm.layers=3", "augment.policy=basic")
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
MATRIX = {"cpu": 2048, "cuda": 8192}
REPEATS = {"cpu": 2, "cuda": 20}
PARAMETER_TRANSFERS = 10


@dataclass(frozen=True)
class Work:
    """Of one training step."""

    operations: int  # a multiply-add is two
    bytes: int  # read and written

    @classmethod
    def of(cls, config: RunConfig, images: int, element: int) -> "Work":
        """Counted on a pass of one image; `element` is the size of an activation's element in bytes."""
        network = build(config, shared.CLASSES, *shared.EXTENT).module
        adds, outputs = [], []

        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            adds.append(multiply_adds(module, inputs[0]))
            outputs.append(output.numel())

        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        with torch.no_grad():
            network.eval()(torch.zeros(1, shared.EXTENT.channels, shared.EXTENT.side, shared.EXTENT.side))
        parameters = shared.parameter_count(network)
        return cls(3 * 2 * sum(adds) * images, 4 * element * sum(outputs) * images + 4 * PARAMETER_TRANSFERS * parameters)


def multiply_adds(module: nn.Module, image: Tensor) -> int:
    """Of a layer with one image (1, channels, extent, extent): no weight of a kernel counts where it meets padding."""
    if isinstance(module, nn.Linear):
        return module.weight.numel()
    assert isinstance(module, nn.Conv2d) and isinstance(module.padding, tuple)
    extent, kernel, stride, padding = image.shape[-1], module.kernel_size[0], module.stride[0], module.padding[0]
    first = range(-padding, extent + padding - kernel + 1, stride)  # position of each output's first weight
    met = sum(min(start + kernel, extent) - max(start, 0) for start in first)  # along one side
    return module.in_channels * module.out_channels * met**2


class Copy:
    """A copy between two buffers larger than any cache."""

    def __init__(self, device: torch.device):
        self.source = torch.zeros(COPY_BYTES[device.type], dtype=torch.uint8, device=device)
        self.target, self.repeats = torch.empty_like(self.source), REPEATS[device.type]

    def __call__(self) -> None:
        for _ in range(self.repeats):
            self.target.copy_(self.source)

    @property
    def bytes(self) -> int:
        return 2 * self.repeats * self.source.numel()


class Product:
    """A product of two square matrices."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        self.extent, self.repeats = MATRIX[device.type], REPEATS[device.type]
        self.left, self.right = torch.randn(2, self.extent, self.extent, device=device, dtype=dtype)
        self.out = torch.empty_like(self.left)

    def __call__(self) -> None:
        for _ in range(self.repeats):
            torch.mm(self.left, self.right, out=self.out)

    @property
    def operations(self) -> int:
        return 2 * self.repeats * self.extent**3


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    config = shared.configured([*DEFAULTS, *overrides])
    count = config.data.train_limit or image_count(config)
    side = Ours(config, shared.random_images(count), device)
    copy, product = Copy(device), Product(side.run.precision.dtype, device)
    steps = EPOCH / config.train.batch_size
    work = Work.of(config, config.train.batch_size, side.run.precision.dtype.itemsize)
    spent = shared.alternate({"copy": copy, "product": product, "reglab": side.epoch}, rounds or ROUNDS, device)
    moving = [steps * work.bytes / copy.bytes * each for each in spent["copy"]]
    counting = [steps * work.operations / product.operations * each for each in spent["product"]]
    seconds = {
        "reglab": [each * EPOCH / count for each in spent["reglab"]],
        "floor": [max(pair) for pair in zip(moving, counting, strict=True)],
    }
    facts = {
        "copy GB/s": copy.bytes / median(spent["copy"]) / 1e9,
        f"{side.run.precision.name} product Tflop/s": product.operations / median(spent["product"]) / 1e12,
        "Gflop a step": work.operations / 1e9,
        "GB a step": work.bytes / 1e9,
        "s of operations": median(counting),
        "s of bytes": median(moving),
        "images": count,
        "one CUDA graph a step": side.run.captured,
    }
    yield Result.of("bounds", f"{config.model.stem}, batch {config.train.batch_size}", seconds, ("reglab", "floor"), device, facts)


if __name__ == "__main__":
    shared.main(measure, __doc__)
