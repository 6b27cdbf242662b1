"""What the comparisons of a claim ask of the runs, kind by kind: from the words of a study file to parts with their intervals."""

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

from reglab.report import comparisons
from reglab.report.columns import ITS, Condition, Treatment, meets, of_base, typed, written
from reglab.report.comparisons import Blocks, Pair
from reglab.report.design import (
    BestClaim,
    Champion,
    Claim,
    Design,
    DifferenceClaim,
    Kinds,
    Pairwise,
    RatioClaim,
    SoonerClaim,
    ThresholdClaim,
    TrendClaim,
)
from reglab.report.measures import MEASURES, POINTS, Kind
from reglab.report.parts import ANYTHING, MOST, Claimed, Compared, Part
from reglab.report.stats import Estimate, Share
from reglab.report.study import Study


@dataclass(frozen=True)
class Asked:
    """One comparison as the file has it: what must be seen, in words, and how it is looked for."""

    rule: str
    look: Callable[[], Sequence[Compared]]


def asked_of(kinds: Kinds, question: str | None, study: Study) -> Iterator[Asked]:
    """What a claim asks, comparison by comparison."""
    runs = Evidence(study, question)
    for _, comparison in kinds.comparisons():
        match comparison:
            case DifferenceClaim() | RatioClaim():
                yield Asked(_rule_of_pairs(comparison, study.design), partial(_pairwise, comparison, runs))
            case TrendClaim():
                yield Asked(_rule_of_trend(comparison, study.design), partial(_trend, comparison, runs))
            case BestClaim():
                yield Asked(_rule_of_best(comparison, study.design), partial(_best, comparison, runs))
            case SoonerClaim():
                between, other = (_say_all(study.design, each) for each in (comparison.between, comparison.other))
                rule = f"{between} reaches the target sooner than {other}, in over half of the cases"
                yield Asked(rule, partial(_sooner, comparison, runs))
            case ThresholdClaim():
                yield Asked(_rule_of_threshold(comparison, study.design), partial(_threshold, comparison, runs))


# Levels.


def expanded(condition: Condition) -> list[Condition]:
    """One condition for each combination of the levels that a condition lists."""
    return [dict(zip(condition, ((level,) for level in levels), strict=True)) for levels in product(*condition.values())]


def say(design: Design, condition: Condition) -> str:
    """Levels in words."""
    said = [" or ".join(filter(None, (design.by_name[name].say(typed(level)) for level in levels))) for name, levels in condition.items()]
    return " · ".join(filter(None, said)) or " · ".join(level for levels in condition.values() for level in levels)


def _say_all(design: Design, condition: Condition) -> str:
    return " and ".join(say(design, each) for each in expanded(condition))


@dataclass(frozen=True)
class Evidence:
    """The runs that may speak to a claim."""

    study: Study
    question: str | None

    def at(self, at: Condition, diverged: bool = False) -> list[comparisons.Treated]:
        """Return the runs that have these levels and have ended, with those that diverged where asked for."""
        asked = next((each for each in self.study.design.questions if each.name == self.question), None)
        return list(self.study.ended(asked, at, diverged))

    def blocks(self, at: Condition, levels: Sequence[Condition], diverged: bool = False) -> Blocks:
        """Runs in blocks of what they have in common, one for each of some levels (by its place)."""
        rest = rest_of(self.study.design, {column for level in levels for column in level})
        places: dict[Treatment, int | None] = {}

        def place(treated: Treatment) -> int | None:
            if treated not in places:
                found = [number for number, level in enumerate(levels) if meets(treated, level, self.study.base)]
                places[treated] = found[0] if found else None
            return places[treated]

        return comparisons.in_blocks(self.at(at, diverged), place, lambda treated: tuple(treated[name] for name in rest))


def rest_of(design: Design, columns: Iterable[str]) -> list[str]:
    """The columns that runs must have in common where they are compared in some: the factors that those do not look at.

    Where they look at one side of a factor (its number of layers), the other sides, too.
    """
    columns, rest = set(columns), []
    covered = {factor for name in columns for factor in _factors_in(design, name)}
    sides = {design.by_name[name].sources[0] for name in columns if design.by_name[name].kind in ("count", "same")}
    for name, column in design.by_name.items():
        is_side = column.kind in ("count", "same") and column.sources[0] in sides
        if (column.is_factor and name not in covered) or (is_side and name not in columns):
            rest.append(name)
    return rest


