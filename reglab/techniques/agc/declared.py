"""What adaptive gradient clipping is."""

from typing import Annotated

from pydantic import Field

from reglab.section import MOST, Matters, Section
from reglab.techniques.technique import Probe, Technique

SMALLEST_GRADIENT_NORM = 1e-6
"""Keeps the quotient of equation 3 finite for a gradient of zeros; the authors' value."""


class AGCConfig(Section):
    """Adaptive gradient clipping (Brock et al. 2021)."""

    enabled: bool = False
    clip: Annotated[float, Matters(lambda own, run: own.enabled)] = Field(
        default=0.02, gt=0, le=MOST, description="clip threshold, lambda in equation 3"
    )
    eps: Annotated[float, Matters(lambda own, run: own.enabled)] = Field(
        default=1e-3, gt=0, le=MOST, description="floor of a unit's weight norm"
    )


def _label(own: AGCConfig) -> str:
    return f"AGC {own.clip:g}" + (f" eps {own.eps:g}" if own.eps != AGCConfig().eps else "")


TECHNIQUE = Technique(
    name="agc",
    section=AGCConfig,
    paper="https://arxiv.org/abs/2102.06171",
    active=lambda own, run: own.enabled,
    label=_label,
    example={"enabled": True, "clip": 0.01},
    probes=(Probe("agc/clipped_fraction", "of all units, mean over the epoch's steps"),),
    slows=lambda own: True,
    applied_by="reglab.techniques.agc.clip:AGC",
)
