"""What weight decay is."""

from typing import Annotated, Literal

from pydantic import Field

from reglab.section import MOST, Matters, Section
from reglab.techniques.technique import Technique


class WeightDecayConfig(Section):
    """Weight decay: an L2 penalty with adam and sgd (Krogh and Hertz 1991), decoupled with adamw (Loshchilov and Hutter 2019)."""

    rate: float = Field(default=0.0, ge=0, le=MOST, description="of each step: the penalty's factor, or times the learning rate with adamw")
    of: Annotated[Literal["all", "weights"], Matters(lambda own, run: own.rate > 0)] = Field(
        default="all", description="weights: biases and the scales and shifts of normalization are left alone"
    )


TECHNIQUE = Technique(
    name="weight_decay",
    section=WeightDecayConfig,
    paper="https://arxiv.org/abs/1711.05101",
    active=lambda own, run: own.rate > 0,
    columns={"weight decay": "rate", "decay of": "of"},
    example={"rate": 1e-4},
    formerly={"rate": "optimizer.weight_decay"},
    without=lambda own, run: {"optimizer.name": "adam"} if run.optimizer.name == "adamw" else {},
    applied_by="reglab.techniques.weight_decay.decay:WeightDecay",
)
