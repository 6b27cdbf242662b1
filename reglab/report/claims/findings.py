"""What came out for the claims of a study: verdicts, and the words in which they are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reglab.report.comparisons.parts import NOTHING, UNITS, Part


class Verdict(StrEnum):
    """What the runs say of a claim."""

    reproduced = "reproduced"
    contradicted = "contradicted"
    undecided = "undecided"
    not_tested = "not tested"


@dataclass(frozen=True)
class Finding:
    """What came out for one claim, in a sentence (`effect`) and in its parts; `note` adds what has no say in the verdict.

    `verdict` is of the claim alone, `jointly` where all of a family err as seldom together; `joint` says by what. `margin`: what the
    verdict would be with other margins; `decided`: at which look; `more`: what is still needed where it is open. `figure` is the stem of
    the figure that shows it, `runs` are the ids of the runs behind it, and `turns` counts those of arms that took some.
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
    turns: int = 0
    jointly: Verdict = Verdict.not_tested
    joint: str = ""
    margin: str = ""
    decided: str = ""
    more: str = ""
    how: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Every claim's, in the study's order, and the plan by which they were decided, in a sentence or two."""

    each: tuple[Finding, ...]
    plan: str


def in_short(parts: Sequence[Part]) -> str:
    """How many comparisons hold and how many fail, and the one that decides: the worst that fails, else the closest."""
    spoken = [part for part in parts if part.n]
    if not spoken:
        return "No run speaks to it."
    if len(parts) == 1:
        return f"{parts[0].what[0].upper()}{parts[0].what[1:]}: {parts[0].in_words()}."
    holding, failing = (sum(part.holds is how for part in parts) for how in (True, False))
    said = f"{holding} of {len(parts)} comparisons hold{'s' * (holding == 1)}"
    for are_apart, which in ((False, "no runs"), (True, "no runs that can be compared")):
        silent = sum(not part.n and part.are_apart is are_apart for part in parts)
        said += f", {silent} {'has' if silent == 1 else 'have'} {which}" if silent else ""
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


def _distance(part: Part) -> float:
    """From no difference at all."""
    return abs((part.estimate or 0.0) - NOTHING.get(part.unit, 0.0))


def amounts(part: Part) -> str:
    """The estimate of a part in its unit, with its interval: `+3.1 points (+1.0 to +5.2)`."""
    return f"{part.amount()}{UNITS.get(part.unit, '')} ({part.range_in_words()})"


def how(parts: Sequence[Part]) -> Iterator[str]:
    """How they were compared: once what is said of all, else of how many."""
    spoken = [part for part in parts if part.n]
    for line in dict.fromkeys(line for part in spoken for line in part.said):
        count = sum(line in part.said for part in spoken)
        yield line if count == len(spoken) else f"{line} ({count} of {len(spoken)} comparisons)"
