"""Training batches: reglab's one gather on the device against torchvision in a DataLoader, and against kornia.

The first peer is what most recipes do: torchvision.transforms.v2 (crop after padding, flip, scale, normalize) on PIL images in
a DataLoader with two worker processes. The second augments whole batches: kornia, on the device, from normalized floats.
Each side makes 20 batches a round, shuffled, and ends with normalized float images of the same shape on the device. Kornia
is no library of reglab's: without it (`pip install kornia`) its row is left out.

    python -m benchmarks.batches [--rounds N] [--batch-size N]
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

from benchmarks.measure import Comparison, compare, show
from reglab.config import RunConfig
from reglab.data.batches import Normalization, TrainingBatches
from reglab.data.sources import Part
from reglab.settings import settings
from reglab.training.environment import pick_device

IMAGES, BATCHES, WORKERS = 50_000, 20, 2
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]


class PILImages(Dataset[tuple[Tensor, int]]):
    """As torchvision's own CIFAR10: an array of uint8, a PIL image and its transformations at each access."""

    def __init__(self, part: Part):
        self.part = part
        scale = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        self.transform = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), *scale])

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.part.images[number])), int(self.part.labels[number])


def noise(count: int) -> Part:
    """As many images as CIFAR-10 has, of the same size: what they show does not change what they cost."""
    draws = np.random.default_rng(0)
    return Part(draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), draws.integers(0, 10, count))


def loader(part: Part, size: int, device: torch.device) -> DataLoader[tuple[Tensor, int]]:
    """A round's batches, shuffled. Its workers stay from round to round and rest in between; pinned memory on a GPU."""
    images = PILImages(part)
    some = RandomSampler(images, num_samples=BATCHES * size)
    return DataLoader(images, size, sampler=some, num_workers=WORKERS, persistent_workers=True, pin_memory=device.type == "cuda")


def reglab(part: Part, size: int, device: torch.device, copies: int, compiled: bool) -> Callable[[], object]:
    sections = {"train": {"batch_size": size, "compile": compiled}, "augment": {"policy": "basic"}, "cutout": {"images": copies}}
    batches = TrainingBatches(part, RunConfig.parse(sections), Normalization.of(part.images, device), device, torch.float32)
    generator = torch.Generator(device).manual_seed(0)

    def make() -> None:
        order = batches.order(generator)
        for step in range(BATCHES):
            batches.batch(batches.positions(order, step), generator)

    return make


def torchvision(part: Part, size: int, device: torch.device) -> Callable[[], object]:
    batches = loader(part, size, device)

    def make() -> None:
        for images, labels in batches:
            images.to(device, non_blocking=True)
            labels.to(device, non_blocking=True)

    return make


def kornia(part: Part, size: int, device: torch.device) -> Callable[[], object] | None:
    try:
        from kornia import augmentation as K  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    stored = torch.from_numpy(part.images).to(device).permute(0, 3, 1, 2)
    moves = [K.RandomCrop((32, 32), padding=4, p=1.0), K.RandomHorizontalFlip(p=0.5)]
    transform = torch.nn.Sequential(*moves, K.Normalize(torch.tensor(MEAN), torch.tensor(STD))).to(device)

    def make() -> None:
        order = torch.randperm(len(part), device=device)
        for step in range(BATCHES):
            transform(stored[order[step * size : (step + 1) * size]].float().div_(255))

    return make


def run(device: torch.device, rounds: int = 9, size: int = 256, images: int = IMAGES) -> list[Comparison]:
    part = noise(images)
    peers = {"torchvision v2, DataLoader with 2 workers": torchvision(part, size, device)}
    if (made := kornia(part, size, device)) is not None:
        peers["kornia"] = made
    found = []
    for compiled in (False, True):
        for copies in (0, 2):
            name = "compiled" if compiled else "eager"
            title = f"{BATCHES} batches of {size}, {name}" + (f", with {copies} cutout copies" if copies else "")
            compared = compare(title, {f"reglab, {name}": reglab(part, size, device, copies, compiled), **peers}, device, rounds)
            rates = {side: f"{BATCHES * size / seconds:,.0f} images/s" for side, seconds in compared.seconds.items()}
            found.append(replace(compared, facts=rates))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()
    for found in run(pick_device(settings().device), options.rounds, options.batch_size):
        show(found)


if __name__ == "__main__":
    main()
