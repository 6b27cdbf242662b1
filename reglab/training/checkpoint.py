"""Checkpoints: everything a run needs to go on as if it had never stopped.

The file is a zip archive, whose checksums torch writes and does not read: they are compared here before anything is taken over.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from reglab.errors import UserError, first_line
from reglab.tracking.storage import File

FORMAT = 2


class DamagedCheckpointError(UserError):
    """Bytes that are not those which were written: the run goes on from the checkpoint before."""


def save(file: File, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists and dictionaries of them) whole or not at all; the one before stays beside it."""
    file.write(lambda stream: _write(state | {"format": FORMAT}, stream), keep=True)


def _write(state: dict[str, Any], stream: BinaryIO) -> None:
    """A disk's own error comes through: torch covers it by a word about its file format."""
    try:
        torch.save(state, stream)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cause or error from None


def load(file: File) -> dict[str, Any] | None:
    """The state in `file`, on the CPU wherever it was saved, or None where there is none. Loads data only, never code.

    Who takes it over puts it where it belongs: on the training device what steps read, and nothing else.

    Raises DamagedCheckpointError where its checksums do not hold, and UserError for a file that is whole and no checkpoint.
    """
    if (content := file.read()) is None:
        return None
    if fault := _damage(content):
        raise DamagedCheckpointError(f"{file} is damaged ({fault}): remove it to train this run from the start")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # torch raises a dozen kinds for a damaged or foreign file; its words are not passed on, since they advise to run it
        fault = "it is damaged, or holds what no checkpoint of reglab's does"
        raise UserError(f"{file} cannot be read as a checkpoint ({fault}): remove it to train this run from the start") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{file} is no checkpoint of this version of reglab: remove it to train this run from the start")
    return state


def _damage(content: bytes) -> str | None:
    """What is wrong with an archive: that it is none, whole, or a part whose checksum (CRC-32) is another; None where all hold."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            part = archive.testzip()
    except Exception as error:  # a damaged directory may lead anywhere
        return first_line(error)
    return f"its part {part} has another checksum" if part else None


def expect_alike(what: str, own: Mapping[Any, Tensor], found: Mapping[Any, Tensor]) -> None:
    """Raise ValueError where `found` has not the names and the shapes of `own`, of any shape: copying would stretch tensors, unsaid."""
    if own.keys() != found.keys():
        raise ValueError(f"{what} has other parts: {', '.join(sorted(map(str, own.keys() ^ found.keys())))}")
    for name, value in own.items():
        if value.shape != found[name].shape:
            raise ValueError(f"{name} of {what} is {tuple(found[name].shape)}, not {tuple(value.shape)}")
