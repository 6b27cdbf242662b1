"""What is said before a run begins: where it will train otherwise, or more slowly, than its configuration reads."""

import copy
import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from reglab.config import ModelConfig, acting
from reglab.training.run import Run
from reglab.training.step import Precision

SLOWER = 1.25
"""How many times as long as in fp32 a step may take in another precision without a word."""

_IMAGES, _STEPS, _ENOUGH_SECONDS = 8, 3, 3.0
"""Of a measurement: the images of a step, and after how many steps, or seconds, it ends."""


def of(run: Run) -> Iterator[str]:
    """A line for each. Leaves the run as it is, to the last bit."""
    images, wanted = len(run.images.train), run.config.train.batch_size
    if wanted > images:
        yield f"train.batch_size = {wanted}, and there are {images:,} training images: each epoch is one step on all of them"
    if leaked := run.images.leaked:
        said = f"the training images hold {leaked:,} of the {len(run.images.test):,} test images, too, pixel by pixel"
        yield f"{said}: test accuracy is in part that of images that were trained on"
    if run.batches.mixes_labels and run.config.train.target_on == "running":
        said = "labels are mixed, so that running training accuracy counts a guess as much as its label's share"
        yield f"{said}, and the time to target with it: train.target_on=clean takes it on images as they are"
    for technique in acting(run.config):
        if technique.warns and (line := technique.warns(technique.of(run.config), run.config)):
            yield line
    model = run.config.model
    given = [f"model.{key} = {value}" for key, value in model if key not in ("name", "options") and value != getattr(ModelConfig(), key)]
    if model.built_in is None and given:
        yield f"{', '.join(given)}: only reglab's own networks heed that; what {model.name} is to know stands in model.options"
    if run.device.type == "cpu" and run.precision.name != "fp32" and (ratio := slowness(run)) > SLOWER:
        said = f"train.precision = {run.precision.name} takes {ratio:.1f} times as long as fp32 on this CPU"
        yield f"{said} (measured on a few steps of each): train.precision=fp32 is faster"


def slowness(run: Run) -> float:
    """How many times as long a step takes in the run's precision as in fp32: the fastest of a few on a copy of its network, uncompiled."""
    with torch.random.fork_rng([]):  # of dropout
        return _step_seconds(run, run.precision) / _step_seconds(run, Precision("fp32", run.device))


def _step_seconds(run: Run, precision: Precision) -> float:
    """Of a forward and a backward pass."""
    network = copy.deepcopy(run.network).train()
    pixels, labels = next(iter(run.clean_train.set.pixels.split(_IMAGES))), run.clean_train.set.labels[:_IMAGES]
    images = run.batches.normalize(run.clean_train.set.unpack(pixels), precision.dtype)
    best, began = float("inf"), time.perf_counter()
    for _ in range(_STEPS):
        start = time.perf_counter()
        with precision.autocast():
            loss = F.cross_entropy(type(network).forward(network, images), labels)
        torch.autograd.grad(loss, [each for each in network.parameters() if each.requires_grad], allow_unused=True)
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() - began > _ENOUGH_SECONDS:
            break
    return best
