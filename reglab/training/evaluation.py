"""How good a network is on images that it was not trained on: while it trains, and later, from the weights that a run kept."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab import models
from reglab.data.batches import CleanBatches
from reglab.data.images import ImageSet
from reglab.errors import UserError
from reglab.processes.signals import Signals
from reglab.training import checkpoint
from reglab.training.flat import FlatParameters
from reglab.training.step import Precision
from reglab.training.weights import Kept


@dataclass(frozen=True)
class Evaluation:
    """Of one part, in evaluation mode: the mean loss, the fraction of images that are classified rightly, and which ones these are.

    `correct`: (N,) bool, on the CPU, in the order of the part.
    """

    loss: float
    accuracy: float
    correct: Tensor


@torch.no_grad()
def evaluate(network: nn.Module, batches: CleanBatches, precision: Precision, signals: Signals | None = None) -> Evaluation:
    """Mean loss, accuracy and right answers over a part; waits for the device once. Leaves the network in evaluation mode.

    Raises Interrupted for a preemption meanwhile.
    """
    network.eval()
    loss_sum = torch.zeros(1, dtype=torch.float64, device=precision.device)
    right: list[Tensor] = []
    for images, labels in batches:
        if signals:
            signals.check()
        with precision.autocast():
            logits = network(images)
            loss = F.cross_entropy(logits, labels, reduction="sum")
        loss_sum += loss
        right.append(logits.argmax(1) == labels)
    read = torch.cat([part.view(torch.uint8) for part in (loss_sum, *right)]).cpu()  # one copy, and so one wait
    total, correct = read[: loss_sum.nbytes].view(loss_sum.dtype), read[loss_sum.nbytes :] != 0
    return Evaluation(total.item() / len(batches), int(correct.sum()) / len(batches), correct)


def evaluate_kept(kept: Kept, images: ImageSet, device: torch.device) -> Evaluation:
    """Of kept weights, on the test part of `images`: with the images, the device and the versions of the run, its very result.

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
    own = network.state_dict()
    try:
        checkpoint.expect_alike("the network", own, kept.network)
    except ValueError as error:
        raise UserError(f"the weights are not those of their configuration ({error}): keep them with the run that they are of") from None
    for name, value in own.items():
        value.copy_(kept.network[name])
    if kept.config.train.compile is True:
        network.compile()
    return evaluate(network, CleanBatches(images.test, kept.normalization.to(device), device, precision.dtype), precision)
