"""What a study will take until its claims are settled, as far as its runs, or an assumption where there are none, foretell it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reglab.report.claims.asked import looked_at
from reglab.report.claims.claim_looks import Foretold
from reglab.report.studies.claim_kinds import Claim
from reglab.report.writing.numbers import counted
from reglab.settling.rounds import ClaimState, Course, Stand
from reglab.statistics.foretold import DRAWS
from reglab.statistics.looks import levels
from reglab.statistics.moderation import Array
from reglab.statistics.tails import t_isf
from reglab.sweep import plan
from reglab.tracking.record import RunRecord, State

EFFECT = 2.0
"""Standard deviations of a seed by which arms are taken to differ of which no run tells."""


@dataclass(frozen=True)
class Outlook:
    """How many seeds each arm is likely to come to: (draws, arms), the arms in the order of `arms`; and how many it has (arms,).

    `basis`: by what, for people.
    """

    arms: Sequence[str]
    seeds: Array
    there: Array
    looks: Sequence[int]
    basis: str

    def runs(self, weights: Mapping[str, float] | None = None) -> tuple[float, float, float, float]:
        """Runs to come, or their weights by arm such as hours.

        In the luckiest of all draws, in the middle one, at most in nine of ten, and with every seed of the plan.
        """
        weight = np.array([(weights or {}).get(name, 1.0) for name in self.arms])
        to_come = np.maximum(self.seeds - self.there, 0) @ weight
        middle, high = np.quantile(to_come, [0.5, 0.9])
        most = float(np.maximum(self.looks[-1] - self.there, 0) @ weight)
        return float(to_come.min()), float(middle), float(high), most


def outlook(course: Course, records: Iterable[RunRecord], effect: float = EFFECT) -> Outlook:
    """What is to come: of a claim that runs speak to, as they foretell it; of another as if all arms that it compares differ by so many
    standard deviations of a seed. That some are given up as unlikely to be settled is not counted."""
    arms = sorted(course.asked)
    place = {name: number for number, name in enumerate(arms)}
    seeds, there = np.zeros((DRAWS, len(arms))), np.zeros(len(arms))
    now, told = course.next(records), 0
    for name, count in now.there.items():
        there[place[name]] = count
    for state in now.claims:
        told += state.foretold is not None
        for comparison, to_come in zip(state.comparisons, _seeds(course, state, effect, now.alpha), strict=True):
            columns = [place[name] for name in comparison.arms]
            seeds[:, columns] = np.maximum(seeds[:, columns], to_come[:, None])
    assumed = sum(state.stand == Stand.open for state in now.claims) - told
    parts = [f"{counted(told, 'open claims')} as {'its' if told == 1 else 'their'} runs foretell it"] * (told > 0)
    compared = "it compares" if assumed == 1 else "they compare"
    parts += [f"{counted(assumed, 'claims')} as if the arms that {compared} differed by {effect:g} standard deviations of a seed"] * (
        assumed > 0
    )
    left = [state for state in now.claims if state.stand not in (Stand.open, Stand.settled)]
    parts = parts or [f"no claim is open{', and all are settled' * (not left)}"]
    parts += [f"claim {state.number} is {state.stand}" + (f" ({state.why})" if state.why else "") for state in left]
    return Outlook(arms, seeds, there, course.looks, "; ".join(parts))


def hours_of(course: Course, records: Iterable[RunRecord]) -> dict[str, float]:
    """Of a run of each arm, from the finished runs on the device on which most finished; nothing where they do not tell of every arm."""
    finished = [record for record in records if record.state == State.finished]
    known, on, found = plan.Paces(), plan.device(finished, None), dict[str, float]()
    for number, record in enumerate(finished):
        known.add(record, number)  # a run may be there twice
    for name in course.asked:
        config = course.arms[name].config
        seconds = known.epoch_seconds(config, on)
        if seconds is None:
            return {}
        found[name] = config.train.epochs * seconds / 3600
    return found


def _seeds(course: Course, state: ClaimState, effect: float, alpha: float) -> Array:
    """How many seeds the arms of each comparison of a claim come to for it: (comparisons, draws)."""
    there: Array = np.tile(np.array([[float(each.now)] for each in state.comparisons]).reshape(-1, 1), DRAWS)
    if state.stand != Stand.open:
        return there
    claim = course.design.claims[state.number - 1]
    found = state.foretold or _assumed(state, claim, course.looks, effect, len(course.asked), alpha)
    for number, each in enumerate(state.comparisons):
        if each.is_open:
            ends = found.decided | found.held[:, number]
            first = np.where(ends.any(axis=-1), ends.argmax(axis=-1), len(state.looks) - 1)
            there[number] = np.clip(np.array(state.looks, dtype=float)[first], each.later[0], each.later[-1])
    return there


def _assumed(state: ClaimState, claim: Claim, looks: Sequence[int], effect: float, arms: int, alpha: float) -> Foretold:
    """What later looks say of a claim of which no run tells, where the arms of each of its comparisons differ by so much, or the two
    differences of an interaction."""
    rng, later = np.random.default_rng(state.number), np.asarray(state.looks)
    at = np.array(levels(state.looks, alpha, looks[-1], max(arms, 2)))
    steps, means = np.diff([0, *later]), np.array([[each.means] for each in claim.claimed for _ in looked_at(each)])
    shape = (DRAWS, len(state.comparisons), len(later))
    sums = np.cumsum(rng.standard_normal(shape) * np.sqrt(means * steps) + effect * steps, axis=-1)
    held = np.logical_or.accumulate(sums / np.sqrt(means * later) > t_isf(at / 2, arms * (later - 1)), axis=-1)
    return Foretold(held.all(axis=1), held)
