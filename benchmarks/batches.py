"""Training batches: reglab's, made on the device, against worker processes and against another library on the device.

The peers are torchvision's v2 transforms on the PIL images of its CIFAR10 dataset, in a DataLoader with two worker
processes, and, where it is installed, kornia's augmentations on batches of images that lie on the device. All crop (padding
4), flip and normalize, and leave the batch on the device. Checked first: reglab's first batch is, pixel for pixel and to the
precision of its numbers, what torchvision's functions make of the same draws, and the batches of all sides have the same
mean and spread.

In the second case reglab appends two cutout copies to each batch; the peers, which have no such thing, do not.
`reglab compiled` is the same with train.compile=true.

    reglab bench batches [--rounds N] [KEY=VALUE …]
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import product
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from benchmarks import measure as shared
from benchmarks.measure import Absent, Outcome, Result
from reglab.data.images import Split
from reglab.errors import ReglabError
from reglab.techniques.applied import Draws
from reglab.techniques.cutout.declared import TECHNIQUE as CUTOUT
from reglab.training.run import Run

ROUNDS = 7
IMAGES = {"cpu": 10_000, "cuda": 50_000}
WORKERS = 2
DEFAULTS = ("augment.policy=basic", "train.batch_size=256", "model.width=2")
"""The network is not run."""

FACTORS = {"cutout.images": (0, 2)}
PADDING = 4
OURS = ("reglab", "reglab compiled")

Consume = Callable[[Tensor], None]
Epoch = Callable[[Consume], None]
"""Hands each batch of an epoch on: (M, 3, 32, 32), normalized, on the device."""


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's CIFAR10 gives them: an array turned into a PIL image, then the transforms."""

    def __init__(self, part: Split, transform: Callable[[Image.Image], Tensor]):
        self.part, self.transform = part, transform

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.part.images[index])), int(self.part.labels[index])


