"""What the confidence penalty is."""

from pydantic import Field

from reglab.section import Section
from reglab.techniques.technique import Technique


class ConfidencePenaltyConfig(Section):
    """Confidence penalty: the loss falls with the entropy of what the network says (Pereyra et al. 2017)."""

    rate: float = Field(default=0.0, ge=0, le=10, description="beta in equation 1, by which the entropy counts; 0: off")


TECHNIQUE = Technique(
    name="confidence_penalty",
    section=ConfidencePenaltyConfig,
    paper="https://arxiv.org/abs/1701.06548",
    active=lambda own, run: own.rate > 0,
    label=lambda own: f"confidence penalty {own.rate:g}",
    columns={"confidence penalty": "rate"},
    example={"rate": 0.1},
    applied_by="reglab.techniques.confidence_penalty.loss:ConfidencePenalty",
)
