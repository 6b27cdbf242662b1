"""What the framework costs: an epoch of reglab's training loop against the bare step on the same batches.

The peer is the step that anyone would write: forward, backward, optimizer, nothing else, on batches that were made
beforehand and wait in memory. Ours makes its batches (shuffle, gather, normalize), sums up its metrics and reads them, sets
the learning rate, listens for signals, evaluates (one image: the pass over a test set is work, not overhead) and writes the
epoch's record. Both run in one process, epoch by epoch in turns, so that a noisy machine disturbs both alike.

    python -m benchmarks.overhead [--rounds N] [KEY=VALUE …]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from reglab.config import RunConfig, with_overrides
from reglab.data.batches import Batch
from reglab.data.sources import load
from reglab.settings import settings
from reglab.tracking.store import LocalRun
from reglab.training import loop
from reglab.training.clock import synchronize
from reglab.training.environment import cpu_name, pick_device
from reglab.training.preemption import Signals

DEFAULTS = ["data.source=digits", "data.train_limit=512", "data.test_limit=1", "batchnorm.layers=2", "train.batch_size=64"]


def bare_epoch(network: nn.Module, bare: torch.optim.Optimizer, batches: list[Batch], precision: loop.Precision) -> None:
    network.train()
    for batch in batches:
        bare.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = F.cross_entropy(network(batch.images), batch.labels)
        loss.backward()
        bare.step()


def reglab_epoch(run: loop.Run, signals: Signals, sink: LocalRun) -> None:
    run.train_until(float("inf"), signals)
    sink.epoch(run.end_epoch(run.sums.read()))


def measure(config: RunConfig, rounds: int, folder: Path) -> dict[str, object]:
    """Median seconds of an epoch either way, and the median of the ratios of neighbouring epochs."""
    device = pick_device(settings().device)
    images = load(config.data, settings().cache)
    ours, theirs = loop.Run(config, images, device), loop.Run(config, images, device)
    bare = torch.optim.Adam(theirs.network.parameters(), config.optimizer.lr, fused=True)
    order = theirs.batches.order(theirs.draws)
    ready = [theirs.batches.batch(theirs.batches.positions(order, step), theirs.draws) for step in range(theirs.batches.steps_per_epoch)]
    signals, sink = Signals(), LocalRun(folder)
    seconds: dict[str, list[float]] = {"reglab": [], "bare": []}
    for round_number in range(rounds + 1):
        for name in ("reglab", "bare") if round_number % 2 else ("bare", "reglab"):
            synchronize(device)
            start = time.perf_counter()
            if name == "reglab":
                reglab_epoch(ours, signals, sink)
            else:
                bare_epoch(theirs.network, bare, ready, theirs.precision)
            synchronize(device)
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(seconds["reglab"], seconds["bare"], strict=True)]
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "torch": torch.__version__,
        "precision": ours.precision.name,
        "images_per_epoch": len(images.train),
        "batch_size": config.train.batch_size,
        "width": config.model.width,
        "rounds": rounds,
        "reglab_seconds": statistics.median(seconds["reglab"]),
        "bare_seconds": statistics.median(seconds["bare"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2] if rounds > 1 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    config = RunConfig.parse(with_overrides({}, [*DEFAULTS, *arguments.overrides]))
    with tempfile.TemporaryDirectory() as folder:
        result = measure(config, arguments.rounds, Path(folder))
    print(f"epoch of {result['images_per_epoch']} images on {result['device']}")
    print(f"  bare step  {result['bare_seconds']:.3f} s")
    print(f"  reglab     {result['reglab_seconds']:.3f} s   ratio {result['ratio']:.3f}, quartiles {result['ratio_quartiles']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
