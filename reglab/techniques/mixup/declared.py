"""What mixup is."""

from pydantic import Field, field_validator

from reglab.section import Section
from reglab.techniques.beta import drawable
from reglab.techniques.technique import Probe, Technique


class MixupConfig(Section):
    """Mixup: each image blended with another of its batch, and its label as much (Zhang et al. 2018)."""

    alpha: float = Field(
        default=0.0, ge=0, le=100, description="shares are drawn from Beta(alpha, alpha), one a batch; 0: off, else at least 0.01"
    )

    _drawable = field_validator("alpha")(drawable("mixup.alpha"))


TECHNIQUE = Technique(
    name="mixup",
    section=MixupConfig,
    paper="https://arxiv.org/abs/1710.09412",
    active=lambda own, run: own.alpha > 0,
    label=lambda own: f"mixup {own.alpha:g}",
    columns={"mixup": "alpha"},
    example={"alpha": 0.2},
    probes=(Probe("mixup/share", "of the other image, mean over the epoch's steps: 0 where another technique mixed", lambda own: 0.5),),
    mixes=True,
    applied_by="reglab.techniques.mixup.blend:Mixup",
)
