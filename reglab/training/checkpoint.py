"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from reglab.errors import UserError
from reglab.tracking.storage import File

FORMAT = 2


def save(file: File, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists and dictionaries of them) whole or not at all."""
    file.write(lambda stream: torch.save(state | {"format": FORMAT}, stream))


def load(file: File, device: torch.device) -> dict[str, Any] | None:
    """The state in `file`, or None where there is none. Loads data only, never code. Raises UserError for a damaged file."""
    if (content := file.read()) is None:
        return None
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception:  # torch raises a dozen kinds for a damaged or foreign file; its words are not passed on, since they advise to run it
        fault = "it is damaged, or holds what no checkpoint of reglab's does"
        raise UserError(f"{file} cannot be read as a checkpoint ({fault}): remove it to train this run from the start") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{file} is no checkpoint of this version of reglab: remove it to train this run from the start")
    return state


def expect_alike(what: str, own: Mapping[Any, Tensor], found: Mapping[Any, Tensor]) -> None:
    """Raise ValueError where `found` has not the names and the shapes of `own`: copying would stretch a tensor without a word."""
    if own.keys() != found.keys():
        raise ValueError(f"{what} has other parts: {', '.join(sorted(map(str, own.keys() ^ found.keys())))}")
    for name, value in own.items():
        if value.shape != found[name].shape:
            raise ValueError(f"{name} of {what} is {tuple(found[name].shape)}, not {tuple(value.shape)}")
