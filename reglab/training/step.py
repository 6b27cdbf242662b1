"""One training step, and the sums that it leaves on the device."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from reglab.config import RunConfig
from reglab.data.batches import Batch
from reglab.regularizers.agc import AdaptiveClip
from reglab.regularizers.dropout import DropoutProbe
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
        return _DTYPES[self.name]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.name != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that fp16 gradients do not vanish (Micikevicius et al. 2018); does nothing for the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")


class EpochSums:
    """Sums over the steps of an epoch, kept on the device and read once at its end."""

    NAMES = ("loss", "correct", "finite_steps", "clipped_fraction", "masked_fraction")

    def __init__(self, device: torch.device):
        self.images = 0  # counted by the host: a captured step cannot
        self.values = torch.zeros(len(self.NAMES), dtype=torch.float64, device=device)
        self.dropout_counts = torch.zeros(2, dtype=torch.int64, device=device)  # (dropped, live), of probed steps
        self.finite = torch.ones((), dtype=torch.float64, device=device)  # zero from the first loss that is not

    @property
    def tensors(self) -> list[Tensor]:
        return [self.values, self.dropout_counts, self.finite]

    def reset(self) -> None:
        self.images = 0
        self.values.zero_()
        self.dropout_counts.zero_()
        self.finite.fill_(1)

    def add(self, loss: Tensor, logits: Tensor, batch: Batch, clipped_fraction: Tensor | None) -> None:
        self.finite *= torch.isfinite(loss)
        clipped = torch.zeros_like(self.finite) if clipped_fraction is None else clipped_fraction
        correct = (logits.argmax(1) == batch.labels).sum()
        self.values += torch.stack([loss.detach() * len(batch.labels), correct, self.finite, clipped, batch.masked_fraction])

    def read(self) -> dict[str, float]:
        """The sums as numbers, `dropped` and `live` elements among them: waits for the device."""
        dropped, live = self.dropout_counts.tolist()
        return dict(zip(self.NAMES, self.values.tolist(), strict=True)) | {"dropped": dropped, "live": live}

    def state_dict(self) -> dict[str, int | Tensor]:
        return {"images": self.images, "values": self.values, "dropout_counts": self.dropout_counts, "finite": self.finite}

    def load_state_dict(self, state: dict) -> None:
        self.images = state["images"]
        for name in ("values", "dropout_counts", "finite"):
            getattr(self, name).copy_(state[name])


class TrainingStep:
    """Forward, backward, unscale, clip, optimize: adds what it saw to `sums`, and never waits for the device."""

    def __init__(
        self, network: nn.Module, flat: FlatParameters, optimizer: Optimizer, config: RunConfig, precision: Precision, sums: EpochSums
    ):
        self.network, self.flat, self.optimizer, self.sums = network, flat, optimizer, sums
        self.config, self.precision, self.scaler = config, precision, precision.scaler()
        self.clip = AdaptiveClip(flat.buffer, flat.units, config.agc.clip, config.agc.eps) if config.agc.enabled else None

    def __call__(self, batch: Batch) -> None:
        loss, logits = self.gradients(batch)
        clipped_fraction = None
        if self.clip:
            self.scaler.unscale_(self.optimizer)
            clipped_fraction = self.clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.sums.add(loss, logits, batch, clipped_fraction)

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Fresh gradients of the (scaled) loss; returns the loss, a scalar, and the logits (M, classes)."""
        with self.precision.autocast():
            logits = self.flat.forward(self.network, batch.images)
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.optimizer.label_smoothing)
        self.flat.backward(self.scaler.scale(loss))
        return loss, logits

    def renew_scaler(self) -> None:
        """After a step that broke off, which may have been between its unscaling and its update."""
        self.scaler = self.precision.scaler()

    @property
    def has_probes(self) -> bool:
        """Whether a probing step counts anything: it takes longer."""
        return any(self.config.dropout.probabilities)

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Open around one step: counts what dropout drops in it."""
        # A compiled network runs this step uncompiled, since it calls no hooks.
        eagerly = torch.compiler.set_stance("force_eager") if self.config.train.compile is True else nullcontext()
        with eagerly, DropoutProbe(self.network, self.sums.dropout_counts):
            yield
