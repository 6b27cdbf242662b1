"""What the study's simple transformations do: shift, horizontal flip and rotation, each drawn per image.

A shift and a flip move the window through which a stored image is read; rotation blends pixels, so it runs on floats afterwards.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.techniques.applied import Applied, Draws
from reglab.techniques.augment.declared import AugmentConfig


class Augment(Applied[AugmentConfig]):
    """Draws a shift, a flip and an angle for each image; what is off draws nothing."""

    @property
    def padding(self) -> int:  # type: ignore[override]
        return self.own.shift

    def draw(self, draws: Draws, generator: torch.Generator) -> None:
        count, device = len(draws.index), generator.device
        if self.own.shift:
            least = draws.padding - self.own.shift
            draws.top, draws.left = torch.randint(least, least + 2 * self.own.shift + 1, (2, count), generator=generator, device=device)
        if self.own.flip:
            draws.flip = torch.rand(count, generator=generator, device=device) < 0.5
        if self.own.rotate:
            draws.each["angle"] = (torch.rand(count, generator=generator, device=device) * 2 - 1) * self.own.rotate

    def on_levels(self, images: Tensor, draws: Draws) -> Tensor:
        angle = draws.each.get("angle")
        return images if angle is None else rotate(images.permute(0, 3, 1, 2).float(), angle).permute(0, 2, 3, 1)


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
