"""The buffers of a network, such as the statistics of its norms, also where a forward pass puts new tensors in their place."""

from collections.abc import Container, Mapping

import torch
from torch import Tensor, nn


class Kept:
    """The buffers of `network` as they are now: the tensors, their values, and the places that are empty."""

    def __init__(self, network: nn.Module):
        self._network = network
        self._there = [(module, name, buffer) for module in network.modules() for name, buffer in module._buffers.items()]
        self._values = [None if buffer is None else buffer.clone() for _, _, buffer in self._there]

    @property
    def replaced(self) -> list[str]:
        """The names of buffers whose tensors are others now: a CUDA graph would go on reading those that it saw."""
        there = {id(buffer) for _, _, buffer in self._there if buffer is not None}
        return [name for name, buffer in self._network.named_buffers() if id(buffer) not in there]

    @torch.no_grad()
    def put_back(self) -> None:
        """Have every buffer be the tensor that it was, with the value that it had."""
        for (module, name, buffer), value in zip(self._there, self._values, strict=True):
            if buffer is not None and value is not None:
                buffer.copy_(value)
            if module._buffers[name] is not buffer:
                setattr(module, name, buffer)


def unsaved(network: nn.Module) -> dict[str, Tensor]:
    """Return the buffers, of any shape, that are no part of the network's own state (`persistent=False`), by their names."""
    saved: Container[str] = network.state_dict().keys()
    return {name: buffer for name, buffer in network.named_buffers() if name not in saved}


def make_room(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put tensors like `values`, of any shape, where the network has a place for a buffer of such a name and nothing in it yet."""
    device = next(network.parameters()).device
    for prefix, module in network.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None and (value := values.get(f"{prefix}.{name}" if prefix else name)) is not None:
                setattr(module, name, torch.zeros_like(value, device=device))
