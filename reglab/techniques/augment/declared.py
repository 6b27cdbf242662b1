"""What the study's simple transformations are."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reglab.section import Matters, Section
from reglab.techniques.technique import Technique

if TYPE_CHECKING:
    from reglab.config import RunConfig

_UNDER_BASIC = Matters(lambda own, run: own.policy == "basic")


class AugmentConfig(Section):
    """The study's simple transformations, each drawn per image. They act only under policy basic."""

    policy: Literal["none", "basic"] = "none"
    shift: Annotated[int, _UNDER_BASIC] = Field(default=4, ge=0, le=16, description="largest shift in pixels, in each direction")
    flip: Annotated[bool, _UNDER_BASIC] = Field(default=True, description="mirror horizontally with probability one half")
    rotate: Annotated[float, _UNDER_BASIC] = Field(default=0.0, ge=0, le=180, description="largest rotation in degrees, in each direction")


_DIGITS = ("digits", "svhn")
"""Sources whose images are others when they are mirrored."""


def _warning(own: AugmentConfig, run: "RunConfig") -> str | None:
    if not own.flip or run.data.source not in _DIGITS:
        return None
    return f"augment.flip mirrors {run.data.source}, and a mirrored digit is another one or none: augment.flip=false leaves that out"


def _label(own: AugmentConfig) -> str:
    moves = {"shift": own.shift, "flip": own.flip, "rotate": own.rotate}
    unusual = [f"{name} {value:g}" for name, value in moves.items() if value != getattr(AugmentConfig(), name)]
    return " ".join(["transformations", *unusual])


TECHNIQUE = Technique(
    name="augment",
    section=AugmentConfig,
    paper="Krizhevsky et al. 2012, NIPS 25, section 4.1",
    active=lambda own, run: own.policy == "basic" and bool(own.shift or own.flip or own.rotate),
    label=_label,
    example={"policy": "basic", "rotate": 15},
    warns=_warning,
    applied_by="reglab.techniques.augment.transformations:Augment",
)
