"""The eleven claims of the study as code: what each says, and whether these runs bear it out.

A claim is made of parts: comparisons of two treatments over pairs of runs of one seed that have all else in common. What a part
claims is a range. It holds where its 95 % interval lies inside the range, fails where it lies outside, and is open otherwise.
The interval is over cases (what pairs of several seeds have in common), of a single case over its seeds. A part may also be a
share of cases. A claim is reproduced where all of its parts hold, and not where any fails.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reglab.arms import FINAL_ARMS
from reglab.config import RunConfig
from reglab.report import stats
from reglab.report.factors import CONFIGURATIONS, Factors, factors
from reglab.report.stats import Blocks, Measure, Share, Treated
from reglab.report.study import Study


class Verdict(StrEnum):
    reproduced = "reproduced"
    not_reproduced = "not reproduced"
    undecided = "undecided"


@dataclass(frozen=True)
class Part:
    """One comparison of a claim. `holds`: None where its interval leaves it open, or no run speaks to it."""

    what: str
    unit: str  # "points" (of per cent), "share" (of cases) or "ratio" (of times)
    estimate: float | None
    low: float | None
    high: float | None
    n: int  # cases, or, of a single case, seeds
    holds: bool | None


@dataclass(frozen=True)
class Finding:
    """What came out for one claim, in a sentence (`effect`) and in its parts; `note` adds what has no say in the verdict.

    `figure` is the stem of the figure that shows it, `runs` are the ids of the runs behind it.
    """

    number: int
    claim: str
    rule: str
    verdict: Verdict
    effect: str
    parts: tuple[Part, ...]
    runs: tuple[str, ...]
    figure: str
    note: str = ""


@dataclass(frozen=True)
class Claimed:
    """The range in which a part is claimed to lie, in the part's unit."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, low: float | None, high: float | None) -> bool | None:
        """Whether an interval lies inside; None where it lies across a limit, and where there is none."""
        if low is None or high is None:
            return None
        if self.low < low and high < self.high:
            return True
        return False if high < self.low or self.high < low else None


HIGHER, LOWER = Claimed(low=0), Claimed(high=0)  # points
COMPARABLE = Claimed(-2, 2)
ABOUT_15 = Claimed(10, 20)
LONGER, SHORTER = Claimed(low=1), Claimed(high=1)  # ratios of times
AS_LONG = Claimed(0.95, 1.05)
MOST = Claimed(low=1 / 2)  # a share
ALMOST_EVERY = 3 / 4

THRESHOLD = 0.02
"""The clip threshold at which the study compares AGC with BN."""

AGC = "AGC"


@dataclass(frozen=True)
class Compared:
    """A part with the ids of the runs behind it. `claimed` and `at`, its interval at a confidence, are those of a mean's."""

    part: Part
    runs: frozenset[str]
    claimed: Claimed | None = None
    at: Callable[[float], tuple[float, float] | None] | None = None

    def among(self, size: int) -> Part:
        """As one of so many parts of a claim. Any that fails decides it, so to fail takes a wider interval (Bonferroni's)."""
        if self.part.holds is not False or self.claimed is None or self.at is None:
            return self.part
        wide = self.at(1 - (1 - stats.CONFIDENCE) / size)
        return self.part if wide and self.claimed.holds(*wide) is False else replace(self.part, holds=None)


@dataclass(frozen=True)
class Outcome:
    """The parts of a claim. `effect`: in a sentence; None: as its parts say. `note` has no say in the verdict."""

    parts: Sequence[Compared]
    effect: str | None = None
    note: str = ""


def judge(study: Study) -> list[Finding]:
    """Every claim, in the study's order. Runs that failed or could not be built speak to none."""
    return [_finding(number, claim, claim.look(study)) for number, claim in enumerate(CLAIMS, start=1)]


def _finding(number: int, claim: "Claim", outcome: Outcome) -> Finding:
    parts = tuple(compared.among(len(outcome.parts)) for compared in outcome.parts)
    runs = sorted(frozenset[str]().union(*(compared.runs for compared in outcome.parts)))
    effect = outcome.effect or _in_short(parts)
    return Finding(number, claim.text, claim.rule, _verdict(parts), effect, parts, tuple(runs), claim.figure, outcome.note)