def loader(
    part: Split, batch: int, workers: int, mean: Sequence[float], std: Sequence[float], device: torch.device
) -> DataLoader[tuple[Tensor, int]]:
    """torchvision's usual training recipe; mean and std in shares of white."""
    transform = v2.Compose(
        [
            v2.RandomCrop(shared.EXTENT.side, padding=PADDING),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    pinned = device.type == "cuda"
    return DataLoader(
        PilImages(part, transform), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0, pin_memory=pinned
    )


def statistics_of(part: Split) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in shares of white."""
    pixels = part.images.reshape(-1, 3)
    return (pixels.mean(0, dtype=np.float64) / 255).tolist(), (pixels.std(0, dtype=np.float64) / 255).tolist()


def ours(run: Run) -> Epoch:
    def epoch(consume: Consume) -> None:
        order = run.batches.order(run.draws)
        for step in range(run.batches.steps_per_epoch):
            consume(run.batches.batch(run.batches.positions(order, step), run.draws).images)

    return epoch


def torchvisions(part: Split, batch: int, device: torch.device) -> Epoch:
    batches = loader(part, batch, WORKERS, *statistics_of(part), device)

    def epoch(consume: Consume) -> None:
        for images, labels in batches:
            labels.to(device, non_blocking=True)
            consume(images.to(device, non_blocking=True))

    return epoch


def kornias(part: Split, batch: int, device: torch.device) -> Epoch:
    import kornia.augmentation as K

    mean, std = (torch.tensor(values, device=device) for values in statistics_of(part))
    transform = K.AugmentationSequential(
        K.RandomCrop((shared.EXTENT.side, shared.EXTENT.side), padding=PADDING),
        K.RandomHorizontalFlip(),
        K.Normalize(mean, std),
        data_keys=["input"],
    )
    pixels = torch.from_numpy(part.images).to(device).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(part.labels).to(device)

    @torch.no_grad()
    def epoch(consume: Consume) -> None:
        for index in torch.randperm(len(labels), device=device).split(batch):
            labels[index]
            consume(transform(pixels[index].float() / 255))

    return epoch


def check_pixels(run: Run, part: Split) -> None:
    """Raises ReglabError where a batch is not what torchvision's functions make of the same draws. `run` makes it eagerly."""
    order = run.batches.order(run.draws)
    size = min(run.batches.size, len(part))
    same = torch.Generator(run.device)
    same.set_state(run.draws.get_state())
    made = run.batches.batch(run.batches.positions(order, 0), run.draws).images[:size].float()
    draws = Draws.still(order[:size], shared.EXTENT.side, run.batches.padding)
    for applied in run.applied:
        applied.draw(draws, same)
    close = max(1e-5, torch.finfo(run.precision.dtype).eps)
    mean, std = statistics_of(part)
    for place, index in enumerate(order[:size].tolist()):
        image = F.pad(F.to_image(part.images[index]), [PADDING])
        image = F.crop(image, int(draws.top[place]), int(draws.left[place]), shared.EXTENT.side, shared.EXTENT.side)
        image = F.horizontal_flip(image) if draws.flip is not None and draws.flip[place] else image
        wanted = F.normalize(F.to_dtype(image, torch.float32, scale=True), mean, std)
        if not torch.allclose(made[place].cpu(), wanted, rtol=close, atol=close):
            raise ReglabError(f"image {index} is not what torchvision makes of the same draws")


def check_statistics(epochs: dict[str, Epoch]) -> None:
    """Raises ReglabError where the sides' images differ in mean or spread by more than a fiftieth."""
    found = {}
    for name, epoch in epochs.items():
        batches: list[Tensor] = []
        epoch(lambda images, batches=batches: batches.append(torch.stack(torch.std_mean(images.float()))))  # type: ignore[misc]
        found[name] = torch.stack(batches[:-1] or batches).mean(0)
    first = next(iter(found.values()))
    for name, values in found.items():
        if (values - first).abs().max() > 0.02:
            raise ReglabError(f"images of {name} have spread and mean {values.tolist()}, those of {next(iter(found))} {first.tolist()}")


def compiles(epoch: Epoch) -> bool:
    """Whether an epoch compiles something."""
    before = counters["stats"]["unique_graphs"]
    drained(epoch)()
    return counters["stats"]["unique_graphs"] > before


def speed(side: str) -> str:
    return f"images/s of {side}"


def drained(epoch: Epoch) -> Callable[[], None]:
    return lambda: epoch(lambda images: None)


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    for case in shared.cases(FACTORS, [*DEFAULTS, *overrides]):
        config = shared.configured(case)
        images = shared.random_images(config.data.train_limit or IMAGES[device.type])
        name = f"batch {config.train.batch_size}" + (f" and {CUTOUT.of(config).images} copies" if CUTOUT.of(config).images else "")
        runs = {kind: Run(shared.configured([*case, f"train.compile={kind}"]), images, device) for kind in ("false", "true")}
        epochs = {"reglab": ours(runs["false"])}
        if compiles(ours(runs["true"])):
            epochs["reglab compiled"] = ours(runs["true"])
        else:
            yield Absent("batches", f"{name}, compiled", "batches that train.compile compiles")
        epochs["torchvision"] = torchvisions(images.train, config.train.batch_size, device)
        if find_spec("kornia"):
            epochs["kornia"] = kornias(images.train, config.train.batch_size, device)
        else:
            yield Absent("batches", f"{name}, kornia", "kornia: pip install kornia")
        check_pixels(runs["false"], images.train)
        if not CUTOUT.of(config).images:  # black squares change both
            check_statistics(epochs)
        seconds = shared.alternate({side: drained(epoch) for side, epoch in epochs.items()}, rounds or ROUNDS, device)
        speeds = {speed(side): len(images.train) / median(spent) for side, spent in seconds.items()}
        for mine, peer in product([side for side in epochs if side in OURS], [side for side in epochs if side not in OURS]):
            yield Result.of("batches", name, seconds, (peer, mine), device, {fact: speeds[fact] for fact in (speed(mine), speed(peer))})


if __name__ == "__main__":
    shared.main(measure, __doc__)
