"""What a report shows first: the comparisons that decide its claims, or of runs without claims each arm against one."""

import statistics
from collections.abc import Mapping, Sequence

from reglab.report.charts.effects import Effect
from reglab.report.claims.findings import Finding, deciding
from reglab.report.comparisons.best import with_the_best
from reglab.report.comparisons.differences import against
from reglab.report.comparisons.parts import LEVEL, Part
from reglab.report.comparisons.seen import OfMeans
from reglab.report.studies.cells import Cell

MOST = 18
"""Rows of the figure: of claims with more comparisons, the one that decides each is shown."""


def of_claims(findings: Sequence[Finding]) -> list[Effect]:
    """Return the effects of every claim that runs speak to."""
    spoken = [(finding, [part for part in finding.parts if part.n]) for finding in findings]
    if sum(len(parts) for _, parts in spoken) > MOST:
        spoken = [(finding, [deciding(finding.parts)] if parts else []) for finding, parts in spoken]
    return [
        Effect(f"{finding.number}. {part.what}", part, leads_to=f"claim-{finding.number}") for finding, parts in spoken for part in parts
    ]


def of_arms(cells: Sequence[Cell], baseline: Cell | None, among: Sequence[Cell]) -> list[Effect]:
    """Test accuracy of each arm less that of the baseline, or, without one, of the best of the others; none of a single arm.

    `among`: all arms that tell of the variance.
    """
    values = {cell.identity: cell.accuracies for cell in cells}
    there = [cell for cell in cells if values[cell.identity]]
    if baseline and values.get(baseline.identity):
        alike = [cell for cell in there if cell is not baseline and cell.held_out == baseline.held_out]
        found = against(alike, baseline, among)
        return [_effect(cell, baseline, difference) for cell in alike if (difference := found[cell.identity])]
    return _against_the_best(there, values)


def _effect(cell: Cell, baseline: Cell, found: OfMeans) -> Effect:
    low, high = found.interval(LEVEL) or (None, None)
    what = f"{cell.label} against {baseline.label}"
    part = Part(what, found.unit, found.estimate, low, high, found.n, None, each=found.each, over=found.over)
    return Effect(what, part, is_claimed=False, leads_to=cell.identity)


def _against_the_best(cells: Sequence[Cell], values: Mapping[str, Mapping[int, float]]) -> list[Effect]:
    compared = with_the_best({cell.identity: values[cell.identity] for cell in cells})
    found = []
    for cell in cells if compared else ():
        mine, against = values[cell.identity], compared[cell.identity]
        rival = max((other for other in cells if other is not cell), key=lambda other: statistics.fmean(values[other.identity].values()))
        each = tuple(100 * (mine[seed] - values[rival.identity][seed]) for seed in sorted(mine.keys() & values[rival.identity].keys()))
        low, high = (None if bound is None else 100 * bound for bound in (against.low, against.high))
        part = Part(
            f"{cell.label} against the best of the others", "points", 100 * against.difference, low, high, against.n, None, each=each
        )
        found.append(Effect(cell.label, part, is_claimed=False, leads_to=cell.identity))
    return found
