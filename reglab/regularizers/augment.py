"""The study's simple transformations: shift, horizontal flip and rotation, each drawn per image.

A shift is a window of an image padded with black, so that a batch is one gather of windows. Rotation blends them, so it runs on
floats afterwards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.config import AugmentConfig


@dataclass(frozen=True)
class Draws:
    """What happens to each of M images: the corner of its crop in the padded image, whether it is mirrored, its angle."""

    top: Tensor  # (M,) int64, 0 … 2 · padding
    left: Tensor  # (M,) int64, 0 … 2 · padding
    flip: Tensor | None  # (M,) bool; None where no image is
    angle: Tensor | None  # (M,) float32, degrees counter-clockwise; None where no image turns

    def take(self, index: Tensor) -> "Draws":
        flip, angle = (drawn if drawn is None else drawn[index] for drawn in (self.flip, self.angle))
        return Draws(self.top[index], self.left[index], flip, angle)


def padding(config: AugmentConfig) -> int:
    """Black pixels that a stored image needs on each side."""
    return config.shift if config.policy == "basic" else 0


def draw(config: AugmentConfig, count: int, generator: torch.Generator) -> Draws:
    """Draws for `count` images, on the generator's device. What is off draws nothing from it."""
    device = generator.device
    still = torch.zeros(count, dtype=torch.int64, device=device)
    if config.policy == "none":
        return Draws(still, still, None, None)
    top = left = still
    if config.shift:
        top, left = torch.randint(0, 2 * config.shift + 1, (2, count), generator=generator, device=device)
    flip = torch.rand(count, generator=generator, device=device) < 0.5 if config.flip else None
    angle = None
    if config.rotate:
        angle = (torch.rand(count, generator=generator, device=device) * 2 - 1) * config.rotate
    return Draws(top, left, flip, angle)


def crop_flip(padded: Tensor, index: Tensor, draws: Draws, side: int) -> Tensor:
    """The drawn crops of `padded[index]`, mirrored where drawn: an index an image, not a pixel.

    padded: (N, side + 2p, side + 2p), any type, one element a pixel. index: (M,). Returns (M, side, side).
    """
    _, height, width = padded.shape
    corners = padded.numel() - (side - 1) * (width + 1)
    windows = padded.view(-1).as_strided((corners, side, side), (1, width, 1))  # one for each pixel, with it in its corner
    crops = windows[(index * height + draws.top) * width + draws.left]
    return crops if draws.flip is None else torch.where(draws.flip[:, None, None], crops.flip(2), crops)


def rotate(images: Tensor, angle: Tensor) -> Tensor:
    """Each image turned by its own angle about its centre, bilinear, black outside.

    images: (M, C, H, W) float. angle: (M,) degrees, counter-clockwise.
    """
    radians = torch.deg2rad(angle).to(images.dtype)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    height, width = images.shape[-2:]
    theta = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
