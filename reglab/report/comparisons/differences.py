"""What an arm has more than another, as tables and figures tell it: compared as claims are, with the variance of all arms."""

from collections.abc import Sequence

from reglab.report import stats
from reglab.report.comparisons.parts import ANYTHING
from reglab.report.comparisons.seen import OfMeans
from reglab.report.comparisons.sides import ArmResults, One, Sides, by_seed, combined
from reglab.report.studies.cells import Cell
from reglab.report.studies.measures import POINTS, test_accuracy
from reglab.statistics.contrast import of_differences


def of_cells(one: Cell, other: Cell, among: Sequence[Cell]) -> OfMeans | None:
    """What the test accuracy of an arm has more than that of another, in points; `among`: all arms that tell of the variance.

    None where either has no result.
    """
    return against([one], other, among)[one.identity]


def against(cells: Sequence[Cell], other: Cell, among: Sequence[Cell]) -> dict[str, OfMeans | None]:
    """The same of several arms against one, by their identities."""
    every = list({cell.identity: cell for cell in (*among, *cells, other)}.values())
    places, arms = {cell.identity: place for place, cell in enumerate(every)}, list(map(_results, every))
    return {
        cell.identity: of_sides(Sides(arms, [(places[cell.identity], places[other.identity])], 1.0), POINTS)
        for cell in cells
        if cell.identity != other.identity
    }


def _results(cell: Cell) -> ArmResults:
    runs = [(record, test_accuracy(record)) for record in cell.records if stats.counts(record)]
    return ArmResults(tuple(One(record.run_id, str(record.seed), 100 * value) for record, value in runs if value is not None))


def of_sides(sides: Sides, unit: str) -> OfMeans | None:
    """What one side has more than the other; None where either has no result. Where no arm has two runs, over the pairs as they come."""
    if not sides.least:
        return None
    each = tuple(value for case in sides.cases for value in by_seed(sides.arms[place].results for place in case))
    if any(len(arm.results) > 1 for arm in sides.arms):
        return OfMeans(sides.contrast(), ANYTHING, unit, "seeds", each)
    values = [combined([sides.arms[place].results[0].value for place in case]) for case in sides.cases]
    return OfMeans(of_differences(values), ANYTHING, unit, "cases", each)
