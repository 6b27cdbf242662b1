"""What a report of no study shows beside its arms: against the best, main effects and interactions, and of a search what it found."""

from collections.abc import Callable, Sequence

import pandas as pd

from reglab.report import stats
from reglab.report.charts import lines
from reglab.report.charts import own as charts
from reglab.report.charts.style import Drawn
from reglab.report.claims.evidence import Evidence
from reglab.report.comparisons.best import with_the_best
from reglab.report.comparisons.parts import LEVEL
from reglab.report.comparisons.seen import OfMeans
from reglab.report.sections import searches
from reglab.report.sections.extra import Extra, levels_of
from reglab.report.studies.cells import Cell
from reglab.report.studies.columns import Column, brief, written
from reglab.report.studies.design import FigureData
from reglab.report.studies.study import Study
from reglab.report.tables import p_text, tidy
from reglab.report.writing.numbers import NONE, any_of, between, plain

_FEW = 8
"""Levels of a factor that a figure tells apart by lines, and a table one by one."""


def extras(study: Study) -> list[Extra]:
    """The arms against the best, main effects, and of a search what it found: those for which there are runs."""
    cells = [cell for cell in study.cells if cell.counted]
    drawn = _drawn(study, cells)
    found = [searches.search(study, cells), searches.front(cells)] if drawn else [_comparisons(study, cells), _effects(study, cells)]
    return [extra for extra in found if extra]


def _drawn(study: Study, cells: Sequence[Cell]) -> list[Column]:
    """The factors whose values were drawn, as a search does: most arms have one of their own."""
    found = []
    for column in study.design.by_name.values():
        levels = [level for cell in cells if cell.treatment and isinstance(level := cell.treatment[column.name], float)]
        if len(levels) >= 5 and len(set(levels)) > 0.6 * len(cells):
            found.append(column)
    return found


# Against the best.


def _comparisons(study: Study, cells: Sequence[Cell]) -> Extra | None:
    """Each arm against the best of the others. Without a baseline that is the figure with which the page begins, and none stands here."""
    compared = with_the_best({cell.identity: seeds for cell in cells if (seeds := cell.accuracies)})
    if not compared:
        return None
    rows = [(cell, compared[cell.identity]) for cell in cells if cell.identity in compared]
    table = pd.DataFrame(
        [
            {
                "model": cell.label,
                "seeds": str(each.n),
                "against the best of the others, points": plain(100 * each.difference, 1, signed=True),
                "95 % interval, all at once": NONE
                if each.low is None or each.high is None
                else between(100 * each.low, 100 * each.high, signed=True),
                "p (Hsu)": NONE if each.p is None else p_text(each.p),
            }
            for cell, each in rows
        ]
    )
    numbers = pd.DataFrame(
        [
            {
                "model": cell.label,
                "identity": cell.identity,
                "value": 100 * each.difference,
                "low": _points(each.low),
                "high": _points(each.high),
                "p": each.p,
                "n": each.n,
            }
            for cell, each in rows
        ]
    )
    drawn = numbers.drop(columns=["p", "n"])
    has_baseline = any(question.against for question in study.design.questions)
    figure = (
        "against_the_best",
        "The arms against the best of the others",
        "For each arm: its mean test accuracy less that of the best other arm, in points, with its simultaneous interval.",
        lambda title, subtitle: charts.intervals(drawn, "against the best of the others, points of test accuracy", title, subtitle),
    )
    possible = [cell.label for cell, each in rows if each.high is None or each.high > 0]
    notes = []
    if rows[0][1].low is None:
        notes.append("There are no intervals: they take an arm of two seeds, which do not agree to the last digit.")
    elif len(possible) == 1:
        notes.append(f"{possible[0]} is the best: every other arm is surely below it.")
    else:
        notes.append(f"{any_of(len(possible), 'arms')} may be the best: {'; '.join(possible)}.")
    notes += ["The first figure of this page shows them."] * (not has_baseline)
    return Extra(
        "comparisons",
        "Which arms may be the best?",
        "Each arm against the best of the others. The same runs say which that is, so the intervals hold for all arms at once (Hsu 1984); "
        "an arm whose interval ends at 0 is not the best.",
        table,
        [cell for cell, _ in rows],
        [figure] if has_baseline else [],
        notes,
        arms=[cell.identity for cell, _ in rows],
        numbers=numbers.drop(columns="identity"),
    )


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