def _factors_in(design: Design, name: str) -> set[str]:
    column = design.by_name[name]
    return {name} if column.is_factor else {factor for source in column.sources for factor in _factors_in(design, source)}


# Kinds.


def _pairwise(asked: Pairwise, runs: Evidence) -> list[Compared]:
    kind = MEASURES[asked.of]
    return [
        pair(kind, runs, asked.at, one, other, _range_of(asked, kind)) for one in expanded(asked.between) for other in expanded(asked.other)
    ]


def _range_of(asked: Pairwise, kind: Kind) -> Claimed:
    if asked.within is not None:
        nothing = 0 if kind.unit == POINTS else 1
        return Claimed(nothing - asked.within, nothing + asked.within)
    low, high = asked.at_least, asked.at_most
    return Claimed(-math.inf if low is None else low, math.inf if high is None else high)


def pair(kind: Kind, runs: Evidence, at: Condition, one: Condition, other: Condition, claimed: Claimed) -> Compared:
    """What level `one` has more than `other`, in points, or how many times as long it takes, on one machine (the geometric mean)."""
    design = runs.study.design
    what = f"{kind.words}, {say(design, one)} against {say(design, other)}" + (f", {say(design, at)}" if at else "")
    blocks = runs.blocks(at, (one, other), diverged=kind.of is MEASURES["time_to_target/seconds"].of)
    scale = _percent if kind.unit == POINTS else _times
    if kind.unit == POINTS:
        found = comparisons.difference(blocks, 0, 1, kind.of)
    else:
        found = comparisons.log_ratio(blocks, 0, 1, kind.of)
        blocks = comparisons.alike(blocks, 0, 1)
    if found is None:
        return Compared(Part(what, kind.unit, None, None, None, 0, None), frozenset())
    low, high = (None if bound is None else scale(bound) for bound in (found.low, found.high))
    paired = comparisons.pairs(blocks, 0, 1, kind.of)
    each = tuple(
        100 * (pair.one - pair.other) if kind.unit == POINTS else pair.one / pair.other
        for pair in paired
        if kind.unit == POINTS or max(pair.one, pair.other) < math.inf
    )
    part = Part(what, kind.unit, scale(found.mean), low, high, found.n, claimed.holds(low, high), claimed=claimed, each=each)

    def interval(confidence: float) -> tuple[float, float] | None:
        bounds = found.interval(confidence)
        return None if bounds is None else (scale(bounds[0]), scale(bounds[1]))

    return Compared(part, _ids(paired), claimed, interval)


def _percent(fraction: float) -> float:
    return 100 * fraction


def _times(logarithm: float) -> float:
    return math.exp(min(logarithm, 700))  # beyond, a float overflows


def _trend(asked: TrendClaim, runs: Evidence) -> list[Compared]:
    """Each level against the one before it; of times to the target, all of them as cases of one share."""
    levels, kind = expanded(asked.over), MEASURES[asked.of]
    nothing = 0 if kind.unit == POINTS else 1
    claimed = Claimed(low=nothing) if asked.direction == "rises" else Claimed(high=nothing)
    if asked.of != "time_to_target/seconds":
        return [pair(kind, runs, asked.at, later, before, claimed) for before, later in pairwise(levels)]
    steps = [(later, before) if asked.direction == "falls" else (before, later) for before, later in pairwise(levels)]
    ((column, values),) = asked.over.items()
    when = "sooner" if asked.direction == "falls" else "later"
    what = f"{runs.study.design.by_name[column].title} {', '.join(values)}: each reaches the target {when} than the one before"
    return [_share_sooner(what, runs, asked.at, steps, each_seed=False)]


def _sooner(asked: SoonerClaim, runs: Evidence) -> list[Compared]:
    design = runs.study.design
    return [
        _share_sooner(
            f"{say(design, one)} reaches the target sooner than {say(design, other)}",
            runs,
            asked.at,
            [(one, other)],
            asked.cases == "seeds",
        )
        for one in expanded(asked.between)
        for other in expanded(asked.other)
    ]


