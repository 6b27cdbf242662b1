"""How many runs a study takes until its claims are settled, against the fixed plan that has every seed of all arms.

The course of `reglab study run --until-settled` is gone through with runs that are made up: each arm has the accuracy, overfitting and
times that a committed report has of it, or that the published study claims, and its seeds differ by chance. What is counted: runs,
and what ended each claim. The peers: the plan of equal size (as many seeds of every arm as the last look has), and of equal power: the
fewest seeds of every arm with which one look at the end settles as many claims.

A round is a study.

    reglab bench settling [--rounds N]
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Simulated
from reglab.report import stats
from reglab.report.claims import claim_looks
from reglab.report.claims.findings import Verdict
from reglab.report.claims.plan import LOOKS
from reglab.report.studies.study import Study
from reglab.report.studies.study_file import PUBLISHED, read
from reglab.settling.arms import PlannedArm, arms_of
from reglab.settling.rounds import Course, Stand, Wanted
from reglab.sweep import spec
from reglab.tracking.fetch import fetch
from reglab.tracking.record import RunRecord

ROUNDS = 10
SPREAD = 1.0
"""Points between seeds, of an arm of which one run tells; and per cent, of times."""

REPORTS = Path(__file__).parents[1] / "reports"
DESIGN = read(PUBLISHED).model_copy(update={"looks": LOOKS})


@dataclass(frozen=True)
class World:
    """What runs come to. `truths`: a record of each arm, by its name, that has what it comes to without chance; `spreads`: in points."""

    truths: Mapping[str, RunRecord]
    spreads: Mapping[str, float]

    @classmethod
    def of_report(cls, name: str) -> "World":
        """As a committed report has it: means over its seeds, and their spread, of which one arm with wild seeds has its own."""
        by_arm: dict[str, list[RunRecord]] = {}
        for record in fetch(str(REPORTS / name), history=False):
            if stats.counts(record):
                by_arm.setdefault(stats.arm(record), []).append(record)
        spreads = {}
        for arm, records in by_arm.items():
            accuracies = [record.summary.test_accuracy for record in records if record.summary and record.summary.test_accuracy is not None]
            spreads[arm] = 100 * statistics.stdev(accuracies) if len(accuracies) > 2 else SPREAD
        return cls({arm: _mean(records) for arm, records in by_arm.items()}, spreads)

    def arms(self) -> dict[str, PlannedArm]:
        """Those of the report, as a sweep would have them."""
        found = {}
        for name, record in self.truths.items():
            config = stats.built(record)
            assert config
            found[name] = PlannedArm(name, record.label, config, {}, tuple(range(LOOKS[0])))
        return found

    def run(self, arm: PlannedArm, seed: int, chance: np.random.Generator) -> RunRecord:
        """One run, by chance."""
        truth, spread = self.truths[arm.name], self.spreads[arm.name]
        assert truth.summary
        there, noise = truth.summary, spread / 100 * chance.standard_normal(2)
        slower = math.exp(SPREAD / 100 * chance.standard_normal())
        told = {
            "test_accuracy": float(np.clip((there.test_accuracy or 0) + noise[0], 0, 1)),
            "gap": (there.gap or 0) + noise[1],
            "time_train_seconds": there.time_train_seconds * slower,
            "time_to_target_seconds": there.time_to_target_seconds and there.time_to_target_seconds * slower,
        }
        config = truth.config | {"train": truth.config["train"] | {"seed": seed}}
        return truth.model_copy(
            update={"run_id": f"{arm.name}-s{seed}", "seed": seed, "config": config, "summary": there.model_copy(update=told)}
        )

    def alike(self) -> "World":
        """The same arms, of which none differs from another."""
        first = next(iter(self.truths.values()))
        return World(
            {arm: record.model_copy(update={"summary": first.summary}) for arm, record in self.truths.items()},
            dict.fromkeys(self.spreads, SPREAD),
        )


def _mean(records: Sequence[RunRecord]) -> RunRecord:
    """A record with the means of some; of times to the target only where most came to it."""
    summaries = [record.summary for record in records if record.summary]
    reached = [each.time_to_target_seconds for each in summaries if each.time_to_target_seconds is not None]
    told = {
        "test_accuracy": statistics.fmean(each.test_accuracy or 0 for each in summaries),
        "gap": statistics.fmean(each.gap or 0 for each in summaries),
        "time_train_seconds": statistics.fmean(each.time_train_seconds for each in summaries),
        "time_to_target_seconds": statistics.fmean(reached) if 2 * len(reached) > len(summaries) else None,
        "time_to_target_reached": 2 * len(reached) > len(summaries),
        "time_cpu_share": None,
    }
    return records[0].model_copy(update={"summary": summaries[0].model_copy(update=told)})


def as_claimed(like: RunRecord) -> tuple[World, dict[str, PlannedArm]]:
    """Effects as the published study tells them, on all arms of its grids: from 69 % of the plain network to 85 % and more."""
    arms = arms_of(spec.read(file) for file in DESIGN.files)
    truths = {}
    for name, arm in arms.items():
        levels = DESIGN.treatment(_acting(arm))
        layers, probability = levels["layers"], levels["probability"]
        assert isinstance(layers, int)
        has_agc, batchnorm = levels["clip"] != "none", int(str(levels["batchnorm"]))
        moved, cutout, batch = levels["transformations"] == "basic", int(str(levels["cutout"])), int(str(levels["batch_size"]))
        dropped = {0.2: (0, 1, 3, 2), 0.5: (0, -1, -3, -5), 0.8: (0, -4, -7, -9)}.get(
            probability if isinstance(probability, float) else 0, (0, 2, 3, 4)
        )[layers]
        clip = {0.01: 3, 0.02: 5, 0.04: 4}.get(levels["clip"] if isinstance(levels["clip"], float) else 0, 0)
        test = 69 + (0, 5, 7, 5)[batchnorm] + clip + dropped + 6 * moved + bool(cutout)
        gap = 25 - 2 * layers - 8 * moved - 2 * bool(cutout)
        seconds = (
            1000
            * (1 + 0.1 * batchnorm)
            * {64: 1.5, 128: 1.2}.get(batch, 1.0)
            * (1.5 if has_agc else 1)
            * (1 + 0.02 * cutout)
            * (1 + 0.1 * moved)
        )
        target = None if probability == 0.8 else 600.0 if has_agc else 500.0 - 50 * batchnorm
        assert like.summary
        summary = like.summary.model_copy(
            update={
                "test_accuracy": test / 100,
                "gap": gap / 100,
                "time_train_seconds": seconds,
                "time_to_target_seconds": target,
                "time_to_target_reached": target is not None,
            }
        )
        truths[name] = like.model_copy(
            update={"run_id": name, "identity": name, "label": arm.label, "config": arm.config.model_dump(), "summary": summary}
        )
    return World(truths, dict.fromkeys(truths, SPREAD)), arms


def _acting(arm: PlannedArm) -> dict[str, Any]:
    from reglab.config import as_given, effective

    return as_given(arm.config) | effective(arm.config)


def gone_through(course: Course, world: World, chance: np.random.Generator) -> tuple[list[RunRecord], Counter[str]]:
    """All runs of a study until nothing is asked for, and how its claims stand then."""
    records: list[RunRecord] = []
    while (now := course.next(records)).runs:
        records += _carried_out(now.runs, world, chance)
    return records, Counter(str(claim.stand) for claim in now.claims if claim.arms)


def _carried_out(runs: Iterable[Wanted], world: World, chance: np.random.Generator) -> list[RunRecord]:
    return [world.run(wanted.arm, wanted.seed, chance) for wanted in runs]


def of_equal_power(course: Course, world: World, settled: float, chance: np.random.Generator) -> int:
    """The fewest seeds of every arm with which one look settles so many claims of a study."""
    records: list[RunRecord] = []
    for seeds in range(2, LOOKS[-1] + 1):
        new = range(seeds) if seeds == 2 else [seeds - 1]
        records += [world.run(course.arms[name], seed, chance) for name in sorted(course.asked) for seed in new]
        found = claim_looks.standings(Study.of(records, course.design.model_copy(update={"looks": (seeds,)})))
        if sum(each.verdict in (Verdict.reproduced, Verdict.contradicted) for each in found) >= settled:
            return seeds
    return LOOKS[-1]


def facts_of(course: Course, world: World, studies: int, power: bool = True) -> dict[str, Any]:
    """What `studies` studies of a world come to; `power`: also against the plan of equal power."""
    whole = len(course.asked) * LOOKS[-1]
    spent, stands, equal = list[float](), Counter[str](), list[float]()
    for seed in range(studies):
        records, ended = gone_through(course, world, np.random.default_rng(seed))
        spent.append(len(records) / whole)
        stands += ended
        if power:
            equal.append(of_equal_power(course, world, ended[Stand.settled], np.random.default_rng(1000 + seed)) / LOOKS[-1])
    facts: dict[str, Any] = {
        "runs over the plan of equal size": statistics.fmean(spent),
        "least": min(spent),
        "most": max(spent),
        "claims": sum(stands.values()) // studies,
        "settled": stands[Stand.settled] / studies,
        "given up": stands[Stand.futile] / studies,
    }
    return facts | ({"over the plan of equal power": statistics.fmean(spent) / statistics.fmean(equal)} if power else {})


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Simulated]:
    studies = rounds or ROUNDS
    digits, h200 = World.of_report("digits_quick"), World.of_report("cifar10_jpeg_h200")
    claimed, arms = as_claimed(next(iter(digits.truths.values())))
    cases: list[tuple[str, Callable[[], Course], World]] = [
        ("effects as the study claims them", lambda: Course(DESIGN, arms), claimed),
        ("effects as in reports/digits_quick", lambda: Course(DESIGN, digits.arms()), digits),
        ("effects as in reports/cifar10_jpeg_h200", lambda: Course(DESIGN, h200.arms()), h200),
    ]
    for case, course, world in cases:
        yield Simulated("settling", case, studies, facts_of(course(), world, studies))
    yield Simulated("settling", "nothing differs", studies, facts_of(Course(DESIGN, arms), claimed.alike(), studies, power=False))


if __name__ == "__main__":
    from benchmarks import measure as shared

    shared.main(measure, __doc__)
