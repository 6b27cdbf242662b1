"""What the benchmarks share: sides that take turns, what came of them, and how it is shown."""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from reglab.config import RunConfig, parse_overrides, with_overrides
from reglab.data.images import Extent, ImageSet, Split
from reglab.settings import settings
from reglab.training import memory
from reglab.training.clock import synchronize
from reglab.training.environment import cpu_name, pick_device


class Outcome(Protocol):
    """A row of a benchmark's table."""

    def cells(self) -> dict[str, str]:
        """Column titles with the text below; what is `beside` has a line of its own."""


@dataclass(frozen=True)
class Simulated:
    """What came out of so many made-up studies of one kind."""

    benchmark: str
    case: str
    studies: int
    facts: Mapping[str, Any]

    def cells(self) -> dict[str, str]:
        return {"case": self.case, "studies": f"{self.studies:,}", "beside": beside(self.facts)}


@dataclass(frozen=True)
class Result:
    """One ratio of two sides that took turns on one device."""

    benchmark: str
    case: str
    numerator: str
    denominator: str
    seconds: dict[str, float]  # median of each side
    ratio: float  # median over the rounds of the numerator's seconds over the denominator's
    quartiles: tuple[float, float] | None  # of the ratios; none for fewer than two rounds
    rounds: int
    device: str
    torch_version: str
    threads: int
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        benchmark: str,
        case: str,
        seconds: Mapping[str, Sequence[float]],
        over: tuple[str, str],
        device: torch.device,
        facts: Mapping[str, Any],
    ) -> "Result":
        """From the seconds of each round; `over` names the numerator and the denominator."""
        ratios = [above / below for above, below in zip(seconds[over[0]], seconds[over[1]], strict=True)]
        quarters = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else None
        return cls(
            benchmark,
            case,
            *over,
            seconds={name: statistics.median(seconds[name]) for name in over},
            ratio=statistics.median(ratios),
            quartiles=(quarters[0], quarters[2]) if quarters else None,
            rounds=len(ratios),
            device=device_name(device),
            torch_version=torch.__version__,
            threads=torch.get_num_threads(),
            facts=dict(facts),
        )

    def cells(self) -> dict[str, str]:
        above, below = (f"{name} {duration(self.seconds[name])}" for name in (self.numerator, self.denominator))
        quartiles = f"{self.quartiles[0]:.3g} to {self.quartiles[1]:.3g}" if self.quartiles else ""
        ratio = {"seconds": above, "over": below, "ratio": f"{self.ratio:.3g}", "quartiles": quartiles, "rounds": str(self.rounds)}
        return {"case": self.case} | ratio | {"beside": beside(self.facts)}


@dataclass(frozen=True)
class Absent:
    """A row that could not be measured here."""

    benchmark: str
    case: str
    needs: str

    def cells(self) -> dict[str, str]:
        return {"case": self.case, "beside": f"not measured: needs {self.needs}"}


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def beside(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {shown(value)}" for name, value in facts.items() if value is not None)


def device() -> torch.device:
    """The device that the settings name, with their number of threads."""
    if settings().threads:
        torch.set_num_threads(settings().threads or 1)
    return pick_device(settings().device)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, until the device has done all of it."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each side in each round. The first of a round is another one each time; one round before all warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent = timed(sides[name], device)
            if number:
                seconds[name].append(spent)
    return seconds


class Here:
    """What `make(*arguments)` returns, kept in this process until the block ends."""

    def __init__(self, make: Callable[..., Any], *arguments: Any):
        self._made = make(*arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        del self._made

    def __call__(self, work: Callable[[Any], Any]) -> Any:
        """What `work` makes of it."""
        return work(self._made)


class Apart:
    """What `make(*arguments)` returns, kept in a process of its own, which nothing of the other side's reaches."""

    _made: ClassVar[Any] = None  # in that process

    def __init__(self, make: Callable[..., Any], *arguments: Any):
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._pool.submit(self._make, make, *arguments).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._pool.shutdown()

    def __call__(self, work: Callable[[Any], Any]) -> Any:
        """What `work`, a function of a module, makes of it there."""
        return self._pool.submit(self._with_it, work).result()

    @classmethod
    def _make(cls, make: Callable[..., Any], *arguments: Any) -> None:
        cls._made = make(*arguments)

    @classmethod
    def _with_it(cls, work: Callable[[Any], Any]) -> Any:
        return work(cls._made)


def in_a_process(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    """Seconds, peak resident memory in GB, and what came of a call in a fresh process, imports outside the seconds."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    start = time.perf_counter()
    found = work(*arguments)
    return time.perf_counter() - start, memory.peak_gb(), found


def parameter_count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


EXTENT, CLASSES = Extent(32, 3), 10
"""CIFAR-10's."""


def random_images(count: int) -> ImageSet:
    """Noise of CIFAR-10's form: so many training images and one to test on."""
    draws = np.random.default_rng(0)
    parts = [
        Split(draws.integers(0, 256, (size, EXTENT.side, *EXTENT), dtype=np.uint8), draws.integers(0, CLASSES, size, dtype=np.int64))
        for size in (count, 1)
    ]
    return ImageSet("noise", tuple(map(str, range(CLASSES))), parts[0], parts[1], None, f"noise-{count}")


def configured(words: Iterable[str]) -> RunConfig:
    """The configuration of `section.key=value` words; of two for one key the later counts."""
    return RunConfig.parse(with_overrides({}, words))


def cases(factors: Mapping[str, Sequence[object]], overrides: Sequence[str]) -> Iterator[list[str]]:
    """Each combination of the factors' values as overrides; a factor that the overrides set has their value only."""
    given = parse_overrides(overrides)
    free = [[f"{path}={value}" for value in values] for path, values in factors.items() if path not in given]
    for combination in product(*free):
        yield [*combination, *overrides]


WIDTH = 120
"""Of a table in a file, in characters: as many as it needs."""


def show(outcomes: Sequence[Outcome]) -> None:
    """Print a row each, and below the rows what each has beside its ratio."""
    rows = [outcome.cells() for outcome in outcomes]
    titles = list(dict.fromkeys(title for row in rows for title in row if title != "beside"))
    made = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*(row.get(title, "") for title in titles))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(made)
    for row in rows:
        if row.get("beside"):
            console.print(f"  {row['case']}: {row['beside']}", markup=False, soft_wrap=True)


def as_json(outcomes: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in outcomes]


def main(measure: Callable[[Sequence[str], int | None], Iterator[Outcome]], doc: str | None) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="of both sides; else the benchmark's own number")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the run's configuration")
    arguments = parser.parse_args()
    outcomes = list(measure(arguments.overrides, arguments.rounds))
    show(outcomes)
    print(json.dumps(as_json(outcomes)))