def _verdict(parts: Sequence[Part]) -> Verdict:
    if any(part.holds is False for part in parts):
        return Verdict.not_reproduced
    return Verdict.reproduced if parts and all(part.holds for part in parts) else Verdict.undecided


# Kinds of parts.


def _points(what: str, blocks: Blocks, one: Hashable, other: Hashable, measure: Measure, claimed: Claimed) -> Compared:
    """What level `one` has more than `other` of an accuracy, in points."""
    runs = _ids(stats.pairs(blocks, one, other, measure))
    if (found := stats.difference(blocks, one, other, measure)) is None:
        return _none(what, "points")
    low, high = _scaled(found.low), _scaled(found.high)
    part = Part(what, "points", 100 * found.mean, low, high, found.n, claimed.holds(low, high))
    return Compared(part, runs, claimed, lambda confidence: _both(_scaled, found.interval(confidence)))


def _both(scale: Callable[[float | None], float | None], interval: tuple[float, float] | None) -> tuple[float, float] | None:
    low, high = (None, None) if interval is None else map(scale, interval)
    return None if low is None or high is None else (low, high)


def _scaled(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _ratio(what: str, blocks: Blocks, one: Hashable, other: Hashable, measure: Measure, claimed: Claimed) -> Compared:
    """How many times as long level `one` takes as `other`, on one machine: the geometric mean."""
    runs = _ids(stats.pairs(stats.alike(blocks, one, other), one, other, measure))
    if (found := stats.log_ratio(blocks, one, other, measure)) is None:
        return _none(what, "ratio")
    low, high = _times(found.low), _times(found.high)
    part = Part(what, "ratio", _times(found.mean), low, high, found.n, claimed.holds(low, high))
    return Compared(part, runs, claimed, lambda confidence: _both(_times, found.interval(confidence)))


def _times(logarithm: float | None) -> float | None:
    return None if logarithm is None else math.exp(min(logarithm, 700))  # beyond, a float overflows


def _sooner(what: str, blocks: Blocks, levels: Iterable[tuple[Hashable, Hashable]], each_seed: bool = False) -> Compared:
    """In how many cases the first level reaches the target sooner: in most of the seeds in which either does, on one machine.

    Or, with `each_seed`, of each seed apart: where configurations alone are too few to decide anything.
    """
    cases: dict[Hashable, list[stats.Pair]] = {}
    for one, other in levels:
        for pair in stats.pairs(stats.alike(blocks, one, other), one, other, stats.seconds_to_target):
            if min(pair.one, pair.other) < math.inf:
                cases.setdefault((pair.rest, one, other, pair.first.seed if each_seed else None), []).append(pair)
    share = Share.of([2 * sum(pair.one < pair.other for pair in pairs) > len(pairs) for pairs in cases.values()])
    if share is None:
        return _none(what, "share")
    part = Part(what, "share", share.mean, share.low, share.high, share.n, MOST.holds(share.low, share.high))
    return Compared(part, _ids(pair for pairs in cases.values() for pair in pairs))


def _best(what: str, blocks: Blocks, level: Hashable, levels: Sequence[Hashable]) -> Compared:
    """In how many cases `level` has the best test accuracy of all `levels`.

    A case is what the blocks of several seeds have in common; a level's accuracy is the mean over the seeds that have all levels.
    """
    cases: dict[Hashable, list[list[float]]] = {}
    runs: set[str] = set()
    for (case, _), there in blocks.items():
        accuracies = [stats.test_accuracy(there[each]) for each in levels if each in there]
        known = [accuracy for accuracy in accuracies if accuracy is not None]
        if len(known) == len(levels):
            cases.setdefault(case, []).append(known)
            runs |= {there[each].run_id for each in levels}
    means = [dict(zip(levels, map(statistics.fmean, zip(*seeds, strict=True)), strict=True)) for seeds in cases.values()]
    share = Share.of([all(mean[level] > mean[each] for each in levels if each != level) for mean in means])
    if share is None:
        return _none(what, "share")
    return Compared(Part(what, "share", share.mean, share.low, share.high, share.n, almost_every(share)), frozenset(runs))


def almost_every(share: Share) -> bool | None:
    """Whether a share of cases is what the study calls almost every; None where its interval leaves it open."""
    if share.high < ALMOST_EVERY:
        return False
    return True if share.mean >= ALMOST_EVERY and share.low > 1 / 2 else None


def _none(what: str, unit: str) -> Compared:
    return Compared(Part(what, unit, None, None, None, 0, None), frozenset())


def _ids(pairs: Iterable[stats.Pair]) -> frozenset[str]:
    return frozenset(record.run_id for pair in pairs for record in (pair.first, pair.second))


# Parts in words.


def _in_short(parts: Sequence[Part]) -> str:
    """How many comparisons hold and how many fail, and the one that decides: the worst that fails, else the closest."""
    spoken = [part for part in parts if part.n]
    if not spoken:
        return "No run speaks to it."
    if len(parts) == 1:
        return f"{_capital(parts[0].what)}: {_in_words(parts[0])}."
    holding, failing = (sum(part.holds is how for part in parts) for how in (True, False))
    silent = len(parts) - len(spoken)
    said = f"{holding} of {len(parts)} comparisons hold"
    said += f", {silent} {'has' if silent == 1 else 'have'} no runs" if silent else ""
    if failing:
        worst = max((part for part in spoken if part.holds is False), key=_distance)
        return f"{said}, {failing} {'fails' if failing == 1 else 'fail'}: {worst.what}: {_in_words(worst)}."
    closest = min(spoken, key=lambda part: (part.holds is True, _distance(part)))
    return f"{said}. {'The closest is' if holding == len(parts) else 'Open is'} {closest.what}: {_in_words(closest)}."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


_NOTHING = {"points": 0.0, "share": 0.5, "ratio": 1.0}
"""What an estimate is where there is no difference."""


def _distance(part: Part) -> float:
    """From no difference at all."""
    return abs((part.estimate or 0.0) - _NOTHING[part.unit])


def _in_words(part: Part) -> str:
    """`+3.1 points (+1.0 to +5.2)`."""
    assert part.estimate is not None
    if part.unit == "share":
        return f"in {round(part.estimate * part.n)} of {part.n} cases"
    form, unit = ("+.1f", "points") if part.unit == "points" else (".2f", "times")
    interval = "one pair" if part.low is None else f"{part.low:{form}} to {part.high:{form}}"
    return f"{part.estimate:{form}} {unit} ({interval})".replace("-", "\N{MINUS SIGN}")


def _of_cases(best: Compared, level: float) -> str:
    assert best.part.estimate is not None
    return f"{level:g} is the best of the three in {round(best.part.estimate * best.part.n)} of {best.part.n} cases."


# The claims.


_BN = {0: "no BN layer", 1: "one BN layer", 2: "two BN layers", 3: "three BN layers"}


def _dropout_probability(study: Study) -> Outcome:
    runs = study.varying({"batchnorm", "dropout"})
    blocks = stats.in_blocks(runs, lambda f: f.probability, lambda f: (f.batchnorm, f.layers))
    best = _best("0.2 has the best test accuracy", blocks, 0.2, (0.2, 0.5, 0.8))
    return Outcome([best], _of_cases(best, 0.2) if best.part.n else None)


_LAYERS = {1: "one layer", 2: "two layers", 3: "three layers"}
_FEWER_LAYERS = (
    # probability, the number of layers that is claimed to be better, than
    (0.2, 2, 1),
    (0.2, 2, 3),
    (0.5, 1, 2),
    (0.5, 2, 3),
    (0.8, 1, 2),
    (0.8, 2, 3),
)


def _dropout_layers(study: Study) -> Outcome:
    runs = [(treatment, record) for treatment, record in study.varying({"batchnorm", "dropout"}) if treatment.probability is not None]
    blocks = stats.in_blocks(runs, lambda f: (f.probability, f.layers), lambda f: f.batchnorm)
    return Outcome(
        [
            _points(f"at {p}, {_LAYERS[better]} against {_LAYERS[worse]}", blocks, (p, better), (p, worse), stats.test_accuracy, HIGHER)
            for p, better, worse in _FEWER_LAYERS
        ]
    )


def _batchnorm_layers(study: Study) -> Outcome:
    blocks = _by_batchnorm(study.varying({"batchnorm", "dropout"}))
    return Outcome([_points(f"{_BN[2]} against {_BN[k]}", blocks, 2, k, stats.test_accuracy, HIGHER) for k in (0, 1, 3)])


def _batchnorm_speed(study: Study) -> Outcome:
    blocks = _by_batchnorm(study.varying({"batchnorm", "dropout"}, diverged=True))
    return Outcome([_sooner("the network with one more BN layer reaches the target sooner", blocks, [(1, 0), (2, 1), (3, 2)])])


def _by_batchnorm(runs: Iterable[Treated]) -> Blocks:
    """Of Figures 5 and 6: by dropout configuration and seed."""
    return stats.in_blocks(runs, lambda f: f.batchnorm if f.dropout in CONFIGURATIONS else None, lambda f: f.dropout)


def _with_agc(study: Study) -> list[Treated]:
    """Of Figure 7."""
    runs = study.varying({"clip", "dropout", "batch_size"})
    return [(treatment, record) for treatment, record in runs if treatment.clip is not None and treatment.is_at_02]


def _agc_time(study: Study) -> Outcome:
    runs = _with_agc(study)
    sizes = stats.in_blocks(runs, lambda f: f.batch_size, lambda f: (f.clip, f.dropout))
    clips = stats.in_blocks(runs, lambda f: f.clip, lambda f: (f.batch_size, f.dropout))
    larger = [(128, 64), (256, 128)]
    other = [(0.01, THRESHOLD), (0.04, THRESHOLD)]
    return Outcome(
        [
            *(_ratio(f"training time at batch {a} against {b}", sizes, a, b, stats.train_seconds, SHORTER) for a, b in larger),
            *(_ratio(f"training time at clip {a} against {b}", clips, a, b, stats.train_seconds, AS_LONG) for a, b in other),
        ]
    )


def _clip_threshold(study: Study) -> Outcome:
    blocks = stats.in_blocks(_with_agc(study), lambda f: f.clip, lambda f: (f.batch_size, f.dropout))
    best = _best("clip 0.02 has the best test accuracy", blocks, THRESHOLD, (0.01, THRESHOLD, 0.04))
    return Outcome([best], _of_cases(best, THRESHOLD) if best.part.n else None)


def _agc_or_batchnorm(treatment: Factors) -> Hashable:
    """AGC at the study's threshold, or the number of BN layers without AGC."""
    if treatment.clip is None:
        return treatment.batchnorm
    return AGC if treatment.clip == THRESHOLD and not treatment.batchnorm else None


_REPLACING = frozenset({"batchnorm", "dropout", "clip"})


def _replacement(runs: Iterable[Treated]) -> Blocks:
    """Of Figure 8: by dropout configuration and seed."""
    return stats.in_blocks(runs, lambda f: _agc_or_batchnorm(f) if f.is_at_02 else None, lambda f: f.dropout)


def _agc_against_batchnorm_time(study: Study) -> Outcome:
    finished, ended = _replacement(study.varying(_REPLACING)), _replacement(study.varying(_REPLACING, diverged=True))
    longer = [_ratio(f"training time of AGC against {_BN[k]}", finished, AGC, k, stats.train_seconds, LONGER) for k in (1, 2, 3)]
    later = [_sooner(f"AGC is later to the target than {_BN[k]}", ended, [(k, AGC)], each_seed=True) for k in (0, 1, 2)]
    both = [_ratio(_BN[k], ended, AGC, k, stats.seconds_to_target, LONGER).part for k in (0, 1, 2)]
    ratios = ", ".join(f"{_in_words(part)} as long as with {part.what}" for part in both if part.n)
    return Outcome(longer + later, note=f"Where both reach the target, AGC takes {ratios}." if ratios else "")


def _agc_against_batchnorm_accuracy(study: Study) -> Outcome:
    plain = _replacement((treatment, record) for treatment, record in study.varying(_REPLACING) if not treatment.layers)
    return Outcome([_points(f"AGC against {_BN[k]}", plain, AGC, k, stats.test_accuracy, COMPARABLE) for k in (1, 2, 3)])


TRANSFORMATIONS = "transformations"


def _augmentation(treatment: Factors) -> Hashable:
    """On the network of Figure 10."""
    if (treatment.batchnorm, treatment.dropout) != (2, (0.2, 0.2, 0.2)):
        return None
    if treatment.transformations:
        return None if treatment.cutout else TRANSFORMATIONS
    return treatment.cutout


def _transformations(study: Study) -> Outcome:
    runs = study.varying({"batchnorm", "dropout", "transformations", "cutout"})
    blocks = stats.in_blocks(runs, _augmentation, lambda f: None)
    names = {0: "none", 2: "cutout 2", 8: "cutout 8", 16: "cutout 16"}
    gaps = [
        _points(f"overfitting with transformations against {name}", blocks, TRANSFORMATIONS, images, stats.gap, LOWER)
        for images, name in names.items()
    ]
    times = [
        _ratio(f"training time with transformations against {names[images]}", blocks, TRANSFORMATIONS, images, stats.train_seconds, SHORTER)
        for images in (8, 16)
    ]
    return Outcome(gaps + times)


def _regularization(treatment: Factors) -> Hashable:
    return treatment.batchnorm, treatment.dropout, treatment.transformations, treatment.cutout


_FINAL = {_regularization(factors(RunConfig(arm=name))): name for name in FINAL_ARMS}
_BASELINE, _CHAMPION = "baseline", "asymmetric_augmentation"


def _final_models(study: Study) -> Outcome:
    runs = study.varying({"batchnorm", "dropout", "transformations", "cutout"})
    blocks = stats.in_blocks(runs, lambda f: _FINAL.get(_regularization(f)), lambda f: None)
    others = [arm for arm in FINAL_ARMS if arm != _CHAMPION]
    better = [_points(f"test accuracy against {arm}", blocks, _CHAMPION, arm, stats.test_accuracy, HIGHER) for arm in others]
    tighter = [_points(f"overfitting against {arm}", blocks, _CHAMPION, arm, stats.gap, LOWER) for arm in others]
    gain = _points(f"test accuracy gained over {_BASELINE}", blocks, _CHAMPION, _BASELINE, stats.test_accuracy, ABOUT_15)
    return Outcome([*better, *tighter, gain], _champion(better, tighter, gain.part))


def _champion(better: Sequence[Compared], tighter: Sequence[Compared], gain: Part) -> str:
    ahead = [(each.part.estimate or 0) > 0 for each in better if each.part.n]
    below = [(each.part.estimate or 0) < 0 for each in tighter if each.part.n]
    if not ahead + below:
        return _in_short([])
    said = f"{_CHAMPION} has a better test accuracy than {_count(ahead)} other models, and overfits less than {_count(below)}"
    return said + (f"; test accuracy against the baseline: {_in_words(gain)}." if gain.n else ".")


def _count(cases: Sequence[bool]) -> str:
    return f"{sum(cases)} of {len(cases)}"


def _replaceable(study: Study) -> Outcome:
    blocks = _replacement(study.varying(_REPLACING))
    part = _points(f"{_BN[2]} against AGC", blocks, 2, AGC, stats.test_accuracy, HIGHER)
    return Outcome([part], note=_rescue(study))


@dataclass(frozen=True)
class Recipe:
    optimizer: str
    standardize: bool

    def __str__(self) -> str:
        return self.optimizer + (" with standardized weights" if self.standardize else "")


def _rescue(study: Study) -> str:
    """How near the best recipe with AGC comes to two BN layers: the work that the study left to others."""
    runs = [run for run in study.varying({"batchnorm", "clip", "optimizer", "standardize"}) if run[0].batchnorm in (0, 2)]
    blocks = stats.in_blocks(runs, _recipe, lambda f: None)
    default = Recipe(Factors().optimizer, False)
    accuracies: dict[Recipe, list[float]] = {}
    for treatment, record in runs:
        level, accuracy = _recipe(treatment), stats.test_accuracy(record)
        if level and level[0] == AGC and level[1] != default and accuracy is not None:
            accuracies.setdefault(level[1], []).append(accuracy)
    if not accuracies:
        return ""
    best = max(accuracies, key=lambda recipe: (statistics.fmean(accuracies[recipe]), str(recipe)))
    said = f"The best of {len(accuracies)} other recipes with AGC, {best}, comes to {statistics.fmean(accuracies[best]):.1%}"
    for rival in (Recipe(best.optimizer, False), default):
        part = _points("", blocks, (AGC, best), (2, rival), stats.test_accuracy, HIGHER).part
        if part.n:
            return f"{said}: {_in_words(part)} against two BN layers under {rival}."
    return said + "."


def _recipe(treatment: Factors) -> tuple[Hashable, Recipe] | None:
    level = _agc_or_batchnorm(treatment)
    return None if level is None else (level, Recipe(treatment.optimizer, treatment.standardize))


@dataclass(frozen=True)
class Claim:
    """`rule`: what must be seen for the claim to count as reproduced. `look`: how it is looked for."""

    text: str
    rule: str
    figure: str
    look: Callable[[Study], Outcome]


_EVERY = "in at least three quarters of the cases, and the interval of that share above one half; a case is a mean over seeds"
_TARGET = "a run that never reaches it, or diverged, is later than any that does; runs of one machine of which at least one reaches it"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Dropout at 0.2 beats 0.5 and 0.8 in almost every case.",
        f"The best test accuracy of the three, {_EVERY}: a number of BN and of dropout layers.",
        "figure_2",
        _dropout_probability,
    ),
    Claim(
        "At 0.2, two dropout layers are best; at larger probabilities, fewer are better.",
        "Test accuracy, over BN layers and seeds: two above one and three at 0.2; one above two, and two above three, at 0.5 and 0.8.",
        "figure_3",
        _dropout_layers,
    ),
    Claim(
        "Two BN layers give the best accuracy.",
        "Test accuracy with two above none, one and three, over dropout configurations and seeds.",
        "figure_5",
        _batchnorm_layers,
    ),
    Claim(
        "More BN layers reach the target sooner.",
        f"One layer more is sooner in over half of the cases, a dropout configuration and two numbers of layers, in most seeds; {_TARGET}.",
        "figure_6",
        _batchnorm_speed,
    ),
    Claim(
        "With AGC a larger batch trains faster; the clip threshold does not change the time.",
        "Training time at batch 128 below 64, and 256 below 128; at clip 0.01 and 0.04 within 5 % of that at 0.02; on one machine.",
        "figure_7",
        _agc_time,
    ),
    Claim(
        "Clip threshold 0.02 is best in almost every case.",
        f"The best test accuracy of the three, {_EVERY}: a batch size and a dropout configuration.",
        "figure_7",
        _clip_threshold,
    ),
    Claim(
        "AGC takes more training time than BN, and slightly longer to the target than no, one or two BN layers.",
        f"Training time above that with one, two and three BN layers; later to the target in over half of the pairs; {_TARGET}.",
        "figure_8",
        _agc_against_batchnorm_time,
    ),
    Claim(
        "Without dropout, AGC's accuracy is comparable with BN's.",
        "Test accuracy within 2 points of that with one, two and three BN layers.",
        "figure_8",
        _agc_against_batchnorm_accuracy,
    ),
    Claim(
        "Simple transformations reduce overfitting the most, in less time than cutout 8 or 16.",
        "Training minus test accuracy below that of none and of cutout 2, 8 and 16; training time below that of cutout 8 and 16.",
        "figure_10",
        _transformations,
    ),
    Claim(
        "Asymmetric dropout with augmentation is the best final model, with the least overfitting, about 15 points over the baseline.",
        "Test accuracy above, and overfitting below, that of each of the five others; 10 to 20 points gained over the baseline.",
        "figure_11",
        _final_models,
    ),
    Claim(
        "AGC cannot replace BN entirely.",
        "Test accuracy with two BN layers above that with AGC, over none to three dropout layers at 0.2 and seeds.",
        "figure_8",
        _replaceable,
    ),
)
"""In the study's order: the first is claim 1."""
