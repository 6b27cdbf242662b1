"""The arms of a study's sweeps, each with the seeds that it may be given."""

import itertools
import shlex
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from reglab.config import RunConfig, flat
from reglab.errors import UserError
from reglab.report import stats
from reglab.report.claims import planned
from reglab.report.studies.design import Design
from reglab.report.studies.study import Study
from reglab.sweep.ledger import words_of
from reglab.sweep.spec import SweepSpec
from reglab.tracking.record import RunRecord

SEED = "train.seed"


@dataclass(frozen=True)
class PlannedArm:
    """An arm that sweep files ask for. `name`: what reports call it; `values`: its keys without the seed, as the first file has them.

    `seeds`: those that the files give it, as they rise; beyond them it gets the next numbers, up to `most` in all where a file has
    `replicates`.
    """

    name: str
    label: str
    config: RunConfig
    values: Mapping[str, Any]
    seeds: tuple[int, ...]
    most: int | None = None

    def further(self, there: Set[int], count: int, looked: int = 0) -> list[int]:
        """The seeds with which an arm that has some comes to so many, or to as many as it may have.

        `looked`: of how many a look was taken. Runs are looked at in the order of their seeds, so none is added before those that were.
        """
        count = min(count, self.most or count)
        floor = sorted(there)[looked - 1] if 0 < looked <= len(there) else -1
        above = max((*self.seeds, *there), default=-1) + 1
        wanted = chain((seed for seed in self.seeds if seed not in there and seed > floor), itertools.count(above))
        return list(islice(wanted, max(count - len(there), 0)))

    def cell(self, seed: int) -> str:
        """All that a run of it is, as the value of the key `cell`."""
        values = dict(self.values)
        preset = [word for word in shlex.split(str(values.pop("cell", ""))) if not word.startswith(f"{SEED}=")]
        return " ".join([*map(shlex.quote, preset), words_of({**values, SEED: seed})])

    def planned(self) -> RunRecord:
        """A record that stands for its runs while there are none."""
        return RunRecord(
            run_id=f"planned-{self.name}", sweep="", label=self.label, identity=self.name, seed=0, config=self.config.model_dump()
        )


def arms_to_time(design: Design, specs: Iterable[SweepSpec], all_of_them: bool) -> dict[str, RunConfig]:
    """The arms of some sweeps, or those whose times the study's claims compare, and the plain one, by what reports call an arm.

    Raises UserError where there is none.
    """
    arms = arms_of(specs)
    plan = study_of(design, arms)
    asked = frozenset(arms) if all_of_them else planned.timed_by(design, plan)
    if not asked:
        why = "has no grid with arms" if not arms else "claims nothing of times (`of: time/train_seconds`, say)"
        raise UserError(f"{design.path}: it {why}; --only SWEEP,… times all arms of a grid")
    plain = {name for name in arms if (treated := plan.treated[arms[name].planned().run_id]) and not plan.departures[treated]}
    return {name: arm.config for name, arm in arms.items() if name in asked | plain}


def study_of(design: Design, arms: Mapping[str, PlannedArm], turns: Iterable[RunRecord] = ()) -> Study:
    """The study that runs of some arms will be, by a run of each, and by those of some turns that are in its set-up."""
    return planned.of_plan(design, [arm.planned() for arm in arms.values()], turns)


def arms_of(specs: Iterable[SweepSpec]) -> dict[str, PlannedArm]:
    """The arms of all grids among some sweeps of `reglab train`, by their names; of one that several ask for, with the seeds of all.

    What a search will draw is not known before its time.
    """
    found: dict[str, PlannedArm] = {}
    for spec in specs:
        if spec.method != "grid" or spec.program:
            continue
        most = spec.replicates.most if spec.replicates else None
        for values, asked in spec.cells:
            config = asked.config
            assert config
            name = stats.arm_of(config)
            if name not in found:
                own = {key: value for key, value in flat(values).items() if key != SEED}
                found[name] = PlannedArm(name, config.label, config, own, (), most)
            arm = found[name]
            found[name] = replace(arm, seeds=tuple(sorted({*arm.seeds, asked.seed})), most=arm.most or most)
    return found