def _share_sooner(what: str, runs: Evidence, at: Condition, steps: Sequence[tuple[Condition, Condition]], each_seed: bool) -> Compared:
    """In how many cases the first level reaches the target sooner: in most of the seeds in which either does, on one machine.

    Or, with `each_seed`, of each seed apart: where configurations alone are too few to decide anything.
    """
    cases: dict[Hashable, list[Pair]] = {}
    for number, (one, other) in enumerate(steps):
        blocks = comparisons.alike(runs.blocks(at, (one, other), diverged=True), 0, 1)
        for pair in comparisons.pairs(blocks, 0, 1, MEASURES["time_to_target/seconds"].of):
            if min(pair.one, pair.other) < math.inf:
                cases.setdefault((pair.rest, number, pair.first.seed if each_seed else None), []).append(pair)
    share = Share.of([2 * sum(pair.one < pair.other for pair in pairs) > len(pairs) for pairs in cases.values()])
    if share is None:
        return _no_share(what)
    part = Part(what, "share", share.mean, share.low, share.high, share.n, MOST.holds(share.low, share.high), claimed=MOST)
    return Compared(part, _ids(pair for pairs in cases.values() for pair in pairs))


def _best(asked: BestClaim, runs: Evidence) -> list[Compared]:
    """In how many cases a level has the best of all, for each level that is claimed to.

    A case is what the blocks of several seeds have in common; a level's value is the mean over the seeds that have all levels.
    """
    design, kind, levels = runs.study.design, MEASURES[asked.of], expanded(asked.among)
    cases: dict[Hashable, list[list[float]]] = {}
    ids: set[str] = set()
    for (case, _), there in runs.blocks(asked.at, levels).items():
        values = [kind.of(there[place]) for place in range(len(levels)) if place in there]
        known = [value for value in values if value is not None]
        if len(known) == len(levels):
            cases.setdefault(case, []).append(known)
            ids |= {record.run_id for record in there.values()}
    better = 1 if kind.unit == POINTS and asked.of != "gap" else -1
    means = [[better * statistics.fmean(values) for values in zip(*seeds, strict=True)] for seeds in cases.values()]
    found = []
    for level in expanded(asked.level):
        place = levels.index(level)
        what = f"{say(design, level)} has the best {kind.words} of {len(levels)}"
        share = Share.of([all(mean[place] > value for other, value in enumerate(mean) if other != place) for mean in means])
        holds = almost_every(share, asked.in_at_least) if share else None
        if share is None:
            found.append(_no_share(what))
            continue
        part = Part(what, "share", share.mean, share.low, share.high, share.n, holds, claimed=Claimed(low=asked.in_at_least))
        found.append(Compared(part, frozenset(ids)))
    return found


def almost_every(share: Share, least: float = 0.75) -> bool | None:
    """Whether a share of cases is as large as is claimed, and surely above one half; None where its interval leaves it open."""
    if share.high < least:
        return False
    return True if share.mean >= least and share.low > 1 / 2 else None


def _threshold(asked: ThresholdClaim, runs: Evidence) -> list[Compared]:
    """The mean of each level: over its arms, of a single arm over its seeds."""
    kind, found = MEASURES[asked.of], []
    claimed = Claimed(-math.inf if asked.at_least is None else asked.at_least, math.inf if asked.at_most is None else asked.at_most)
    unit, scale = ("percent", 100) if kind.unit == POINTS else ("seconds", 1)
    mean_of = Estimate.of_times if kind.unit != POINTS else partial(Estimate.of_shares, lowest=-1.0 if asked.of == "gap" else 0.0)
    for level in expanded(asked.between):
        arms: dict[Treatment, list[float]] = {}
        ids = set()
        for treated, record in runs.at({**asked.at, **level}):
            if (value := kind.of(record)) is not None and value < math.inf:
                arms.setdefault(treated, []).append(value)
                ids.add(record.run_id)
        values = (
            [statistics.fmean(each) for each in arms.values()] if len(arms) > 1 else [value for each in arms.values() for value in each]
        )
        mean, what = mean_of(values), f"{kind.words} with {say(runs.study.design, level)}"
        part = Part(what, unit, None, None, None, 0, None)
        if mean:
            low, high = (None if bound is None else scale * bound for bound in (mean.low, mean.high))
            each = tuple(scale * value for seeds in arms.values() for value in seeds)
            part = Part(what, unit, scale * mean.mean, low, high, mean.n, claimed.holds(low, high), claimed=claimed, each=each)
        found.append(Compared(part, frozenset(ids), claimed))
    return found


def _no_share(what: str) -> Compared:
    return Compared(Part(what, "share", None, None, None, 0, None), frozenset())


def _ids(pairs: Iterable[Pair]) -> frozenset[str]:
    return frozenset(record.run_id for pair in pairs for record in (pair.first, pair.second))