# Main effects.


def _effects(study: Study, cells: Sequence[Cell]) -> Extra | None:
    """Each level of a factor against its first, all else equal."""
    columns = [column for column in study.design.by_name.values() if 1 < len(levels_of(column, cells)) <= _FEW]
    if len(columns) < 1 or len(cells) < 3:
        return None
    rows, found, evidence = [], list[OfMeans | None](), Evidence(study, None)
    for column in columns:
        first, *others = levels_of(column, cells)
        for level in others:
            one, other = ({column.name: (written(each),)} for each in (level, first))
            found.append(evidence.difference("test/accuracy", one, other))
            rows.append({"factor": column.title, "level": brief(level), "against": brief(first)})
    adjusted = stats.holm([difference.p if difference else None for difference in found])
    numbers = []
    for row, difference, p in zip(rows, found, adjusted, strict=True):
        bounds = difference.interval(LEVEL) if difference else None
        row["test accuracy, points"] = plain(difference.estimate, 1, signed=True) if difference else NONE
        row["95 % interval"] = between(bounds[0], bounds[1], signed=True) if bounds else NONE
        row["p (Holm)"] = NONE if p is None else p_text(p)
        row["n"] = str(difference.n) if difference else "0"
        low, high = bounds or (None, None)
        value = {"value": difference.estimate if difference else None, "low": low, "high": high, "p": p}
        numbers.append({key: row[key] for key in ("factor", "level", "against")} | value | {"n": difference.n if difference else 0})
    names = [f"{row['factor']}: {row['level']} against {row['against']}" for row in numbers]
    table = pd.DataFrame(numbers).assign(model=names)[["model", "value", "low", "high"]].dropna(subset="value")
    return Extra(
        "effects",
        "What does each factor do?",
        "Test accuracy at each level of a factor less that at its first, over arms that have all else in common.",
        pd.DataFrame(rows),
        cells,
        [
            *_interactions(study, cells, columns),
            *(
                [
                    (
                        "main_effects",
                        "Main effects",
                        "For each level of each factor: the difference in test accuracy to the first level, in points, with its interval.",
                        lambda title, subtitle: charts.intervals(table, "difference in test accuracy, points", title, subtitle),
                    )
                ]
                if len(table)
                else []
            ),
        ],
        ["An interval is over seeds, with the variance of all arms; where no arm has two, over the pairs of arms as they come."],
        numbers=pd.DataFrame(numbers),
    )


def _interactions(
    study: Study, cells: Sequence[Cell], columns: Sequence[Column]
) -> list[tuple[str, str, str, Callable[[str, str], Drawn]]]:
    """One figure of lines, where there are at most three factors and so each arm has a place of its own."""
    if len(columns) > 3 or len(columns) != len(study.design.names):
        return []
    x, *others = sorted(
        columns,
        key=lambda column: (any(isinstance(level, str | None) for level in levels_of(column, cells)), -len(levels_of(column, cells))),
    )
    line, panel = (*others, None, None)[:2]
    says = (
        f"Test accuracy against {x.title}"
        + (f", a line for each {line.title}" if line else "")
        + (f", a panel for each {panel.title}" if panel else "")
    )
    figure = FigureData(
        name="test_accuracy",
        title=f"Test accuracy by {' and '.join(column.title for column in (x, line, panel) if column)}",
        says=f"{says}.",
        x=x.name,
        lines=line.name if line else None,
        panels=panel.name if panel else None,
    )
    return [
        (figure.name, figure.title, figure.says, lambda title, subtitle: lines.draw(tidy(cells, study.design), figure, study, subtitle))
    ]
