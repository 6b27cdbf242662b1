"""The parameters of a network in one buffer and their gradients in another: what acts on all of them acts on one tensor.

The optimizer steps one tensor instead of 160, adaptive gradient clipping sees units of one length as rows of a matrix, and
half-precision weights are made by one copy a step, where autocast casts each weight for itself. Addresses never change, so
that a step can be captured in a CUDA graph.
"""

from collections.abc import Iterator
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reglab.models.convolution import Conv2d
from reglab.regularizers.agc import Units, unit_length
from reglab.training import memory

ALIGNMENT = 64
"""Elements: units of each length begin at a multiple, as vector loads and convolution kernels want it (128 bytes in half precision)."""

_CAST = (Conv2d, nn.Linear)
"""What computes in half precision with weights as they are; subclasses may need theirs in fp32 first."""


class FlatParameters:
    """Takes the parameters of `network` over: from here on they, and their gradients, are views of this object's buffers.

    Ordered by the length of their units (`agc.unit_length`), the weight of `head` last; `units` describes all but it. A
    parameter keeps its memory format, with units contiguous either way. `weights` is the one parameter to optimize.
    """

    def __init__(self, network: nn.Module, head: nn.Linear, dtype: torch.dtype):
        parameters = dict(network.named_parameters())
        self.units: list[Units] = []
        places = dict(self._arrange(parameters, head))
        end = max(place + parameters[name].numel() for name, place in places.items())
        self.buffer = memory.zeros(2, -(-end // ALIGNMENT) * ALIGNMENT, device=head.weight.device)
        self.weights = nn.Parameter(self.buffer[0])
        self.weights.grad = self.buffer[1]
        for name, parameter in parameters.items():
            view = _view(self.buffer[0], parameter, places[name]).copy_(parameter.detach())
            parameter.data, parameter.grad = view, _view(self.buffer[1], parameter, places[name])
        self._half = torch.zeros_like(self.buffer[0], dtype=dtype) if dtype != torch.float32 else None
        cast = _cast_names(network) if self._half is not None else []
        self._cast = {name: _view(self._half, parameters[name], places[name]).requires_grad_() for name in cast if self._half is not None}
        leaves = self._cast | {name: parameter for name, parameter in parameters.items() if name not in self._cast}
        self._leaves = list(leaves.values())
        gradients = [_gradient(parameters[name]) for name in leaves]
        self._gradients = [part for part in (gradients[: len(cast)], gradients[len(cast) :]) if part]  # a part has one type

    def _arrange(self, parameters: dict[str, nn.Parameter], head: nn.Linear) -> Iterator[tuple[str, int]]:
        """Each parameter's name and first element in the buffers."""
        start = 0
        clipped = {name: parameter for name, parameter in parameters.items() if parameter is not head.weight}
        for length, names in groupby(sorted(clipped, key=lambda name: unit_length(clipped[name])), lambda name: unit_length(clipped[name])):
            first = start = -(-start // ALIGNMENT) * ALIGNMENT
            for name in names:
                yield name, start
                start += clipped[name].numel()
            self.units.append(Units(first, (start - first) // length, length))
        for name in parameters.keys() - clipped.keys():
            yield name, -(-start // ALIGNMENT) * ALIGNMENT

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """What `network` says to `images`, with its weights in the type that it computes in."""
        if self._half is None:
            return network(images)
        with torch.no_grad():
            self._half.copy_(self.weights)
        return functional_call(network, self._cast, (images,))

    def backward(self, loss: Tensor) -> None:
        """Replace the gradients by those of `loss`, a scalar that came of `forward`."""
        found = torch.autograd.grad(loss, self._leaves)
        for part in self._gradients:
            torch._foreach_copy_(part, found[: len(part)])
            found = found[len(part) :]


def _view(flat: Tensor, parameter: Tensor, start: int) -> Tensor:
    return torch.as_strided(flat.detach(), parameter.shape, parameter.stride(), start + flat.storage_offset())


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "it has one from the start"
    return parameter.grad


def _cast_names(network: nn.Module) -> list[str]:
    modules = [(name, module) for name, module in network.named_modules() if type(module) in _CAST]
    return [f"{name}.{own}" for name, module in modules for own, _ in module.named_parameters(recurse=False)]
