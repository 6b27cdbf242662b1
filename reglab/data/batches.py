"""Batches made on the training device from a set that stays there: no worker processes, no per-image Python."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reglab.config import RunConfig
from reglab.data.images import Split
from reglab.errors import UserError
from reglab.techniques.applied import Applied, Draws, apply, overrides

EVALUATION_BATCH = 1000
"""Images in a batch of an evaluation; changes its speed and memory only."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel over the training images, in grey levels (0 to 255)."""

    mean: Tensor  # (channels,)
    std: Tensor  # (channels,)

    @classmethod
    def of(cls, images: np.ndarray, device: torch.device) -> "Normalization":
        """Measured on uint8 `images` (N, H, W, channels), a slice at a time."""
        channels = images.shape[-1]
        total, squares = torch.zeros(2, channels, dtype=torch.float64, device=device)
        for start in range(0, len(images), 5000):
            pixels = torch.from_numpy(images[start : start + 5000]).to(device).reshape(-1, channels).float()
            total += pixels.sum(0, dtype=torch.float64)
            squares += pixels.square().sum(0, dtype=torch.float64)
        count = images.size / channels
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        return cls(mean.float(), torch.where(std < 1e-3, 1.0, std).float())

    def to(self, device: torch.device) -> "Normalization":
        """Return the same with both (3,) tensors on `device`."""
        return Normalization(self.mean.to(device), self.std.to(device))

    def __call__(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """(M, H, W, channels) grey levels as a normalized (M, channels, H, W) batch in channels_last order."""
        if torch.compiler.is_compiling():  # one pass over the pixels, whatever stands here
            return ((images - self.mean) / self.std).to(dtype).contiguous().permute(0, 3, 1, 2)
        levels = torch.empty(images.shape, device=images.device)
        for channel in range(images.shape[-1]):  # one by one: a quarter of the time of one copy that skips each fourth byte
            levels[..., channel].copy_(images[..., channel])
        rows, pixels = levels.view(len(images), -1), images.shape[1] * images.shape[2]
        rows.sub_(self.mean.repeat(pixels)).div_(self.std.repeat(pixels))
        return levels.to(dtype).permute(0, 3, 1, 2)


class DeviceImages:
    """Images of one part on the device, padded with black, a pixel's channels packed into one element: of 32 bits, or, if grey, of 8."""

    def __init__(self, part: Split, device: torch.device, padding: int = 0):
        self.side, self.channels = part.images.shape[2:]
        within, extent = slice(padding, padding + self.side), self.side + 2 * padding
        stored = np.zeros((len(part), extent, extent, 1 if self.channels == 1 else 4), dtype=np.uint8)
        stored[:, within, within, : self.channels] = part.images
        pixels = torch.from_numpy(stored).to(device)
        self.pixels = (pixels if self.channels == 1 else pixels.view(torch.int32)).squeeze(-1)
        self.labels = torch.from_numpy(part.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def unpack(self, pixels: Tensor) -> Tensor:
        """Packed pixels (M, H, W) as uint8 (M, H, W, channels)."""
        return pixels.view(torch.uint8).view(*pixels.shape, -1)[..., : self.channels]


@dataclass(frozen=True)
class Batch:
    """Images and their labels. Where labels are mixed, `share` () of each is that of `others`."""

    images: Tensor  # (M, channels, side, side), normalized, channels_last
    labels: Tensor  # (M,) int64
    others: Tensor | None = None  # (M,) int64
    share: Tensor | None = None  # () float64


class TrainingBatches:
    """The training part, as the techniques `applied` change it: by default its run's. Raises UserError for fewer than two images."""

    def __init__(
        self,
        part: Split,
        config: RunConfig,
        normalization: Normalization,
        device: torch.device,
        dtype: torch.dtype,
        applied: Sequence[Applied[Any]] | None = None,
    ):
        if len(part) < 2:
            raise UserError(f"there is {len(part)} training image: normalization has no variance for a batch of one; give at least 2")
        self.config, self.normalize, self.dtype, self.device = config, normalization, dtype, device
        self.applied = apply(config, device) if applied is None else applied
        self.padding = max((each.padding for each in self.applied), default=0)
        self.set = DeviceImages(part, device, self.padding)
        self.size = min(config.train.batch_size, len(part))
        # The last batch of an epoch is smaller; a single image is left out, since batch normalization has no variance for it.
        full, rest = divmod(len(part), self.size)
        self.steps_per_epoch = full + (rest > 1)
        self._mixing = [each for each in self.applied if overrides(each, "mix")]
        self._render = torch.compile(self._draw, dynamic=False) if config.train.compile is True else self._draw

    @property
    def mixes_labels(self) -> bool:
        """Whether an image has a share of another one's label."""
        return bool(self._mixing)

    @property
    def sizes(self) -> list[int]:
        """Images in a full batch and, where there is one, in the smaller last, without copies."""
        rest = len(self.set) % self.size
        return [self.size] + ([rest] if rest > 1 else [])

    def order(self, generator: torch.Generator) -> Tensor:
        """The images of an epoch in random order: (N,) positions."""
        return torch.randperm(len(self.set), generator=generator, device=self.device)

    def positions(self, order: Tensor, step: int) -> Tensor:
        """The images of batch number `step` (from 0) of the epoch in `order`: (M,) positions, copies left out."""
        return order[step * self.size : (step + 1) * self.size]

    def batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        """The images at the positions `index` (M,), with fresh draws from `generator`, and copies of them."""
        draws = Draws.still(index, self.set.side, self.padding)
        for each in self.applied:
            each.draw(draws, generator)
        images, labels = self._render(draws), self.set.labels[draws.index]
        return self._mixed(images, labels, draws.order, generator) if self._mixing else Batch(images, labels)

    def _mixed(self, images: Tensor, labels: Tensor, order: Tensor | None, generator: torch.Generator) -> Batch:
        """Each image mixed with the one before it in `order` (M,), which is any. Of several techniques that mix, one by lot."""
        others, of_others = before(images, order), before(labels, order)
        ways = [(each, *way) for each in self._mixing if (way := each.mix(images, others, generator))]
        if not ways:
            return Batch(images, labels)
        first, mixed, share = ways[0]
        if len(ways) == 1:
            first.mixed(share)
            return Batch(mixed, labels, of_others, share)
        lot = torch.randint(len(ways), (), generator=generator, device=generator.device)
        for number, (_, another, its) in enumerate(ways[1:], start=1):
            mixed, share = torch.where(lot == number, another, mixed), torch.where(lot == number, its, share)
        for number, (each, _, _) in enumerate(ways):
            each.mixed(torch.where(lot == number, share, 0.0))
        return Batch(mixed, labels, of_others, share)

    def _draw(self, draws: Draws) -> Tensor:
        """The images as they are drawn, normalized."""
        images = self.set.unpack(windows(self.set.pixels, draws))
        for each in self.applied:
            images = each.on_levels(images, draws)
        return self.normalize(images, self.dtype)


def before(rows: Tensor, order: Tensor | None) -> Tensor:
    """For each of the rows (M, …) the one before it in `order` (M,), or, without one, as they stand; of the first the last."""
    return rows.roll(1, 0) if order is None else rows[torch.empty_like(order).scatter_(0, order, order.roll(1))]


def windows(padded: Tensor, draws: Draws) -> Tensor:
    """The images at the drawn places through their windows, mirrored where drawn: an index an image, not a pixel.

    padded: (N, side + 2p, side + 2p), any type, one element a pixel. Returns (M, side, side).
    """
    side, (_, height, width) = draws.side, padded.shape
    corners = padded.numel() - (side - 1) * (width + 1)
    each = padded.view(-1).as_strided((corners, side, side), (1, width, 1))  # one for each pixel, with it in its corner
    crops = each[(draws.index * height + draws.top) * width + draws.left]
    return crops if draws.flip is None else torch.where(draws.flip[:, None, None], crops.flip(2), crops)


class CleanBatches:
    """A part as it is, in order: for evaluation."""

    def __init__(self, part: Split, normalization: Normalization, device: torch.device, dtype: torch.dtype):
        self.normalize, self.dtype, self.set = normalization, dtype, DeviceImages(part, device)

    def __len__(self) -> int:
        return len(self.set)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images (M, channels, side, side) and labels (M,)."""
        for pixels, labels in zip(self.set.pixels.split(EVALUATION_BATCH), self.set.labels.split(EVALUATION_BATCH), strict=True):
            yield self.normalize(self.set.unpack(pixels), self.dtype), labels
