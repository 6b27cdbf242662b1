"""The weights that a finished run keeps (`train.keep_weights`): one safetensors file, with all that it takes to use them.

The tensors are the network's state under torchvision's names, in fp32; what else there is to know stands in the file's metadata.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor

from reglab import reading
from reglab.config import RunConfig
from reglab.data.batches import Normalization
from reglab.data.images import Extent
from reglab.errors import UserError, first_line
from reglab.tracking.storage import File

PRECISIONS = ("bf16", "fp16", "fp32")

_SIDE_ONCE = 32
"""Of all images, when files did not tell it."""


@dataclass(frozen=True)
class Kept:
    """`network`: its state, on the CPU. `classes` are in the order of its logits; `precision` is bf16, fp16 or fp32, as resolved.

    `extent`: of the images that it was trained on.
    """

    config: RunConfig
    classes: tuple[str, ...]
    extent: Extent
    normalization: Normalization
    precision: str
    network: Mapping[str, Tensor]


def save(file: File, kept: Kept) -> str:
    """Write the file whole or not at all; returns the hash of its bytes (sha256, hexadecimal), by which the run's record knows it."""
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in kept.network.items()}
    about = {
        "config": kept.config.model_dump(mode="json"),
        "classes": kept.classes,
        "side": kept.extent.side,
        "mean": kept.normalization.mean.tolist(),
        "std": kept.normalization.std.tolist(),
        "precision": kept.precision,
    }
    content = safetensors.torch.save(tensors, {"reglab": json.dumps(about)})  # a second entry would stand now before it, now behind
    file.write(lambda stream: stream.write(content))
    return hashlib.sha256(content).hexdigest()


def load(file: File, expected: str) -> Kept:
    """The weights in `file`, whose bytes must have the hash `expected`. Raises UserError where it is not there, or is not the run's."""
    if (content := file.read()) is None:
        raise UserError(f"{file} is not there, though the run kept it: bring it back, or train the run again with train.keep_weights=true")
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{file} is damaged, or another run's: its bytes are not those that this run's record tells of")
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        about = reading.parsed(reading.parsed(content[8 : 8 + length])["__metadata__"]["reglab"])
        mean, std = (torch.tensor([float(level) for level in about[name]]) for name in ("mean", "std"))
        classes, precision = tuple(about["classes"]), about["precision"]
        extent = Extent(int(about.get("side", _SIDE_ONCE)), len(mean))
        if (
            len(mean) != len(std)
            or not len(mean)
            or extent.side < 1
            or precision not in PRECISIONS
            or not all(isinstance(name, str) for name in classes)
        ):
            raise ValueError("what it says of its classes, images or precision is not what a run keeps")
        return Kept(RunConfig.parse(about["config"]), classes, extent, Normalization(mean, std), precision, tensors)
    except (LookupError, TypeError, ValueError, OverflowError, safetensors.SafetensorError) as error:
        raise UserError(f"{file} cannot be read as the weights of a run ({first_line(error)})") from None
