"""How often verdicts are wrong, and how wide their intervals are: simulated studies, judged by Student's t and by the moderated one.

No device is measured but the last row's. Coverage is that of a difference of two arms of a study of six (or as the row says), of 95 %
intervals; widths are means over that of Student's paired interval, which is what three seeds of two arms alone can have at best. Wrong
verdicts are counted where nothing is different: among eleven claims of a study that is looked at after every round of seeds, and among
fifty changes that a search asks about one after the other. The peers: Welch's and Student's t at 95 %, and the gate that most search loops
have, "is the mean of three seeds higher".

A round is a thousand studies, a fifth of that of eleven claims, and a twentieth of whole searches.

    reglab bench verdicts [--rounds N]
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import t

from benchmarks.measure import Simulated
from reglab.statistics.contrast import contrast
from reglab.statistics.families import decided, share_of
from reglab.statistics.looks import levels
from reglab.statistics.moderation import Array

ROUNDS = 10
CLAIMS, PARTS, CHANGES = 11, 4, 50
EVERY_ROUND = tuple(range(3, 13))
LOOKS = (3, 5, 8, 12)
RUNS = 10_000


@dataclass(frozen=True)
class Scenario:
    """`spread`: standard deviations of the arms, by a word: equal, or so many of their logarithm (`log 0.5`), or the first arm's against 1
    of all others' (`first 3`), or that of two arms beside those that are compared (`wild 20`), of a third (`third 20`), or of every other
    arm (`half 2`). `common`: the correlation of runs of one seed. `tails`: of the noise, degrees of freedom of Student's t.
    """

    name: str
    arms: int = 6
    seeds: int = 3
    spread: str = "equal"
    common: float = 0.0
    tails: float | None = None

    def drawn(self, studies: int, rng: np.random.Generator) -> Array:
        """Results (studies, arms, seeds), without a difference between the arms."""
        shape = (studies, self.arms, self.seeds)
        noise = rng.standard_normal(shape) if self.tails is None else rng.standard_t(self.tails, shape)
        kind, _, size = self.spread.partition(" ")
        deviations = np.ones((studies, self.arms, 1))
        if kind == "log":
            deviations = np.exp(float(size) * rng.standard_normal(deviations.shape))
        elif kind == "first":
            deviations[:, 0] = float(size)
        elif kind == "wild":
            deviations[:, -2:] = float(size)
        elif kind == "third":
            deviations[:, -self.arms // 3 :] = float(size)
        elif kind == "half":
            deviations[:, ::2] = float(size)
        shared = rng.standard_normal((studies, 1, self.seeds))
        results: Array = deviations * (np.sqrt(1 - self.common) * noise + np.sqrt(self.common) * shared)
        return results


SCENARIOS = (
    Scenario("equal variances"),
    Scenario("equal, 10 arms", arms=10),
    Scenario("equal, 5 seeds", seeds=5),
    Scenario("unequal: their logarithm spreads by 0.3", spread="log 0.3"),
    Scenario("unequal: by 0.5", spread="log 0.5"),
    Scenario("half of the arms twice as noisy", spread="half 2"),
    Scenario("12 arms, of which two that are not compared 20 times as noisy", arms=12, spread="wild 20"),
    Scenario("9 arms, of which three that are not compared 20 times as noisy", arms=9, spread="third 20"),
    Scenario("heavy tails: t with 5", tails=5),
    Scenario("heavy tails: t with 3", tails=3),
    Scenario("seeds correlate by 0.3", common=0.3),
    Scenario("seeds correlate by 0.6", common=0.6),
    Scenario("seeds correlate by 0.9", common=0.9),
    Scenario("few: 4 arms", arms=4),
    Scenario("few: 3 arms", arms=3),
    Scenario("few: 2 arms, no prior", arms=2),
    Scenario("the prior does not fit: one of the two, twice as noisy as all", spread="first 2"),
    Scenario("the prior does not fit: one of the two, three times", spread="first 3"),
)


def two_of(arms: int) -> Array:
    return np.array([1.0, -1.0, *[0.0] * (arms - 2)])


def coverage(scenario: Scenario, studies: int, seed: int = 0) -> dict[str, float]:
    """Shares of the intervals that hold the truth, and the mean width over that of Student's."""
    results = scenario.drawn(studies, np.random.default_rng(seed))
    found = contrast(results, two_of(scenario.arms))
    low, high = found.interval(0.05)
    pairs, n = results[:, 0] - results[:, 1], scenario.seeds
    student = t.isf(0.025, n - 1) * pairs.std(axis=-1, ddof=1) / np.sqrt(n)
    errors = results[:, :2].var(axis=-1, ddof=1) / n
    welch = t.isf(0.025, errors.sum(axis=-1) ** 2 / (errors**2 / (n - 1)).sum(axis=-1)) * np.sqrt(errors.sum(axis=-1))
    away = np.abs(pairs.mean(axis=-1))
    return {
        "moderated covers %": 100 * float(((low <= 0) & (high >= 0)).mean()),
        "Welch's": 100 * float((away <= welch).mean()),
        "Student's": 100 * float((away <= student).mean()),
        "half-width over Student's": float((high - low).mean() / 2 / student.mean()),
        "over Welch's": float((high - low).mean() / 2 / welch.mean()),
        "paired %": 100 * float(found.paired.mean()),
    }


