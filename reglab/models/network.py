"""A network as everything that trains it knows it, and how a configuration comes to one."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from reglab import foreign
from reglab.config import ModelConfig, RunConfig
from reglab.errors import UserError
from reglab.models import buffers
from reglab.models.convolution import Conv2d, StandardizedConv2d
from reglab.techniques.applied import Applied, apply

_HALVED = (Conv2d, nn.Linear)
"""Layers that compute with their weights as they are; subclasses may need theirs in fp32 first."""


@dataclass(frozen=True)
class Network:
    """What classifies images, and the little that the rest has to know of it.

    `module` takes (N, channels, side, side) images and returns (N, classes) logits. `head` is its last layer, whose weights adaptive
    gradient clipping leaves alone; None where nobody knows which that is. `halved` names the parameters of which it may be handed
    half-precision copies, since nothing but convolutions and matrix products computes with them; autocast does that for the others.
    `standardized` has, by the names of their weights, the layers whose weights are standardized for all of them at once.
    """

    module: nn.Module
    head: nn.Linear | None = None
    halved: frozenset[str] = frozenset()
    standardized: Mapping[str, StandardizedConv2d] = field(default_factory=dict)

    @classmethod
    def of_our_layers(cls, module: nn.Module, head: nn.Linear) -> "Network":
        """One that is made of layers of `reglab.models` and of PyTorch's, none of which looks at another one's weights."""
        standardized = {f"{name}.weight": layer for name, layer in module.named_modules() if isinstance(layer, StandardizedConv2d)}
        return cls(module, head, frozenset(_halved(module)), standardized)


def _halved(module: nn.Module) -> list[str]:
    """Of layers that compute with them as they are; of a standardized one the bias, but not the weight."""
    found = []
    for name, layer in module.named_modules():
        if type(layer) in _HALVED:
            found += [f"{name}.{own}" for own, _ in layer.named_parameters(recurse=False)]
        elif isinstance(layer, StandardizedConv2d) and layer.bias is not None:
            found.append(f"{name}.bias")
    return found


def build(config: RunConfig, classes: int, side: int, channels: int, applied: Sequence[Applied[Any]] | None = None) -> Network:
    """The network of a run, on the CPU, for images of `side` × `side` pixels in so many `channels` and of so many `classes`.

    `applied`: the techniques that act in it; by default its run's. Its initial weights come of PyTorch's generator.
    """
    known = config.model.built_in
    if known is None:
        return _of_the_users_own(config.model, classes, side, channels)
    applied = apply(config, torch.device("cpu")) if applied is None else applied
    file, _, name = known.built_by.partition(":")
    network: Network = getattr(import_module(file), name)(config, classes, channels, applied).network
    return network


def _of_the_users_own(config: ModelConfig, classes: int, side: int, channels: int) -> Network:
    """What the function that `model.name` names makes of these, in fp32. Its head is the one linear layer with an output a class.

    Raises UserError where it makes nothing that classifies such images.
    """
    make = foreign.load("model.name", config.name)
    module = foreign.called("model.name", config.name, make, classes=classes, side=side, channels=channels, **config.options.given)
    if not isinstance(module, nn.Module):
        raise UserError(f"model.name = {config.name}: it returns a {type(module).__name__}, not a torch.nn.Module")
    _expect_new(config.name, module)
    module.float()
    _expect_logits(config.name, module, classes, side, channels)
    if odd := [name for name, value in module.state_dict().items() if not isinstance(value, Tensor)]:
        fault = f"its state has {', '.join(odd)}, which is no tensor, so that no checkpoint of a run could be written"
        raise UserError(f"model.name = {config.name}: {fault}: keep it in a buffer (register_buffer), or leave it out of the state")
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError(f"model.name = {config.name}: no parameter of it wants a gradient, so there is nothing to train")
    for parameter in trained:
        parameter.data = parameter.data.contiguous()  # so that a unit's elements are neighbours
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear) and layer.out_features == classes]
    return Network(module, last[0] if len(last) == 1 else None)


_made: WeakSet[nn.Module] = WeakSet()
"""Parts of the users' networks that were built in this process, as long as they are there."""


def _expect_new(name: str, module: nn.Module) -> None:
    """Raise UserError where a part of the module was there before: another run may have trained it, and no seed would have made it."""
    of_the_file = {id(value) for value in vars(sys.modules[name.partition(":")[0]]).values() if isinstance(value, nn.Module)}
    parts = list(_with_a_state(module))
    if old := next((part for part in parts if part in _made or id(part) in of_the_file), None):
        fault = f"what it returns has a {type(old).__name__} that was there before, made when its file was imported, or by an earlier call"
        raise UserError(f"model.name = {name}: {fault}: a run could begin with what another has trained; make all of it at each call")
    _made.update(parts)


def _with_a_state(module: nn.Module) -> Iterator[nn.Module]:
    """The parts that have parameters or buffers of their own."""
    for part in module.modules():
        if next(part.parameters(recurse=False), None) is not None or next(part.buffers(recurse=False), None) is not None:
            yield part


def _expect_logits(name: str, module: nn.Module, classes: int, side: int, channels: int) -> None:
    """Raise UserError where two black images are not given two rows of logits, as it is evaluated and as it is trained.

    The module, its buffers and PyTorch's generator stay as they were. Images and weights lie channels last, as they do in a run.
    """
    modes = {each: each.training for each in module.modules()}
    images = torch.zeros(2, channels, side, side).to(memory_format=torch.channels_last)
    with torch.random.fork_rng([]):
        with torch.no_grad():
            logits = foreign.called("model.name", name, module.eval(), images)
        _expect_rows(f"model.name = {name}: of two images it makes", logits, classes)
        kept = buffers.Kept(module.to(memory_format=torch.channels_last))
        with torch.enable_grad():
            logits = foreign.called("model.name", name, module.train(), images)
        kept.put_back()
    for each, training in modes.items():
        each.training = training
    _expect_rows(f"model.name = {name}: of two images it makes, in training,", logits, classes)
    if not logits.requires_grad and any(parameter.requires_grad for parameter in module.parameters()):
        raise UserError(f"model.name = {name}: its logits have no gradient (of a detach, or under no_grad), so there is nothing to train")


def _expect_rows(said: str, logits: Any, classes: int) -> None:
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (2, classes):
        raise UserError(f"{said} {found}, not logits of shape {(2, classes)}, a number for each of the {classes} classes")
