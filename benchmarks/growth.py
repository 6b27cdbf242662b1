"""How cost grows: seconds and peak memory against epochs, images, batch size, cutout copies, and runs in a report.

No peer but proportion: each point is measured in a fresh process, and the exponent is the slope of log seconds against log
size over the three largest. 1 is linear; above 1.1 says so. A report is built from an archive, once of runs that are more and
more seeds of the study's arms, once of draws of a search, each an arm of its own. Writes growth.png beside this file.

    reglab bench growth [--rounds N] [KEY=VALUE …]
"""

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import torch
import vl_convert

from benchmarks import measure as shared
from benchmarks.measure import Outcome
from reglab.config import RunConfig, identity, run_id, with_overrides
from reglab.techniques.batchnorm.declared import TECHNIQUE as BATCHNORM
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Summary
from reglab.tracking.store import ARCHIVE, write_archive
from reglab.training.memory import device_peak_gb

FIGURE = Path(__file__).with_name("growth.png")
ROUNDS = 1
"""Of each point; the quickest counts."""

WORSE = 1.1
DEFAULTS = ("model.width=16", "augment.policy=basic")


@dataclass(frozen=True)
class Point:
    size: int
    seconds: float
    peak_gb: float  # of GPU memory on a GPU, else resident


@dataclass(frozen=True)
class Growth:
    """One cost against one size."""

    benchmark: str
    case: str
    points: tuple[Point, ...]
    exponent: float  # of seconds
    memory_exponent: float
    device: str
    torch_version: str

    @classmethod
    def of(cls, case: str, points: Sequence[Point], device: torch.device) -> "Growth":
        sizes = [point.size for point in points]
        seconds, memory = slope(sizes, [point.seconds for point in points]), slope(sizes, [point.peak_gb for point in points])
        return cls("growth", case, tuple(points), seconds, memory, shared.device_name(device), torch.__version__)

    @property
    def is_worse_than_linear(self) -> bool:
        return self.exponent > WORSE

    def cells(self) -> dict[str, str]:
        first, last = self.points[0], self.points[-1]
        return {
            "case": self.case,
            "from": f"{first.size:,}: {shared.duration(first.seconds)}, {first.peak_gb:.2f} GB",
            "to": f"{last.size:,}: {shared.duration(last.seconds)}, {last.peak_gb:.2f} GB",
            "exponent": f"{self.exponent:z.2f}",
            "of memory": f"{self.memory_exponent:z.2f}",
            "": "worse than linear" if self.is_worse_than_linear else "",
        }


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Of log cost against log size, by least squares over the three largest."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(costs[-3:]), 1)[0])


def train(words: list[str], images: int, epochs: int) -> tuple[float, float]:
    """Seconds of so many epochs, warmed up, and peak memory in GB."""
    from benchmarks.epoch import Ours

    device = shared.device()
    config = shared.configured(words)
    side = Ours(config, shared.random_images(images), device)
    return sum(shared.timed(side.epoch, device) for _ in range(epochs)), device_peak_gb(device)


def report(folder: Path) -> tuple[float, float]:
    """Seconds of reading the archive in `folder` and building its report, and peak resident memory in GB."""
    from reglab.report import build
    from reglab.report.studies import study_file
    from reglab.tracking.fetch import fetch

    def whole() -> None:
        build.build(fetch(str(folder)), folder / "report", str(folder), {}, study_file.read(study_file.PUBLISHED))

    cpu = torch.device("cpu")
    return shared.timed(whole, cpu), device_peak_gb(cpu)


def record(config: RunConfig) -> RunRecord:
    """A finished run of this configuration, made up."""
    chance = random.Random(run_id(config))
    test, seconds = 0.6 + 0.05 * BATCHNORM.of(config).layers + chance.gauss(0, 0.01), 3000 * chance.uniform(0.9, 1.1)
    environment = Environment(
        device="a GPU",
        torch="2.15",
        python="3.12",
        threads=8,
        precision="bf16",
        compiled=False,
        reglab="0.1.0",
        commit="abc",
        data="CIFAR-10",
        data_fingerprint="f",
        train_images=50_000,
        test_images=10_000,
    )
    summary = Summary(
        test_accuracy=test,
        val_accuracy=test if config.data.validation else None,
        train_clean_accuracy=test + 0.2,
        gap=0.2,
        time_to_target_reached=test > 0.65,
        time_to_target_seconds=seconds / 3 if test > 0.65 else None,
        time_train_seconds=seconds,
        time_wall_seconds=seconds + 10,
        parameters=23_528_522,
        epochs=200,
    )
    return RunRecord(
        run_id=run_id(config),
        sweep="final",
        label=config.label,
        identity=identity(config),
        seed=config.train.seed,
        config=config.model_dump(mode="json"),
        state=State.finished,
        environment=environment,
        summary=summary,
    )


