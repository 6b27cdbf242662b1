"""The five points at which a technique touches training: network, batch, loss, gradients, decay."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor, nn

from reglab.config import RunConfig, acting
from reglab.errors import UserError
from reglab.techniques.technique import S
from reglab.techniques.units import Units


@dataclass
class Draws:
    """What is drawn for a batch of M images, before a pixel is touched. A technique adds its own under its name in `each`."""

    index: Tensor  # (M,) int64, places in the training part
    side: int  # of an image, in pixels
    padding: int  # black pixels around a stored one
    top: Tensor  # (M,) int64, row of the image's window in the padded image, 0 … 2 · padding
    left: Tensor  # (M,) int64, its column
    flip: Tensor | None = None  # (M,) bool, whether it is mirrored; None where no image is
    each: dict[str, Tensor] = field(default_factory=dict)  # (M, …): a row an image
    appended: dict[str, Tensor] = field(default_factory=dict)  # (K, …): a row for each of the K images that were appended
    order: Tensor | None = None  # (M,) int64, all rows, so that copies of one image are no neighbours; None where they are none as it is

    @classmethod
    def still(cls, index: Tensor, side: int, padding: int) -> "Draws":
        """The images at `index` (M,) as they are."""
        middle = torch.full_like(index, padding)
        return cls(index, side, padding, middle, middle)

    def append(self, picks: Tensor, beside: int = 1) -> None:
        """Add copies of the images that are `picks` (K,) of this batch, each with the draws of its original.

        `beside`: how many copies of each image stand beside each other in `picks`.
        """
        there = torch.arange(len(self.index), device=picks.device)
        rows = torch.cat([there, picks])
        if beside > 1 or self.order is not None:
            copies = torch.arange(len(there), len(rows), device=picks.device).view(-1, beside)
            self.order = torch.cat([there if self.order is None else self.order, copies.T.flatten()])
        self.index, self.top, self.left = self.index[rows], self.top[rows], self.left[rows]
        self.flip = None if self.flip is None else self.flip[rows]
        self.each = {name: drawn[rows] for name, drawn in self.each.items()}


@dataclass(frozen=True)
class Weights:
    """The parameters of a network as units in `flat` (2, n): all in fp32, then their gradients.

    The weights of its last layer are in no unit; `spares_last` is false where it is not known which that is.
    """

    flat: Tensor
    units: Sequence[Units]
    spares_last: bool = True


class Applied(Generic[S]):
    """What one technique does in one run. A point that is not overridden does nothing.

    All of it can be captured in a CUDA graph: nothing waits for the device, and what is drawn comes of the generator that is given
    or of PyTorch's own. `sums`, if there is one, is kept over an epoch's steps for `measured`, and is part of a checkpoint.
    """

    name: str
    """The technique's."""

    padding: int = 0
    """Black pixels that it needs around a stored image."""

    sums: Tensor | None = None
    """Zero at the start of an epoch; added to on the device, in place."""

    def __init__(self, own: S, run: RunConfig, device: torch.device):
        self.own, self.run, self.device = own, run, device

    # When the network is built. Positions count from 1: units of a block or stages, by `model.placement`.

    def shifts(self, position: int) -> bool:
        """Whether what it puts behind the convolution at `position` has a shift of its own, so that the convolution needs no bias."""
        return False

    def after_convolution(self, position: int, channels: int) -> nn.Module | None:
        """What follows the convolution at `position`, of so many feature maps."""
        return None

    def after_unit(self, position: int) -> nn.Module | None:
        """What ends the unit at `position`."""
        return None

    def on_branch(self, number: int, of: int) -> nn.Module | None:
        """What ends residual branch `number` (from 1) `of` so many, before it is added to its shortcut."""
        return None

    # On a batch, in the order of the techniques.

    def draw(self, draws: Draws, generator: torch.Generator) -> None:
        """Add what it draws for these images, or further images."""

    def on_levels(self, images: Tensor, draws: Draws) -> Tensor:
        """Change grey levels (M, H, W, channels), uint8 or float, before they are normalized."""
        return images

    def mix(self, images: Tensor, others: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """Normalized images (M, channels, H, W) mixed with others of their batch, and the share () that is theirs, of labels too."""
        return None

    def mixed(self, share: Tensor) -> None:
        """Tell of what came of `mix`: the share () of others in the batch by it, which is 0 where another technique's took its place."""

    # On the loss.

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss () of logits (M, classes) in place of cross-entropy: one technique of a run may have its own."""
        raise NotImplementedError

    def penalty(self, logits: Tensor) -> Tensor:
        """What is added to the loss () for logits (M, classes)."""
        raise NotImplementedError

    # On gradients.

    def take(self, weights: Weights) -> None:
        """What it needs of the parameters, said once before the first step."""

    def on_gradients(self) -> None:
        """Change the gradients in `Weights.flat`, unscaled, before the optimizer's step."""

    # By decay.

    def decay(self, parameter: Tensor) -> float:
        """How much of a parameter, of any shape, decays in a step: the factor of the penalty, or with AdamW that of the learning rate."""
        return 0.0

    # Proof.

    def probing(self, network: nn.Module) -> AbstractContextManager[Any] | None:
        """Open around an epoch's first step, where it counts what it does in it: that step takes longer."""
        return None

    def measured(self, sums: Sequence[float], steps: int) -> dict[str, float]:
        """Its probes after an epoch of so many steps, from `sums`."""
        return {}


class Averaging(Applied[S]):
    """A technique whose `probe` is the mean over an epoch's steps of what it tells in each."""

    probe: str
    """Its name, as declared."""

    def __init__(self, own: S, run: RunConfig, device: torch.device):
        super().__init__(own, run, device)
        self._told = self.sums = torch.zeros((), dtype=torch.float64, device=device)

    def tell(self, value: Tensor) -> None:
        """What it did in this step, a scalar () on the device."""
        self._told += value

    def measured(self, sums: Sequence[float], steps: int) -> dict[str, float]:
        return {self.probe: sums[0] / steps}


IN_NETWORK = ("shifts", "after_convolution", "after_unit", "on_branch")
"""The points at which a technique puts layers into the network."""


def apply(config: RunConfig, device: torch.device) -> list[Applied[Any]]:
    """What the techniques do that act in this run, in their order."""
    found = []
    for technique in acting(config):
        applied = technique.load()(technique.of(config), config, device)
        if not technique.in_network and (point := next((each for each in IN_NETWORK if overrides(applied, each)), None)):
            fault = f"it overrides {point}, and does not declare in_network=True"
            raise UserError(f"technique {technique.name}: {fault}: in some networks it would do nothing; declare it")
        applied.name = technique.name
        found.append(applied)
    return found


def overrides(applied: Applied[Any], point: str) -> bool:
    """Whether it touches training at this point."""
    return getattr(type(applied), point) is not getattr(Applied, point)
