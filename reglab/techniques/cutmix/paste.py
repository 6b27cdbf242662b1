"""What CutMix does."""

import torch
from torch import Tensor

from reglab.config import RunConfig
from reglab.techniques.applied import Averaging
from reglab.techniques.cutmix.declared import CutMixConfig
from reglab.techniques.shares import beta


class CutMix(Averaging[CutMixConfig]):
    """Pastes a box of another image into each (Yun et al. 2019, section 3.1): one box for all of a batch, as in the authors' code."""

    probe = "cutmix/share"

    def __init__(self, own: CutMixConfig, run: RunConfig, device: torch.device):
        super().__init__(own, run, device)
        self._alpha = torch.full((2,), own.alpha, dtype=torch.float64, device=device)

    def mix(self, images: Tensor, others: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept = beta(self._alpha, generator)
        centre = torch.rand(2, generator=generator, device=generator.device)
        inside = box(kept, centre, images.shape[-2], images.shape[-1])
        share = inside.double().mean()
        return torch.where(inside, others, images), share

    def mixed(self, share: Tensor) -> None:
        self.tell(share)


def box(kept: Tensor, centre: Tensor, height: int, width: int) -> Tensor:
    """(H, W), true inside a box that leaves the share `kept` () of the image outside, but for what lies beyond its edges.

    `centre` (2,): where its centre is, as shares of height and width, from 0 to below 1.
    """
    rows, columns = (_along(kept, place, extent) for place, extent in zip(centre, (height, width), strict=True))
    return rows[:, None] & columns


def _along(kept: Tensor, place: Tensor, extent: int) -> Tensor:
    """(extent,), true inside the box on one axis."""
    half = ((extent * (1 - kept).sqrt()).floor() / 2).floor()
    middle, all_of_it = (extent * place).floor(), torch.arange(extent, device=kept.device)
    return (all_of_it >= middle - half) & (all_of_it < middle + half)
