"""What is told beside a claim and has no say in its verdict: other comparisons, mean times to the target, what was published."""

import math
import statistics
from collections import Counter

import numpy as np

from reglab.report import stats
from reglab.report.claims.asked import asked_of, better_of, pair, steps
from reglab.report.claims.evidence import Evidence, expanded, say
from reglab.report.comparisons.parts import ANYTHING
from reglab.report.comparisons.seen import Compared
from reglab.report.studies.cells import until_target
from reglab.report.studies.claim_kinds import Champion, Claim, ClaimedComparison, RatioClaim, SoonerClaim, TrendClaim
from reglab.report.studies.columns import ITS, Condition, Treatment, meets, of_base, written
from reglab.report.studies.measures import NUMBER, POINTS, RATIO, TO_TARGET
from reglab.report.studies.study import Study
from reglab.report.writing import numbers
from reglab.statistics.restricted import restricted_difference


def beside(claim: Claim, study: Study) -> str:
    """What is told of a claim and has no say in it."""
    said = []
    compared = [each for asked in asked_of(claim.beside, claim.question, study) for each in asked.look() if each.runs]
    if compared:
        said.append("Beside it: " + "; ".join(f"{each.what}: {_in_words(each)}" for each in compared) + ".")
    said += _restricted(claim, Evidence(study, claim.question))
    said += [text for champion in claim.beside.champion if (text := _champion(champion, study))]
    if published := [f"{study.measure(each.of).words} with {say(study.design, each.at)} {each.value}" for each in claim.published]:
        ours = [_ours(each.of, each.at, Evidence(study, claim.question)) for each in claim.published]
        both = [f"{theirs} (here {mine})" if mine else theirs for theirs, mine in zip(published, ours, strict=True)]
        said.append(f"Published: {'; '.join(both)}.")
    return " ".join(said)


def _in_words(compared: Compared) -> str:
    """With the reason, where it is over several arms of a level."""
    return compared.part().in_words() + f" ({compared.several})" * bool(compared.several)


def _restricted(claim: Claim, runs: Evidence) -> list[str]:
    """How much later one of two levels comes to the target on the average, up to a time of which all runs tell."""
    compared: dict[str, str | None] = {}
    for kinds in (claim, claim.beside):
        for _, asked in kinds.comparisons():
            if asked.of == TO_TARGET:
                for one, other in _levels_of(asked):
                    what = f"{say(runs.study.design, one)} against {say(runs.study.design, other)}"
                    compared.setdefault(" and ".join(sorted(what.split(" against "))), _later(what, runs, asked.at, one, other))
    told = [text for text in compared.values() if text]
    return [f"Restricted mean time to the target, with 95 % intervals: {'; '.join(told)}."] if told else []


def _levels_of(asked: ClaimedComparison) -> list[tuple[Condition, Condition]]:
    match asked:
        case TrendClaim():
            return steps(asked)
        case SoonerClaim() | RatioClaim():
            return [(one, other) for one in expanded(asked.between) for other in expanded(asked.other)]
    return []


def _later(what: str, runs: Evidence, at: Condition, one: Condition, other: Condition) -> str | None:
    """On the machine that most of their runs had to themselves; None where those have no times."""
    there = runs.cases(at, (one, other))
    if there.several:  # an arm would be there as often as it has others on the other side
        return None
    cases = list(there.each.values())
    quiet = (record for levels in cases for each in levels for record in each.values() if stats.is_quiet(record))
    on: Counter[str] = Counter(place for record in quiet if (place := stats.place(record)))
    if not on:
        return None
    place = max(on, key=lambda place: (on[place], place))
    times: tuple[list[tuple[float, bool]], list[tuple[float, bool]]] = ([], [])
    for by_level in cases:
        mine = [[record for record in each.values() if stats.place(record) == place and record.summary] for each in by_level]
        if all(mine):
            for group, records in zip(times, mine, strict=True):
                group.extend(until_target(record) for record in records)
    if not all(any(at < math.inf for at, _ in group) for group in times):
        return None
    found = restricted_difference(*times)
    interval = numbers.between(*found.interval(), signed=True) if 0 < found.error < math.inf else "no interval"
    places = numbers.digits(float(np.diff(found.interval())[0]) / 2 if 0 < found.error < math.inf else None)
    return f"{what} {numbers.plain(found.mean, places, signed=True)} s ({interval}) up to {found.until:.3g} s"


def _ours(of: str, at: Condition, runs: Evidence) -> str | None:
    kind = runs.study.measure(of)
    values = [value for _, record in runs.at(at) if (value := kind.of(record)) is not None and value < math.inf]
    if not values:
        return None
    mean = kind.scale * statistics.fmean(values)
    return {POINTS: f"{mean:.1f} %", RATIO: f"{mean:.1f} s", NUMBER: f"{mean:.3g}"}[kind.unit]


def _champion(asked: Champion, study: Study) -> str | None:
    """The best of some arms, and what it has more than the first of others that there is."""
    design, kind, runs = study.design, study.measure(asked.of), Evidence(study, asked.question)
    values: dict[Treatment, list[float]] = {}
    labels: dict[Treatment, str] = {}
    for treated, record in runs.at(asked.at):
        if any(meets(treated, each, study.base) for each in asked.among) and (value := kind.of(record)) is not None:
            values.setdefault(treated, []).append(value)
            labels[treated] = study.labels[record.run_id]
    if not values:
        return None
    best = max(values, key=lambda treated: (better_of(asked.of, kind) * statistics.fmean(values[treated]), labels[treated]))
    mean = statistics.fmean(values[best])
    came_to = f"{100 * mean:.1f} %" if kind.unit == POINTS else f"{mean:.3g}"
    said = f"The best of {len(values)} other arms, {labels[best]}, comes to {came_to}"
    its = {name: (written(best[name]),) for name in design.names}
    for condition in asked.against:
        rival = {
            name: its[name] if list(levels) == [ITS] else [of_base(level, study.base[name]) for level in levels]
            for name, levels in condition.items()
        }
        compared = pair(asked.of, runs, asked.at, its, rival, ANYTHING)
        if compared.runs:
            return f"{said}: {_in_words(compared)} against {say(design, rival)}."
    return said + "."
