"""The parameters of a network in one buffer and their gradients in another: what acts on all of them acts on one tensor.

The optimizer steps one tensor instead of 160, adaptive gradient clipping sees units of one length as rows of a matrix, and
half-precision weights are made by one copy a step, where autocast casts each weight for itself. Addresses never change, so
that a step can be captured in a CUDA graph.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reglab.models import Network
from reglab.models.convolution import Rows, Standardization, StandardizedConv2d
from reglab.techniques.units import Units, unit_length
from reglab.training import memory

ALIGNMENT = 64
"""Elements: units of each length begin at a multiple, as vector loads and convolution kernels want it (128 bytes in half precision)."""


class FlatParameters:
    """Takes the parameters of `network` over: from here on they, and their gradients, are views of this object's buffers.

    Ordered by the length of their units (`units.unit_length`), weights that are standardized first, the weight of the head last;
    `units` describes all but it, `places` has each parameter's first element. A parameter keeps its memory format, with units
    contiguous either way. `weights` has all of them. `decay` says how much of a parameter decays in a step: those of one decay
    are neighbours, and `groups` are what to optimize, each with its decay; where all are of one, `weights` alone. A parameter that wants
    no gradient is none of them.
    """

    def __init__(self, network: Network, dtype: torch.dtype, decay: Callable[[Tensor], float] = lambda parameter: 0.0):
        parameters = {name: parameter for name, parameter in network.module.named_parameters() if parameter.requires_grad}
        head = network.head.weight if network.head else None
        self.spares_last = head is not None
        device = next(iter(parameters.values())).device
        self._decay = {name: decay(parameter) for name, parameter in parameters.items()}
        self.units: list[Units] = []
        layers = network.standardized
        self.places = places = dict(self._arrange(parameters, head, layers))
        end = max(place + parameters[name].numel() for name, place in places.items())
        self.buffer = memory.zeros(2, -(-end // ALIGNMENT) * ALIGNMENT, device=device)
        self.weights = nn.Parameter(self.buffer[0])
        self.weights.grad = self.buffer[1]
        self.groups = list(self._by_decay())
        for name, parameter in parameters.items():
            view = _view(self.buffer[0], parameter, places[name]).copy_(parameter.detach())
            parameter.data, parameter.grad = view, _view(self.buffer[1], parameter, places[name])
        self._half = torch.zeros_like(self.buffer[0], dtype=dtype) if dtype != torch.float32 else None
        ready = self._half if self._half is not None else torch.zeros_like(self.buffer[0]) if layers else None
        cast = [name for name in parameters if name in network.halved] if self._half is not None else []
        # By its parameter's name, what the network computes with in its place, and what it is called there.
        called = {name: name for name in cast} | {name: _beside(name, "ready") for name in layers}
        given = {name: _view(ready, parameters[name], places[name]).requires_grad_() for name in called if ready is not None}
        self._given = {called[name]: view for name, view in given.items()}
        self._standardization = self._standardized(layers, places, ready) if ready is not None and layers else None
        gains = {_beside(name, "gain") for name in layers}  # theirs are the standardization's
        leaves = given | {name: parameter for name, parameter in parameters.items() if name not in given.keys() | gains}
        self._leaves = list(leaves.values())
        gradients = [_gradient(parameters[name]) for name in leaves]
        halves = len(given) if self._half is not None else 0
        self._gradients = [part for part in (gradients[:halves], gradients[halves:]) if part]  # a part has one type

    def _standardized(self, layers: Mapping[str, StandardizedConv2d], places: dict[str, int], ready: Tensor) -> Standardization:
        """Of all these layers, by their weights' names."""
        groups, gains = [], []
        for length, names in groupby(sorted(layers, key=places.__getitem__), lambda name: unit_length(layers[name].weight)):
            together = list(names)
            for name in together:
                first = places[_beside(name, "gain")]
                gains.append(torch.arange(first, first + layers[name].out_channels, device=ready.device))
            start, count = places[together[0]], sum(layers[name].out_channels for name in together)
            weights, gradients, made = (flat[start : start + count * length].view(count, length) for flat in (*self.buffer, ready))
            groups.append(Rows(weights, gradients, made))
        return Standardization(groups, self.buffer[0], self.buffer[1], torch.cat(gains))

    def _arrange(self, parameters: dict[str, nn.Parameter], head: Tensor | None, first_of_all: Container[str]) -> Iterator[tuple[str, int]]:
        """Each parameter's name and first element in the buffers; among units of one length, `first_of_all` are neighbours."""
        start = 0
        clipped = {name: parameter for name, parameter in parameters.items() if parameter is not head}
        last = next((self._decay[name] for name, parameter in parameters.items() if parameter is head), None)

        def decay_and_length(name: str) -> tuple[bool, float, int]:
            return self._decay[name] == last, self._decay[name], unit_length(clipped[name])

        order = sorted(clipped, key=lambda name: (*decay_and_length(name), name not in first_of_all))
        for (*_, length), names in groupby(order, decay_and_length):
            first = start = -(-start // ALIGNMENT) * ALIGNMENT
            for name in names:
                yield name, start
                start += clipped[name].numel()
            self.units.append(Units(first, (start - first) // length, length))
        for name in parameters.keys() - clipped.keys():
            yield name, -(-start // ALIGNMENT) * ALIGNMENT

    def _by_decay(self) -> Iterator[tuple[nn.Parameter, float]]:
        """Neighbours of one decay, as parameters of their own where there are several kinds."""
        starts = [(start, self._decay[name]) for name, start in sorted(self.places.items(), key=lambda item: item[1])]
        changes = [(start, decay) for place, (start, decay) in enumerate(starts) if place == 0 or decay != starts[place - 1][1]]
        if len(changes) == 1:
            yield self.weights, changes[0][1]
            return
        ends = [start for start, _ in changes[1:]] + [len(self.weights)]
        for (start, decay), end in zip(changes, ends, strict=True):
            part = nn.Parameter(self.buffer[0, start:end])
            part.grad = self.buffer[1, start:end]
            yield part, decay

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of `images` (N, C, H, W) by `network`, with its weights in the type that it computes in."""
        if not self._given:
            logits: Tensor = network(images)
            return logits
        if self._half is not None:
            with torch.no_grad():
                self._half.copy_(self.weights)
        if self._standardization:
            self._standardization.forward()
        logits = functional_call(network, self._given, (images,))
        return logits

    def backward(self, loss: Tensor) -> None:
        """Replace the gradients by those of `loss`, a scalar that came of `forward`."""
        found = torch.autograd.grad(loss, self._leaves, allow_unused=True, materialize_grads=True)
        for part in self._gradients:
            torch._foreach_copy_(part, found[: len(part)])
            found = found[len(part) :]
        if self._standardization:
            self._standardization.backward()


def _view(flat: Tensor, parameter: Tensor, start: int) -> Tensor:
    return torch.as_strided(flat.detach(), parameter.shape, parameter.stride(), start + flat.storage_offset())


def _beside(weight: str, own: str) -> str:
    """The name of another tensor of the layer whose weight has this name."""
    return weight.removesuffix("weight") + own


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "it has one from the start"
    return parameter.grad
