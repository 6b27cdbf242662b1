"""What stochastic depth does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from reglab.config import RunConfig
from reglab.techniques.applied import Applied
from reglab.techniques.stochastic_depth.declared import StochasticDepthConfig


class Branch(nn.Module):
    """Drops whole rows (N, …) with probability p and scales the others by 1 / (1 - p), in training only."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, branch: Tensor) -> Tensor:
        """Return `branch` (N, …) with some rows zero and the others scaled; in evaluation mode, as it is."""
        if not self.training:
            return branch
        kept = branch.new_empty([len(branch)] + [1] * (branch.ndim - 1)).bernoulli_(1 - self.p)
        return branch * kept.div_(1 - self.p)


class StochasticDepth(Applied[StochasticDepthConfig]):
    """Ends branch l of L with probability rate · l / L of being dropped (Huang et al. 2016, equation 4), image by image."""

    def __init__(self, own: StochasticDepthConfig, run: RunConfig, device: torch.device):
        super().__init__(own, run, device)
        self.sums = torch.zeros(2, dtype=torch.int64, device=device)  # (dropped, all), of probed steps

    def on_branch(self, number: int, of: int) -> nn.Module:
        return Branch(self.own.rate * number / of)

    @contextmanager
    def probing(self, network: nn.Module) -> Iterator[None]:
        hooks = [module.register_forward_hook(self._count) for module in network.modules() if isinstance(module, Branch)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A row that was zero before is none that was dropped."""
        live = inputs[0].flatten(1).any(1)
        assert self.sums is not None
        self.sums += torch.stack([(live & ~output.flatten(1).any(1)).sum(), live.sum()])

    def measured(self, sums: Sequence[float], steps: int) -> dict[str, float]:
        dropped, live = sums
        return {"stochastic_depth/dropped": dropped / live} if live else {}
