"""What dropout is."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from reglab.section import LAYERS, Section
from reglab.techniques.technique import Probe, Technique

if TYPE_CHECKING:
    from reglab.config import RunConfig


class DropoutConfig(Section):
    """Dropout (Srivastava et al. 2014): `p` for every layer, or `p1` `p2` `p3` layer by layer."""

    layers: int = Field(default=0, ge=0, le=LAYERS)
    p: float | None = Field(default=None, ge=0, lt=1, description="symmetric probability")
    p1: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 1")
    p2: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 2")
    p3: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 3")

    @model_validator(mode="after")
    def _one_way_to_give_the_probabilities(self) -> Self:
        each = {f"dropout.p{i}": p for i, p in enumerate((self.p1, self.p2, self.p3), start=1)}
        given = {key: p for key, p in each.items() if p is not None}
        if self.p is not None and given:
            key, value = next(iter(given.items()))
            raise ValueError(f"dropout.p = {self.p} stands beside {key} = {value}: give p (the same in every layer) or p1 p2 p3, not both")
        missing = [key for key in list(each)[: self.layers] if self.p is None and key not in given]
        if missing:
            raise ValueError(
                f"dropout.layers = {self.layers} has no {missing[0]}: set dropout.p (the same in every layer) or {' '.join(missing)}"
            )
        return self

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The dropping probability of each layer that is there, first to last."""
        if self.p is not None:
            return (self.p,) * self.layers
        return tuple(float(p or 0) for p in (self.p1, self.p2, self.p3)[: self.layers])

    @property
    def acting(self) -> tuple[float, ...]:
        """The probabilities without the layers at the end that drop nothing."""
        probabilities = list(self.probabilities)
        while probabilities and probabilities[-1] == 0:
            probabilities.pop()
        return tuple(probabilities)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Layer by layer, however the probabilities were given."""
        return {"layers": len(self.acting)} | {f"p{layer}": p for layer, p in enumerate(self.acting, start=1)}

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """One probability where it is that of every layer."""
        return super().given(run) if self.p is None or not self.acting else {"layers": self.layers, "p": self.p}


def _label(own: DropoutConfig) -> str:
    each = own.acting
    shown = each[:1] if len(set(each)) == 1 else each
    return f"dropout {len(each)} at " + "/".join(f"{p:.3g}" for p in shown)


def _expected(own: DropoutConfig) -> float | None:
    return own.acting[0] if len(set(own.acting)) == 1 else None


TECHNIQUE = Technique(
    name="dropout",
    section=DropoutConfig,
    paper="Srivastava et al. 2014, JMLR 15: 1929-1958",
    active=lambda own, run: bool(own.acting),
    label=_label,
    example={"layers": 3, "p": 0.2},
    probes=(Probe("dropout/rate", "of all live elements, in the epoch's first step", _expected),),
    in_network=True,
    layers=lambda own: len(own.acting),
    slows=lambda own: len(own.acting),
    applied_by="reglab.techniques.dropout.layer:Dropout",
)
