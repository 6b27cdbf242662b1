"""How good a network is on images that it was not trained on: while it trains, and later, from the weights that a run kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab import models
from reglab.data.batches import CleanBatches
from reglab.data.images import ImageSet
from reglab.errors import UserError
from reglab.models import buffers
from reglab.processes.signals import Signals
from reglab.training import checkpoint
from reglab.training.flat import FlatParameters
from reglab.training.measured import Metrics
from reglab.training.step import Precision
from reglab.training.weights import Kept


@dataclass(frozen=True)
class Evaluation:
    """Of one part, in evaluation mode: the mean loss, the fraction of images that are classified rightly, and which ones these are.

    `correct`: (N,) bool, on the CPU, in the order of the part. `own`: the user's metrics.
    """

    loss: float
    accuracy: float
    correct: Tensor
    own: Mapping[str, float] = field(default_factory=dict)


@torch.no_grad()
def evaluate(
    network: nn.Module, batches: CleanBatches, precision: Precision, signals: Signals | None = None, metrics: Metrics | None = None
) -> Evaluation:
    """Mean loss, accuracy, right answers and `metrics` over a part; waits for the device once. Leaves the network in evaluation mode.

    Raises Interrupted for a preemption meanwhile, and UserError where a metric fails.
    """
    network.eval()
    loss_sum = torch.zeros(1, dtype=torch.float64, device=precision.device)
    answers: list[Tensor] = []
    right: list[Tensor] = []
    for images, labels in batches:
        if signals:
            signals.check()
        with precision.autocast():
            logits = network(images)
            loss = F.cross_entropy(logits, labels, reduction="sum")
        loss_sum += loss
        right.append(logits.argmax(1) == labels)
        if metrics:
            answers.append(logits.float().flatten())
    read = torch.cat([part.view(torch.uint8) for part in (loss_sum, *answers, *right)]).cpu()  # one copy, and so one wait
    total, told, rest = read.split([loss_sum.nbytes, sum(each.nbytes for each in answers), len(batches)])
    correct = rest != 0
    own = metrics.of(told.view(torch.float32).view(len(batches), -1)) if metrics else {}
    return Evaluation(total.view(loss_sum.dtype).item() / len(batches), int(correct.sum()) / len(batches), correct, own)


def evaluate_kept(kept: Kept, images: ImageSet, device: torch.device, metrics: Metrics | None = None) -> Evaluation:
    """Of kept weights, on the test part of `images`: with the images, the device and the versions of the run, its very result.

    `metrics`: what else is measured there.

    Raises UserError where the images have other classes, another size or other channels.
    """
    if images.classes != kept.classes:
        odd = sorted(set(images.classes) ^ set(kept.classes))
        which = f"not in both: {', '.join(odd)}" if odd else "the same, in another order"
        there = f"the {len(images.classes)} classes of {images.name} are not the {len(kept.classes)} that the run was trained on"
        raise UserError(f"{there} ({which}): give images of the same classes")
    if images.extent != kept.extent:
        there = f"the images of {images.name} are {images.extent}, and the run was trained on {kept.extent}"
        raise UserError(f"{there}: give images of the same size")
    precision = Precision(kept.precision, device)
    built = models.build(kept.config, len(kept.classes), *images.extent)
    network = built.module.to(device).to(memory_format=torch.channels_last)
    FlatParameters(built, precision.dtype)  # weights lie as they did in training: a kernel's choice may depend on it
    buffers.make_room(network, kept.network)
    # An earlier version kept no buffers beside the state.
    own = network.state_dict() | {name: value for name, value in buffers.unsaved(network).items() if name in kept.network}
    try:
        checkpoint.expect_alike("the network", own, kept.network)
    except ValueError as error:
        raise UserError(f"the weights are not those of their configuration ({error}): keep them with the run that they are of") from None
    for name, value in own.items():
        value.copy_(kept.network[name])
    if kept.config.train.compile is True:
        network.compile()
    batches = CleanBatches(images.test, kept.normalization.to(device), device, precision.dtype)
    return evaluate(network, batches, precision, metrics=metrics)