def p_values(results: Array, looks: Sequence[int], weights: Array) -> Array:
    """Of one contrast at each look (studies, looks)."""
    return np.stack([contrast(results[..., :seeds], weights).p() for seeds in looks], axis=-1)


def wrong_claims(studies: int, looks: Sequence[int] = EVERY_ROUND, seed: int = 1) -> dict[str, float]:
    """In how many studies of eleven claims, each of an arm against the plain one, any verdict is wrong where nothing is different."""
    results = np.random.default_rng(seed).standard_normal((studies, CLAIMS + 1, looks[-1]))
    weights = [np.eye(CLAIMS + 1)[claim] - np.eye(CLAIMS + 1)[0] for claim in range(1, CLAIMS + 1)]
    p = np.stack([p_values(results, looks, each) for each in weights], axis=-1)

    def levels_of(alpha: float) -> Array:
        return np.array(levels(looks, alpha, looks[-1], CLAIMS + 1))[:, None]

    alone = levels_of(0.05)
    places, _ = decided(lambda alpha: p < levels_of(alpha), CLAIMS, 0.05)
    pairs = [results[:, 1:, :seeds] - results[:, :1, :seeds] for seeds in looks]
    student = np.stack(
        [2 * t.sf(np.abs(d.mean(-1)) / d.std(-1, ddof=1) * np.sqrt(d.shape[-1]), d.shape[-1] - 1) < 0.05 for d in pairs], axis=1
    )
    return {
        "any wrong %, Holm": 100 * float((places >= 0).any(axis=-1).mean()),
        "a claim alone %": 100 * float((p < alone).any(axis=1).mean()),
        "any by Student's 95 % at each look": 100 * float(student.any(axis=(1, 2)).mean()),
        "a claim alone by that": 100 * float(student.any(axis=1).mean()),
    }


def wrong_by_its_spread(scenario: Scenario, studies: int, looks: Sequence[int] = LOOKS, seed: int = 4) -> dict[str, float]:
    """How often a claim on two arms that do not differ is decided, alone and at its first look, and what that look may err by."""
    results = replace(scenario, seeds=looks[-1]).drawn(studies, np.random.default_rng(seed))
    at = np.array(levels(looks, 0.05, looks[-1], scenario.arms))
    wrong = p_values(results, looks, two_of(scenario.arms)) < at
    return {
        "a claim alone %": 100 * float(wrong.any(axis=1).mean()),
        "at its first look %": 100 * float(wrong[:, 0].mean()),
        "which may err by %": 100 * float(at[0]),
    }


def wrong_parts(studies: int, looks: Sequence[int] = LOOKS, seed: int = 3) -> dict[str, float]:
    """How often a claim of some comparisons, each that one arm is better than another, is decided wrongly, where one that holds at a look
    has no more runs: reproduced though one of them is not so, and contradicted though all of them just are."""
    at = np.array(levels(looks, 0.05, looks[-1], 2 * PARTS))
    found = []
    for others in (5.0, 0.0):  # standard deviations by which all but the first are better
        results = np.random.default_rng(seed).standard_normal((studies, 2 * PARTS, looks[-1]))
        results[:, 2::2] += others
        held, failed = np.zeros((studies, PARTS), dtype=bool), np.zeros(studies, dtype=bool)
        for look, level in zip(looks, at, strict=True):
            for part in range(PARTS):
                each = contrast(results[..., :look], np.eye(2 * PARTS)[2 * part] - np.eye(2 * PARTS)[2 * part + 1])
                held[:, part] |= ~failed & (each.p_inside(0.0, np.inf) < level)
                failed |= ~held.all(axis=1) & ~held[:, part] & (PARTS * each.p_outside(0.0, np.inf) < level)
        found.append((100 * float(held.all(axis=1).mean()), 100 * float(failed.mean())))
    (reproduced, _), (_, contradicted) = found
    return {"reproduced though one is not so %": reproduced, "contradicted though all just are %": contradicted}


