"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from pathlib import Path
from typing import Any

import torch

from reglab.atomic import write_whole
from reglab.errors import UserError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists and dictionaries of them) whole or not at all."""
    write_whole(path, lambda stream: torch.save(state | {"format": FORMAT}, stream))


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in `path`, or None where there is none. Loads data only, never code. Raises UserError for a damaged file."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch raises a dozen kinds for a damaged or foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}): remove it to train this run from the start") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path} is no checkpoint of this version of reglab: remove it to train this run from the start")
    return state
