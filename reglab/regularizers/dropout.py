"""Dropout (Srivastava et al. 2014), symmetric or with a probability of its own for each layer."""

from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from reglab.config import DropoutConfig


def layer(config: DropoutConfig, position: int) -> nn.Module:
    """What ends the unit at `position` (1-based: a unit of its block or a stage, by `model.placement`).

    Elements are dropped independently and the others scaled by 1 / (1 - p), in training only.
    """
    if position > config.layers or config.probabilities[position - 1] == 0:
        return nn.Identity()
    return nn.Dropout(config.probabilities[position - 1])


class DropoutProbe:
    """Counts, while it is open, what the dropout layers of a network drop: the proof that the treatment happened.

    `counts` holds (dropped, live) on the device: elements set to zero, and elements that were not zero before.
    """

    def __init__(self, network: nn.Module, counts: Tensor):
        self.layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
        self.counts = counts

    def __enter__(self) -> Self:
        self._hooks = [layer.register_forward_hook(self._count) for layer in self.layers]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        live = inputs[0] != 0
        self.counts += torch.stack([(live & (output == 0)).sum(), live.sum()])
