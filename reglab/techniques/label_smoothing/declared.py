"""What label smoothing is."""

from pydantic import Field

from reglab.section import Section
from reglab.techniques.technique import Technique


class LabelSmoothingConfig(Section):
    """Label smoothing: a share of each label is spread over all classes (Szegedy et al. 2016)."""

    rate: float = Field(default=0.0, ge=0, lt=1, description="the share that is spread")


TECHNIQUE = Technique(
    name="label_smoothing",
    section=LabelSmoothingConfig,
    paper="https://arxiv.org/abs/1512.00567",
    active=lambda own, run: own.rate > 0,
    columns={"label smoothing": "rate"},
    example={"rate": 0.1},
    formerly={"rate": "optimizer.label_smoothing"},
    applied_by="reglab.techniques.label_smoothing.loss:LabelSmoothing",
)
