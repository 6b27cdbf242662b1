"""One training step, and the sums that it leaves on the device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from reglab.config import RunConfig
from reglab.data.batches import Batch
from reglab.errors import UserError
from reglab.techniques.applied import Applied, Weights, overrides
from reglab.training.flat import FlatParameters

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Precision:
    """The arithmetic of forward and backward passes; weights and optimizer stay in fp32."""

    name: str
    device: torch.device

    @classmethod
    def resolve(cls, wanted: str, device: torch.device) -> "Precision":
        """`auto` is bf16 where the GPU computes in it, else fp16 on a GPU, fp32 on a CPU."""
        if wanted != "auto":
            return cls(wanted, device)
        if device.type != "cuda":
            return cls("fp32", device)
        return cls("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16", device)

    @property
    def dtype(self) -> torch.dtype:
        """The type that matrix products and convolutions compute in."""
        return _DTYPES[self.name]

    def autocast(self) -> torch.autocast:
        """Return the context under which a forward pass computes in it; it does nothing in fp32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.name != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that fp16 gradients do not vanish (Micikevicius et al. 2018); does nothing for the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")


class EpochSums:
    """Sums over the steps of an epoch, those of the techniques among them: kept on the device and read once at its end."""

    NAMES = ("loss", "correct", "finite_steps")

    def __init__(self, device: torch.device, applied: Sequence[Applied[Any]]):
        self.images = 0  # counted by the host: a captured step cannot
        self.values = torch.zeros(len(self.NAMES), dtype=torch.float64, device=device)
        self.finite = torch.ones((), dtype=torch.float64, device=device)  # zero from the first loss that is not
        self._applied = [each for each in applied if each.sums is not None]

    @property
    def of_techniques(self) -> dict[str, Tensor]:
        """The sums that techniques keep, by their names; each of a shape of its technique's own, such as () or (2,)."""
        return {each.name: each.sums for each in self._applied if each.sums is not None}

    @property
    def tensors(self) -> list[Tensor]:
        """All of its tensors: `values` (3,), `finite` () and those of the techniques."""
        return [self.values, self.finite, *self.of_techniques.values()]

    def reset(self) -> None:
        """Begin an epoch: zero all sums in place."""
        self.images = 0
        for sums in self.tensors:
            sums.zero_()
        self.finite.fill_(1)

    def add(self, loss: Tensor, logits: Tensor, batch: Batch) -> None:
        """Of a step: its loss () and logits (M, classes). Of mixed labels the guess counts as much as its share in the image."""
        self.finite *= torch.isfinite(loss)
        guesses = logits.argmax(1)
        correct = (guesses == batch.labels).sum()
        if batch.others is not None and batch.share is not None:
            correct = torch.lerp(correct.double(), (guesses == batch.others).sum().double(), batch.share)
        self.values += torch.stack([loss.detach() * len(batch.labels), correct, self.finite])

    def read(self) -> "Read":
        """The sums as numbers: waits for the device."""
        own = list(self.of_techniques.values())
        flat = torch.cat([self.values, *(sums.double().flatten() for sums in own)]).tolist()
        (loss, correct, finite_steps), rest = flat[: len(self.values)], flat[len(self.values) :]
        of_techniques = []
        for sums in own:
            of_techniques.append(rest[: sums.numel()])
            rest = rest[sums.numel() :]
        return Read(loss, correct, finite_steps, of_techniques)

    def probes(self, read: "Read", steps: int) -> dict[str, float]:
        """What the techniques prove by an epoch of so many steps."""
        found: dict[str, float] = {}
        for each, sums in zip(self._applied, read.of_techniques, strict=True):
            found |= each.measured(sums, steps)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return its tensors, by name: what a checkpoint keeps in mid-epoch."""
        return {"images": self.images, "values": self.values, "finite": self.finite, "techniques": self.of_techniques}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over in place what `state_dict` gave."""
        self.images = state["images"]
        self.values.copy_(state["values"])
        self.finite.copy_(state["finite"])
        for name, sums in self.of_techniques.items():
            sums.copy_(state["techniques"][name])


@dataclass(frozen=True)
class Read:
    """The sums of an epoch as numbers: of losses times images, of right guesses, of steps up to the first whose loss is not finite."""

    loss: float
    correct: float
    finite_steps: float
    of_techniques: Sequence[Sequence[float]]


class TrainingStep:
    """Forward, backward, unscale, what techniques do to gradients, optimize: adds what it saw to `sums`, and never waits for the device."""

    def __init__(
        self,
        network: nn.Module,
        flat: FlatParameters,
        optimizer: Optimizer,
        config: RunConfig,
        precision: Precision,
        sums: EpochSums,
        applied: Sequence[Applied[Any]],
    ):
        self.network, self.flat, self.optimizer, self.sums = network, flat, optimizer, sums
        self.config, self.precision, self.scaler = config, precision, precision.scaler()
        self._on_gradients = [each for each in applied if overrides(each, "on_gradients")]
        self._penalties = [each for each in applied if overrides(each, "penalty")]
        self._loss = _loss(applied)
        self._probing = [each for each in applied if overrides(each, "probing")]
        for each in applied:
            each.take(Weights(flat.buffer, flat.units, flat.spares_last))

    def __call__(self, batch: Batch) -> None:
        """Train on a batch: one step, of which `sums` learn."""
        loss, logits = self.gradients(batch)
        if self._on_gradients:
            self.scaler.unscale_(self.optimizer)
            for each in self._on_gradients:
                each.on_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.sums.add(loss, logits, batch)

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Fresh gradients of the (scaled) loss; returns the loss, a scalar, and the logits (M, classes)."""
        with self.precision.autocast():
            logits = self.flat.forward(self.network, batch.images)
            loss = self._loss(logits, batch.labels)
            if batch.others is not None and batch.share is not None:
                loss = torch.lerp(loss, self._loss(logits, batch.others), batch.share.to(loss.dtype))
            for each in self._penalties:
                loss = loss + each.penalty(logits)
        self.flat.backward(self.scaler.scale(loss))
        return loss, logits

    def renew_scaler(self) -> None:
        """After a step that broke off, which may have been between its unscaling and its update."""
        self.scaler = self.precision.scaler()

    @property
    def has_probes(self) -> bool:
        """Whether a probing step counts anything: it takes longer."""
        return bool(self._probing)

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Open around one step: techniques count what they do in it."""
        with ExitStack() as stack:
            if self.config.train.compile is True:  # a compiled network calls no hooks
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for each in self._probing:
                if (counting := each.probing(self.network)) is not None:
                    stack.enter_context(counting)
            yield


def _loss(applied: Sequence[Applied[Any]]) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy, or what a technique has in its place. Raises UserError where two have."""
    found = [each for each in applied if overrides(each, "loss")]
    if len(found) > 1:
        raise UserError(
            f"{' and '.join(each.name for each in found)} each have a loss of their own in place of cross-entropy: leave one out"
        )
    return found[0].loss if found else F.cross_entropy