def wrong_gate(searches: int, changes: int = CHANGES, gain: float = 0.0, seed: int = 2) -> dict[str, float]:
    """How often a search over changes, each asked with 3, 5, 8 and 12 seeds against the plain arm, accepts any that does nothing.

    With a `gain`, in standard deviations, of the last change only: how often that one is accepted, and after how many seeds on the average.
    """
    results = np.random.default_rng(seed).standard_normal((searches, changes + 1, LOOKS[-1]))
    results[:, -1] += gain
    accepted = np.zeros((searches, changes), dtype=bool)
    seeds = np.full(searches, float(LOOKS[-1]))
    for change in range(changes if gain else 1, changes + 1):
        weights = np.zeros(change + 1)
        weights[[0, change]] = -1, 1
        at = np.array(levels(LOOKS, 0.05 * share_of(change), arms=change + 1))
        for look, level in zip(LOOKS, at, strict=True):
            low = contrast(results[:, : change + 1, :look], weights).interval(level)[0]
            new = (low > 0) & ~accepted[:, change - 1]
            accepted[:, change - 1] |= new
            if change == changes:
                seeds[new] = look
    higher = results[:, 1:, :3].mean(axis=-1) > results[:, :1, :3].mean(axis=-1)
    if gain:
        return {f"accepted %, asked as number {changes}": 100 * float(accepted[:, -1].mean()), "seeds": float(seeds.mean())}
    return {
        "any accepted %": 100 * float(accepted.any(axis=-1).mean()),
        "any by the plain gate": 100 * float(higher.any(axis=-1).mean()),
        "changes accepted by the plain gate %": 100 * float(higher.mean()),
    }


def seconds_of_judge(rounds: int) -> list[float]:
    """Of `reglab judge` on a table of 10,000 runs, the process and its imports included."""
    with tempfile.TemporaryDirectory() as folder:
        table, chance = Path(folder) / "runs.csv", random.Random(0)
        rows = (f"{arm},{seed},{chance.gauss(0.8, 0.01):.6f}" for arm in range(RUNS // 5) for seed in range(5))
        table.write_text("arm,seed,acc\n" + "\n".join(rows) + "\n", encoding="utf-8")
        spent = []
        for _ in range(rounds):
            start = time.perf_counter()
            words = ["judge", "arm=1 > arm=2 in acc by 0.5", "--from", str(table), "--group-by", "arm"]
            done = subprocess.run([sys.executable, "-m", "reglab", *words], check=False, capture_output=True)
            assert done.returncode in (0, 3, 4), done.stderr
            spent.append(time.perf_counter() - start)
        return sorted(spent)


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Simulated]:
    studies = 1000 * (rounds or ROUNDS)
    for scenario in SCENARIOS:
        yield Simulated("verdicts", scenario.name, studies, coverage(scenario, studies))
    for scenario in SCENARIOS:
        if scenario.spread.startswith("first"):
            yield Simulated("verdicts", f"looks at 3, 5, 8 and 12 seeds; {scenario.name}", studies, wrong_by_its_spread(scenario, studies))
    some = studies // 5
    yield Simulated("verdicts", f"{CLAIMS} claims, nothing different, looked at with 3, 4, …, 12 seeds", some, wrong_claims(some))
    yield Simulated("verdicts", f"a claim of {PARTS} comparisons, each looked at until it holds", some, wrong_parts(some))
    searches = studies // 20
    yield Simulated("verdicts", f"a gate, {CHANGES} changes that do nothing", searches, wrong_gate(searches))
    for gain in (2.0, 3.0):
        for changes in (1, 10, CHANGES):
            facts = wrong_gate(searches, changes, gain)
            yield Simulated("verdicts", f"a gate, a change that gains {gain:g} standard deviations", searches, facts)
    spent = seconds_of_judge(min(rounds or ROUNDS, 5))
    facts = {"seconds": spent[len(spent) // 2], "least": spent[0], "most": spent[-1]}
    yield Simulated("verdicts", f"`reglab judge` on {RUNS:,} runs", len(spent), facts)


if __name__ == "__main__":
    from benchmarks import measure as shared

    shared.main(measure, __doc__)
