"""Batches made on the training device from a set that stays there: no worker processes, no per-image Python."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reglab.config import RunConfig
from reglab.data.images import SIDE, Part
from reglab.errors import UserError
from reglab.regularizers import augment, cutout

EVALUATION_BATCH = 1000
"""Images in a batch of an evaluation; changes its speed and memory only."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel over the training images, in grey levels (0 to 255)."""

    mean: Tensor  # (3,)
    std: Tensor  # (3,)

    @classmethod
    def of(cls, images: np.ndarray, device: torch.device) -> "Normalization":
        """Measured on uint8 `images` (N, H, W, 3), a slice at a time."""
        total, squares = torch.zeros(2, 3, dtype=torch.float64, device=device)
        for start in range(0, len(images), 5000):
            pixels = torch.from_numpy(images[start : start + 5000]).to(device).reshape(-1, 3).float()
            total += pixels.sum(0, dtype=torch.float64)
            squares += pixels.square().sum(0, dtype=torch.float64)
        count = images.size / 3
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        return cls(mean.float(), torch.where(std < 1e-3, 1.0, std).float())

    def to(self, device: torch.device) -> "Normalization":
        return Normalization(self.mean.to(device), self.std.to(device))

    def __call__(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """(M, H, W, 3) grey levels as a normalized (M, 3, H, W) batch in channels_last order."""
        if torch.compiler.is_compiling():  # one pass over the pixels, whatever stands here
            return ((images - self.mean) / self.std).to(dtype).contiguous().permute(0, 3, 1, 2)
        levels = torch.empty(images.shape, device=images.device)
        for channel in range(3):  # one by one: a quarter of the time of one copy that skips each fourth byte
            levels[..., channel].copy_(images[..., channel])
        rows, pixels = levels.view(len(images), -1), images.shape[1] * images.shape[2]
        rows.sub_(self.mean.repeat(pixels)).div_(self.std.repeat(pixels))
        return levels.to(dtype).permute(0, 3, 1, 2)


class DeviceImages:
    """Images of one part on the device, padded with black, a pixel's channels packed into one 32-bit element."""

    def __init__(self, part: Part, device: torch.device, padding: int = 0):
        extent = SIDE + 2 * padding
        stored = np.zeros((len(part), extent, extent, 4), dtype=np.uint8)
        stored[:, padding : padding + SIDE, padding : padding + SIDE, :3] = part.images
        self.pixels = torch.from_numpy(stored).to(device).view(torch.int32).squeeze(-1)
        self.labels = torch.from_numpy(part.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def unpack(pixels: Tensor) -> Tensor:
        """Packed pixels (M, H, W) as uint8 (M, H, W, 3)."""
        return pixels.view(torch.uint8).view(*pixels.shape, 4)[..., :3]


@dataclass(frozen=True)
class Batch:
    images: Tensor  # (M, 3, 32, 32), normalized, channels_last
    labels: Tensor  # (M,) int64
    masked_fraction: Tensor  # of all pixels, those that cutout made black: a scalar on the device


class TrainingBatches:
    """The training part with the configured transformations and cutout copies. Raises UserError for fewer than two images."""

    def __init__(self, part: Part, config: RunConfig, normalization: Normalization, device: torch.device, dtype: torch.dtype):
        if len(part) < 2:
            raise UserError(f"there is {len(part)} training image: normalization has no variance for a batch of one; give at least 2")
        self.config, self.normalize, self.dtype, self.device = config, normalization, dtype, device
        self.set = DeviceImages(part, device, augment.padding(config.augment))
        self.size = min(config.train.batch_size, len(part))
        # The last batch of an epoch is smaller; a single image is left out, since batch normalization has no variance for it.
        full, rest = divmod(len(part), self.size)
        self.steps_per_epoch = full + (rest > 1)
        self._render = torch.compile(self._draw, dynamic=False) if config.train.compile is True else self._draw

    def grown(self, originals: int) -> int:
        """Images in a batch of `originals`, cutout copies included."""
        cut = self.config.cutout
        return originals + cut.images * (originals if cut.per == "image" else 1)

    @property
    def sizes(self) -> list[int]:
        """Images in a full batch and, where there is one, in the smaller last, without cutout's copies."""
        rest = len(self.set) % self.size
        return [self.size] + ([rest] if rest > 1 else [])

    def order(self, generator: torch.Generator) -> Tensor:
        """The images of an epoch in random order: (N,) positions."""
        return torch.randperm(len(self.set), generator=generator, device=self.device)

    def positions(self, order: Tensor, step: int) -> Tensor:
        """The images of batch number `step` (from 0) of the epoch in `order`: (M,) positions, copies left out."""
        return order[step * self.size : (step + 1) * self.size]

    def batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        """The images at the positions `index` (M,), with fresh draws from `generator`, and their copies."""
        draws = augment.draw(self.config.augment, len(index), generator)
        inside, masked = None, torch.zeros((), device=self.device)
        if self.config.cutout.images:
            originals = len(index)
            picks = cutout.copies(self.config.cutout, originals, generator)
            index, draws = torch.cat([index, index[picks]]), draws.take(torch.cat([torch.arange(originals, device=self.device), picks]))
            inside = cutout.squares(self.config.cutout, len(picks), SIDE, generator)
            masked = inside.sum() / (len(index) * SIDE * SIDE)
        return Batch(self._render(index, draws, inside), self.set.labels[index], masked)

    def _draw(self, index: Tensor, draws: augment.Draws, inside: Tensor | None) -> Tensor:
        """The images at `index` (M,) as they are drawn, the last of them black inside their squares (K, side, side)."""
        images = self.set.unpack(augment.crop_flip(self.set.pixels, index, draws, SIDE))
        if draws.angle is not None:
            images = augment.rotate(images.permute(0, 3, 1, 2).float(), draws.angle).permute(0, 2, 3, 1)
        if inside is not None:
            cutout.erase(images[len(index) - len(inside) :], inside)
        return self.normalize(images, self.dtype)


class CleanBatches:
    """A part as it is, in order: for evaluation."""

    def __init__(self, part: Part, normalization: Normalization, device: torch.device, dtype: torch.dtype):
        self.normalize, self.dtype, self.set = normalization, dtype, DeviceImages(part, device)

    def __len__(self) -> int:
        return len(self.set)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images (M, 3, 32, 32) and labels (M,)."""
        for pixels, labels in zip(self.set.pixels.split(EVALUATION_BATCH), self.set.labels.split(EVALUATION_BATCH), strict=True):
            yield self.normalize(self.set.unpack(pixels), self.dtype), labels
