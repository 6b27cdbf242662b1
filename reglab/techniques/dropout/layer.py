"""What dropout does, and the probe that counts what it drops."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from reglab.config import RunConfig
from reglab.techniques.applied import Applied
from reglab.techniques.dropout.declared import DropoutConfig


class Dropout(Applied[DropoutConfig]):
    """Ends a unit: elements are dropped independently and the others scaled by 1 / (1 - p), in training only."""

    def __init__(self, own: DropoutConfig, run: RunConfig, device: torch.device):
        super().__init__(own, run, device)
        self.sums = torch.zeros(2, dtype=torch.int64, device=device)  # (dropped, live), of probed steps

    def after_unit(self, position: int) -> nn.Module | None:
        acting = self.own.acting
        return nn.Dropout(acting[position - 1]) if position <= len(acting) and acting[position - 1] else None

    def probing(self, network: nn.Module) -> "DropoutProbe":
        assert self.sums is not None
        return DropoutProbe(network, self.sums)

    def measured(self, sums: Sequence[float], steps: int) -> dict[str, float]:
        dropped, live = sums
        return {"dropout/rate": dropped / live} if live else {}


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
