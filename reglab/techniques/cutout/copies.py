"""Cutout as the study uses it: copies of images with a black square, appended to the batch.

DeVries and Taylor (2017, https://arxiv.org/abs/1708.04552) cut the images themselves; the study appends `images` new ones,
drawn from the batch (`per: batch`) or made of every image of it (`per: image`). The square is black before
normalization and lies wholly inside the image.
"""

import torch
from torch import Tensor

from reglab.techniques.applied import Averaging, Draws
from reglab.techniques.cutout.declared import CutoutConfig


class Cutout(Averaging[CutoutConfig]):
    """Appends copies to the batch, each drawn as its original is, and black in a square of its own."""

    probe = "cutout/masked_fraction"

    def draw(self, draws: Draws, generator: torch.Generator) -> None:
        picks = copies(self.own, len(draws.index), generator)
        draws.append(picks, beside=self.own.images if self.own.per == "image" else 1)
        draws.appended["squares"] = inside = squares(self.own, len(picks), draws.side, generator)
        self.tell(inside.sum() / (len(draws.index) * draws.side**2))

    def on_levels(self, images: Tensor, draws: Draws) -> Tensor:
        inside = draws.appended["squares"]
        erase(images[len(images) - len(inside) :], inside)
        return images


def copies(config: CutoutConfig, batch: int, generator: torch.Generator) -> Tensor:
    """Which images of a batch are copied: (K,) positions. Under `per: batch` no image comes twice before all have come once."""
    if config.per == "image":
        return torch.arange(batch, device=generator.device).repeat_interleave(config.images)
    shuffled = torch.rand(batch, generator=generator, device=generator.device).argsort()
    return shuffled.repeat(-(-config.images // batch))[: config.images]


def squares(config: CutoutConfig, count: int, side: int, generator: torch.Generator) -> Tensor:
    """A square drawn for each of `count` images: (K, side, side), true inside it."""
    size = min(config.size, side)
    corner = torch.randint(0, side - size + 1, (2, count, 1), generator=generator, device=generator.device)
    offsets = torch.arange(side, device=generator.device)
    rows, columns = ((offsets >= corner) & (offsets < corner + size)).unbind()
    return rows[:, :, None] & columns[:, None, :]


def erase(images: Tensor, inside: Tensor) -> None:
    """Sets the pixels `inside` (K, H, W) of images (K, H, W, C) to zero."""
    images.masked_fill_(inside[..., None], 0)
