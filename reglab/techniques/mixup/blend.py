"""What mixup does."""

import torch
from torch import Tensor

from reglab.config import RunConfig
from reglab.techniques.applied import Averaging
from reglab.techniques.mixup.declared import MixupConfig
from reglab.techniques.shares import beta


class Mixup(Averaging[MixupConfig]):
    """Blends each image with another (Zhang et al. 2018, equation 1): one share for all of a batch, as in the authors' code."""

    probe = "mixup/share"

    def __init__(self, own: MixupConfig, run: RunConfig, device: torch.device):
        super().__init__(own, run, device)
        self._alpha = torch.full((2,), own.alpha, dtype=torch.float64, device=device)

    def mix(self, images: Tensor, others: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        share = 1 - beta(self._alpha, generator)
        return blended(images, others, share), share

    def mixed(self, share: Tensor) -> None:
        self.tell(share)


def blended(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """So much of `others` (M, C, H, W), a scalar tensor, and the rest of `images`."""
    return images * (1 - share) + others * share
