"""What the study's cutout is."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from reglab.section import Matters, Section
from reglab.techniques.technique import Probe, Technique

_WITH_COPIES = Matters(lambda own, run: own.images > 0)


class CutoutConfig(Section):
    """Copies with a black square, appended to each batch (after DeVries and Taylor 2017)."""

    images: int = Field(default=0, ge=0, le=64, description="copies appended")
    size: Annotated[int, _WITH_COPIES] = Field(default=12, ge=1, le=32, description="side of the square in pixels")
    per: Annotated[Literal["batch", "image"], _WITH_COPIES] = Field(
        default="batch", description="whether `images` counts copies of a batch or of each image"
    )


def _label(own: CutoutConfig) -> str:
    size = f" of {own.size}" if own.size != CutoutConfig().size else ""
    return f"cutout {own.images}{size}" + (" per image" if own.per == "image" else "")


def _revised(own: CutoutConfig, acting: Sequence[Technique[Any]]) -> str | None:
    """A copy was mixed with another copy of its own image, by whatever mixes: a technique of another package may."""
    several = own.per == "image" and own.images > 1
    return "a copy is mixed with another image" if several and any(each.mixes or each.source for each in acting) else None


TECHNIQUE = Technique(
    name="cutout",
    section=CutoutConfig,
    paper="https://arxiv.org/abs/1708.04552",
    active=lambda own, run: own.images > 0,
    label=_label,
    example={"images": 2},
    probes=(Probe("cutout/masked_fraction", "of all pixels, mean over the epoch's steps"),),
    revised=_revised,
    copies=lambda own, batch: own.images * (batch if own.per == "image" else 1),
    applied_by="reglab.techniques.cutout.copies:Cutout",
)
