"""What the faults strike: a sweep of small runs, and the records that they leave where nothing strikes."""

import os
import random
from pathlib import Path

import pytest

KEYS = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "batchnorm": {"layers": 1},
    "dropout": {"layers": 1, "p": 0.1},
    "train": {"batch_size": 32, "epochs": 6, "checkpoint_every": 0},
}
"""Four steps an epoch, and a checkpoint after each step."""

WORDS = [f"{section}.{key}={value}" for section, keys in KEYS.items() for key, value in keys.items()]

TIMES = ("time/", "throughput/")

LONG = os.environ.get("CHAOS") == "long"
"""Whether every moment is tried, as `make chaos-long` does."""


def timeless(record):
    """All that a run came to and that may not depend on what happened to it: each epoch, to the last bit, and its end."""
    rows = [{name: value for name, value in row.metrics().items() if not name.startswith(TIMES)} for row in record.history]
    summary = record.summary and record.summary.metrics()
    end = {name: value for name, value in (summary or {}).items() if not name.startswith(TIMES) and name != "peak_memory_gb"}
    return record.state, rows, end


def half_written(root: Path):
    """What a process leaves behind that ended in the middle of something, and what a finished run needs no more."""
    return [path for path in root.rglob("*") if path.name.endswith(".tmp") or path.name.startswith("checkpoint.pt")]


@pytest.fixture
def chance():
    """What a seed decides, which CHAOS_SEED sets: the same faults again, as far as the machine's pace allows."""
    return random.Random(int(os.environ.get("CHAOS_SEED", "0")))
