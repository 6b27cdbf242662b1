"""What stochastic depth is."""

from pydantic import Field

from reglab.section import Section
from reglab.techniques.technique import Probe, Technique


class StochasticDepthConfig(Section):
    """Whole residual branches dropped at random, image by image, the deeper the more often (Huang et al. 2016)."""

    rate: float = Field(default=0.0, ge=0, lt=1, description="probability for the last block; from the first block on it rises linearly")


TECHNIQUE = Technique(
    name="stochastic_depth",
    section=StochasticDepthConfig,
    paper="https://arxiv.org/abs/1603.09382",
    active=lambda own, run: own.rate > 0,
    label=lambda own: f"SD {own.rate:g}",
    columns={"stochastic depth": "rate"},
    example={"rate": 0.2},
    in_network=True,
    probes=(Probe("stochastic_depth/dropped", "of all branches of all images, in the epoch's first step", lambda own: own.rate / 2),),
    applied_by="reglab.techniques.stochastic_depth.branches:StochasticDepth",
)