# Rules in words.


def _rule_of_pairs(asked: Pairwise, design: Design) -> str:
    kind = MEASURES[asked.of]
    between, other = (_say_all(design, each) for each in (asked.between, asked.other))
    unit = "points" if kind.unit == POINTS else "times"
    if asked.within is not None:
        said = f"within {asked.within:g} points of" if kind.unit == POINTS else f"within {100 * asked.within:g} % of"
        claimed = f"{said} that with"
    else:
        limits = [(word, bound) for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
        bounds = [f"{word} {bound:{'+' if bound and kind.unit == POINTS else ''}g}" for word, bound in limits]
        claimed = f"{' and '.join(bounds)} {unit} {'against' if kind.unit == POINTS else 'that with'}"
    why = f" ({asked.because})" if asked.because else ""
    return f"{kind.words} with {between} {claimed} {other}{why}" + (f", {say(design, asked.at)}" if asked.at else "")


def _rule_of_trend(asked: TrendClaim, design: Design) -> str:
    levels = ", ".join(say(design, each) for each in expanded(asked.over))
    return f"{MEASURES[asked.of].words} {asked.direction} from each to the next of {levels}"


def _rule_of_best(asked: BestClaim, design: Design) -> str:
    among = ", ".join(say(design, each) for each in expanded(asked.among))
    share = f"in at least {100 * asked.in_at_least:g} % of the cases, and the interval of that share above one half"
    return f"{say(design, asked.level)} has the best {MEASURES[asked.of].words} of {among}, {share}"


def _rule_of_threshold(asked: ThresholdClaim, design: Design) -> str:
    unit = "%" if MEASURES[asked.of].unit == POINTS else "s"
    bounds = [f"{word} {bound:g} {unit}" for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
    why = f" ({asked.because})" if asked.because else ""
    return f"{MEASURES[asked.of].words} with {_say_all(design, asked.between)} {' and '.join(bounds)}{why}"


# Beside a claim.


def beside(claim: Claim, study: Study) -> str:
    """What is told of a claim and has no say in it."""
    said = []
    parts = [each.part for asked in asked_of(claim.beside, claim.question, study) for each in asked.look() if each.part.n]
    if parts:
        said.append("Beside it: " + "; ".join(f"{part.what}: {part.in_words()}" for part in parts) + ".")
    said += [text for champion in claim.beside.champion if (text := _champion(champion, study))]
    if published := [f"{MEASURES[each.of].words} with {say(study.design, each.at)} {each.value}" for each in claim.published]:
        ours = [_ours(each.of, each.at, Evidence(study, claim.question)) for each in claim.published]
        both = [f"{theirs} (here {mine})" if mine else theirs for theirs, mine in zip(published, ours, strict=True)]
        said.append(f"Published: {'; '.join(both)}.")
    return " ".join(said)


def _ours(of: str, at: Condition, runs: Evidence) -> str | None:
    values = [value for _, record in runs.at(at) if (value := MEASURES[of].of(record)) is not None and value < math.inf]
    if not values:
        return None
    return f"{100 * statistics.fmean(values):.1f} %" if MEASURES[of].unit == POINTS else f"{statistics.fmean(values):.1f} s"


def _champion(asked: Champion, study: Study) -> str | None:
    """The best of some arms, and what it has more than the first of others that there is."""
    design, kind, runs = study.design, MEASURES[asked.of], Evidence(study, asked.question)
    values: dict[Treatment, list[float]] = {}
    labels: dict[Treatment, str] = {}
    for treated, record in runs.at(asked.at):
        if any(meets(treated, each, study.base) for each in asked.among) and (value := kind.of(record)) is not None:
            values.setdefault(treated, []).append(value)
            labels[treated] = study.labels[record.run_id]
    if not values:
        return None
    best = max(values, key=lambda treated: (statistics.fmean(values[treated]), labels[treated]))
    said = f"The best of {len(values)} other arms, {labels[best]}, comes to {statistics.fmean(values[best]):.1%}"
    its = {name: (written(best[name]),) for name in design.names}
    for condition in asked.against:
        rival = {
            name: its[name] if list(levels) == [ITS] else [of_base(level, study.base[name]) for level in levels]
            for name, levels in condition.items()
        }
        part = pair(kind, runs, asked.at, its, rival, ANYTHING).part
        if part.n:
            return f"{said}: {part.in_words()} against {say(design, rival)}."
    return said + "."
