"""What batch normalization is."""

from pydantic import Field

from reglab.section import LAYERS, Section
from reglab.techniques.technique import Technique


class BatchNormConfig(Section):
    """Batch normalization (Ioffe and Szegedy 2015)."""

    layers: int = Field(default=0, ge=0, le=LAYERS, description="normalized units of each block, or stages, by model.placement")


TECHNIQUE = Technique(
    name="batchnorm",
    section=BatchNormConfig,
    paper="https://arxiv.org/abs/1502.03167",
    active=lambda own, run: own.layers > 0,
    label=lambda own: f"BN {own.layers}",
    example={"layers": 2},
    in_network=True,
    layers=lambda own: own.layers,
    slows=lambda own: own.layers,
    applied_by="reglab.techniques.batchnorm.layer:BatchNorm",
)