def seeds_of_arms(count: int) -> list[RunRecord]:
    """More and more seeds of the arms of the study's grids."""
    from reglab.report.studies import study_file
    from reglab.sweep import spec

    sweeps = [spec.read(file) for file in study_file.read(study_file.PUBLISHED).files]
    grids = [RunConfig.parse(values) for sweep in sweeps if sweep.method == "grid" for values in sweep.grid()]
    arms = list({identity(config): config.model_dump(exclude={"arm", "cell"}) for config in grids}.values())
    places = enumerate(islice(cycle(arms), count))
    return [record(RunConfig.parse(with_overrides(arm, [f"train.seed={place // len(arms)}"]))) for place, arm in places]


def draws_of_a_search(count: int) -> list[RunRecord]:
    """Each an arm of its own, chosen among on held-out images."""
    chance = random.Random(0)
    found = []
    for _ in range(count):
        probabilities = {f"p{layer}": chance.uniform(0.1, 0.8) for layer in (1, 2, 3)}
        config = {"data": {"validation": 5000}, "batchnorm": {"layers": 2}, "dropout": {"layers": 3} | probabilities}
        found.append(record(RunConfig.parse(config)))
    return found


def point(size: int, rounds: int, work: Callable[..., tuple[float, float]], *arguments: Any) -> Point:
    """The quickest of so many fresh processes."""
    found = [shared.in_a_process(work, *arguments)[2] for _ in range(rounds)]
    return Point(size, min(seconds for seconds, _ in found), max(memory for _, memory in found))


TRAINING: dict[str, tuple[Sequence[int], Callable[[int], tuple[list[str], int, int]]]] = {
    "epochs of 512 images": ((1, 2, 4, 8, 16), lambda size: (["train.batch_size=128"], 512, size)),
    "images an epoch": ((512, 1024, 2048, 4096, 8192), lambda size: (["train.batch_size=128"], size, 1)),
    "images a batch, four batches": ((32, 64, 128, 256, 512), lambda size: ([f"train.batch_size={size}"], 4 * size, 1)),
    "cutout copies an image, 256 images": (
        (1, 2, 4, 8, 16),
        lambda size: (["train.batch_size=64", "cutout.per=image", f"cutout.images={size}"], 256, 1),
    ),
}
"""For each: the sizes, and the overrides, images and epochs of a size."""

REPORTS = {"seeds of the study's arms in a report": seeds_of_arms, "draws of a search in a report": draws_of_a_search}
RUNS = (10, 100, 1000, 3000, 10_000)


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    drawn = []
    for growth in (*trainings(overrides, rounds or ROUNDS, device), *reports(RUNS, rounds or ROUNDS, device)):
        drawn.append(growth)
        FIGURE.write_bytes(vl_convert.vegalite_to_png(figure(drawn).to_json(), scale=2))
        yield growth


def trainings(overrides: Sequence[str], rounds: int, device: torch.device) -> Iterator[Growth]:
    for case, (sizes, of) in TRAINING.items():
        points = []
        for size in sizes:
            words, images, epochs = of(size)
            points.append(point(size, rounds, train, [*DEFAULTS, *overrides, *words], images, epochs))
        yield Growth.of(case, points, device)


def reports(sizes: Sequence[int], rounds: int, device: torch.device) -> Iterator[Growth]:
    for case, make in REPORTS.items():
        points = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                write_archive(Path(folder) / ARCHIVE, make(size))
                points.append(point(size, rounds, report, Path(folder)))
        yield Growth.of(case, points, device)


def figure(growths: Sequence[Growth]) -> alt.VConcatChart:
    """Seconds above, memory below, a panel a size; the dashed line is proportion, through the last point."""
    rows = [
        alt.hconcat(*(panel(growth, of, title) for growth in growths))
        for of, title in (("seconds", "seconds"), ("peak_gb", "peak memory, GB"))
    ]
    return alt.vconcat(*rows).properties(title=f"{growths[0].device}, torch {growths[0].torch_version}")


def panel(growth: Growth, of: str, title: str) -> alt.LayerChart | alt.FacetChart:
    table = pd.DataFrame([{"size": point.size, "cost": getattr(point, of)} for point in growth.points])
    last = table.iloc[-1]
    table["proportion"] = last["cost"] * table["size"] / last["size"]
    exponent = growth.exponent if of == "seconds" else growth.memory_exponent
    domain = [_below(table["cost"].min()), _above(table["cost"].max())]
    x = alt.X(
        "size:Q",
        title=growth.case,
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(values=list(table["size"]), format=",", grid=False, labelOverlap=False, labelFlush=False),
    )
    y = alt.Scale(type="log", domain=domain)
    base = alt.Chart(table).encode(x=x)
    ideal = base.mark_line(strokeDash=[4, 3], color="#999999", clip=True).encode(y=alt.Y("proportion:Q", title=title, scale=y))
    seen = base.mark_line(point=True, color="#0072B2").encode(y=alt.Y("cost:Q", title=title, scale=y))
    return alt.layer(ideal, seen).properties(width=190, height=150, title=f"exponent {exponent:z.2f}")


def _below(value: float) -> float:
    return 10.0 ** math.floor(math.log10(value))


def _above(value: float) -> float:
    return 10.0 ** math.ceil(math.log10(value))


if __name__ == "__main__":
    shared.main(measure, __doc__)
