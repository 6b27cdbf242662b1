"""What CutMix is."""

from pydantic import Field, field_validator

from reglab.section import Section
from reglab.techniques.beta import drawable
from reglab.techniques.technique import Probe, Technique


class CutMixConfig(Section):
    """CutMix: a box of each image is another's of its batch, and so much of its label (Yun et al. 2019)."""

    alpha: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="shares that stay are drawn from Beta(alpha, alpha), one a batch; 1 in the paper; 0: off, else at least 0.01",
    )

    _drawable = field_validator("alpha")(drawable("cutmix.alpha"))


TECHNIQUE = Technique(
    name="cutmix",
    section=CutMixConfig,
    paper="https://arxiv.org/abs/1905.04899",
    active=lambda own, run: own.alpha > 0,
    label=lambda own: f"CutMix {own.alpha:g}",
    columns={"CutMix": "alpha"},
    example={"alpha": 1.0},
    probes=(Probe("cutmix/share", "pixels that are another image's, mean over the epoch's steps: 0 where another technique mixed"),),
    mixes=True,
    applied_by="reglab.techniques.cutmix.paste:CutMix",
)
