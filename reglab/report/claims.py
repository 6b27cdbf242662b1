"""The claims of a study, and whether these runs bear them out.

A claim is made of parts: comparisons of two levels over pairs of runs of one seed that have all else in common. What a part
claims is a range. It holds where its 95 % interval lies inside the range, fails where it lies outside, and is open otherwise.
The interval is over cases (what pairs of several seeds have in common), of a single case over its seeds. A part may also be a
share of cases. A claim is reproduced where all of its parts hold, contradicted where any fails, not tested where no run speaks to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reglab.report import stats
from reglab.report.asked import asked_of, beside
from reglab.report.design import Claim
from reglab.report.parts import Compared, Part
from reglab.report.study import Study


class Verdict(StrEnum):
    """What the runs say of a claim."""

    reproduced = "reproduced"
    contradicted = "contradicted"
    undecided = "undecided"
    not_tested = "not tested"


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


def judge(study: Study) -> list[Finding]:
    """Every claim, in the study's order. Runs that failed or could not be built speak to none."""
    return [_finding(number, claim, study) for number, claim in enumerate(study.design.claims, start=1)]


def _finding(number: int, claim: Claim, study: Study) -> Finding:
    compared = [each for asked in asked_of(claim, claim.question, study) for each in asked.look()]
    parts = tuple(among(each, len(compared)) for each in compared)
    runs = sorted(frozenset[str]().union(*(each.runs for each in compared)))
    rule = claim.rule or _rule(claim, study)
    return Finding(number, claim.text, rule, _verdict(parts), in_short(parts), parts, tuple(runs), claim.figure or "", beside(claim, study))


def among(compared: Compared, size: int) -> Part:
    """A part as one of so many of a claim. Any that fails decides it, so to fail takes a wider interval (Bonferroni's): where that
    leaves it open, it is the interval that is told."""
    if compared.part.holds is not False or compared.at is None or size == 1:
        return compared.part
    confidence = 1 - (1 - stats.CONFIDENCE) / size
    wide = compared.at(confidence)
    if wide and compared.claimed.holds(*wide) is False:
        return compared.part
    low, high = wide or (None, None)
    return replace(compared.part, holds=None, low=low, high=high, confidence=confidence)


def _verdict(parts: Sequence[Part]) -> Verdict:
    if not any(part.n for part in parts):
        return Verdict.not_tested
    if any(part.holds is False for part in parts):
        return Verdict.contradicted
    return Verdict.reproduced if all(part.holds for part in parts) else Verdict.undecided


def _rule(claim: Claim, study: Study) -> str:
    """What must be seen, where the study file does not say it in words."""
    return "; ".join(asked.rule for asked in asked_of(claim, claim.question, study)).capitalize() + "."


def in_short(parts: Sequence[Part]) -> str:
    """How many comparisons hold and how many fail, and the one that decides: the worst that fails, else the closest."""
    spoken = [part for part in parts if part.n]
    if not spoken:
        return "No run speaks to it."
    if len(parts) == 1:
        return f"{parts[0].what[0].upper()}{parts[0].what[1:]}: {parts[0].in_words()}."
    holding, failing = (sum(part.holds is how for part in parts) for how in (True, False))
    silent = len(parts) - len(spoken)
    said = f"{holding} of {len(parts)} comparisons hold"
    said += f", {silent} {'has' if silent == 1 else 'have'} no runs" if silent else ""
    decides = deciding(parts)
    if failing:
        return f"{said}, {failing} {'fails' if failing == 1 else 'fail'}: {decides.what}: {decides.in_words()}."
    return f"{said}. {'The closest is' if decides.holds else 'Open is'} {decides.what}: {decides.in_words()}."


def deciding(parts: Sequence[Part]) -> Part:
    """Of those that runs speak to, the worst that fails, else the closest of those that are open, or of those that hold."""
    spoken = [part for part in parts if part.n]
    if failing := [part for part in spoken if part.holds is False]:
        return max(failing, key=_distance)
    return min(spoken, key=lambda part: (part.holds is True, _distance(part)))


_NOTHING = {"points": 0.0, "share": 0.5, "ratio": 1.0}
"""What an estimate is where there is no difference."""


def _distance(part: Part) -> float:
    """From no difference at all."""
    return abs((part.estimate or 0.0) - _NOTHING.get(part.unit, 0.0))
