"""Two or more ways to do one thing, side by side in one process: rounds in turns, medians, and the ratio to ours."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from reglab.training.clock import synchronize
from reglab.training.environment import cpu_name


@dataclass(frozen=True)
class Comparison:
    """What some sides took, in seconds, and how many times as long as ours: medians, and the quartiles of neighbouring rounds."""

    title: str
    seconds: dict[str, float]  # ours first
    ratio: dict[str, float]
    quartiles: dict[str, tuple[float, float]]
    rounds: int
    machine: str
    torch: str = torch.__version__
    facts: dict[str, Any] = field(default_factory=dict)

    def json(self) -> str:
        return json.dumps(asdict(self))


def compare(
    title: str, sides: Mapping[str, Callable[[], object]], device: torch.device, rounds: int = 9, before: Callable[[], object] | None = None
) -> Comparison:
    """Time the sides, ours first in `sides`, for so many rounds after one that warms up; `before` each call is not timed."""
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else names[::-1]:
            if before:
                before()
            synchronize(device)
            start = time.perf_counter()
            sides[name]()
            synchronize(device)
            if number:
                seconds[name].append(time.perf_counter() - start)
    ratios = {name: [theirs / ours for theirs, ours in zip(seconds[name], seconds[names[0]], strict=True)] for name in names[1:]}
    return Comparison(
        title,
        {name: statistics.median(found) for name, found in seconds.items()},
        {name: statistics.median(found) for name, found in ratios.items()},
        {name: _quartiles(found) for name, found in ratios.items()},
        rounds,
        device_name(device),
    )


def _quartiles(values: list[float]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return low, high


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def show(comparison: Comparison) -> None:
    """A table for people, and a line of JSON."""
    table = Table("", "median", "times ours", "quartiles", title=comparison.title, title_justify="left", box=None, pad_edge=False)
    for name, seconds in comparison.seconds.items():
        low, high = comparison.quartiles.get(name, (1, 1))
        ratio = [f"{comparison.ratio[name]:.2f}", f"{low:.2f} to {high:.2f}"] if name in comparison.ratio else ["", ""]
        table.add_row(name, f"{seconds:.4g} s", *ratio)
    console = Console()
    console.print(table)
    rest = ", ".join(f"{name} {value}" for name, value in comparison.facts.items())
    print(f"{comparison.rounds} rounds on {comparison.machine}, torch {comparison.torch}" + (f"; {rest}" if rest else ""))
    print(comparison.json())
