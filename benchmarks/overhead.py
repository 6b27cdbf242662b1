"""What the framework costs: an epoch of reglab's training loop against the bare step on the same batches.

The peer is the step that anyone would write: forward, backward, optimizer, nothing else, on batches that were made
beforehand and wait in memory. Ours makes its batches (shuffle, gather, normalize), sums up its metrics and reads them, sets
the learning rate, listens for signals, evaluates (one image: the pass over a test set is work, not overhead) and writes the
epoch's record. Both run in one process, epoch by epoch in turns, so that a noisy machine disturbs both alike.

    reglab bench overhead [--rounds N] [KEY=VALUE …]
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import measure as shared
from benchmarks.measure import Outcome, Result
from reglab.data.batches import Batch
from reglab.data.sources import load
from reglab.processes.signals import Signals
from reglab.settings import settings
from reglab.tracking.store import LocalRun
from reglab.training.run import Run
from reglab.training.step import Precision

ROUNDS = 9
DEFAULTS = ("data.source=digits", "data.train_limit=512", "data.test_limit=1", "batchnorm.layers=2", "train.batch_size=64")


def bare_epoch(network: nn.Module, bare: torch.optim.Optimizer, batches: list[Batch], precision: Precision) -> None:
    network.train()
    for batch in batches:
        bare.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = F.cross_entropy(network(batch.images), batch.labels)
        loss.backward()
        bare.step()


def reglab_epoch(run: Run, signals: Signals, sink: LocalRun) -> None:
    run.train_until(float("inf"), signals)
    sink.epoch(run.end_epoch(run.sums.read()))


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    config = shared.configured([*DEFAULTS, *overrides])
    images = load(config.data, settings().cache)
    ours, theirs = Run(config, images, device), Run(config, images, device)
    ours.warm_up()
    bare = torch.optim.Adam(theirs.network.parameters(), config.optimizer.lr, fused=True)
    order = theirs.batches.order(theirs.draws)
    ready = [theirs.batches.batch(theirs.batches.positions(order, step), theirs.draws) for step in range(theirs.batches.steps_per_epoch)]
    with tempfile.TemporaryDirectory() as folder:
        signals, sink = Signals(), LocalRun(Path(folder))
        sides = {
            "reglab": lambda: reglab_epoch(ours, signals, sink),
            "bare step": lambda: bare_epoch(theirs.network, bare, ready, theirs.precision),
        }
        seconds = shared.alternate(sides, rounds or ROUNDS, device)
    facts = {
        "images": len(images.train),
        "width": config.model.width,
        "precision": ours.precision.name,
        "one CUDA graph a step": ours.captured,
    }
    yield Result.of("overhead", f"epoch at batch {config.train.batch_size}", seconds, ("reglab", "bare step"), device, facts)


if __name__ == "__main__":
    shared.main(measure, __doc__)
