"""What a search found, and what its accuracy cost: sections of a report on runs of no study."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reglab.report import stats
from reglab.report.charts import own as charts
from reglab.report.sections.extra import Extra, levels_of
from reglab.report.studies.cells import Cell
from reglab.report.studies.columns import Column, Level
from reglab.report.studies.measures import MEASURES, Kind, train_seconds
from reglab.report.studies.study import Study
from reglab.report.writing.numbers import plain
from reglab.tracking.record import RunRecord


def search(study: Study, cells: Sequence[Cell]) -> Extra:
    """What a search found, by held-out images where there are some."""
    kind = _selected_by(cells)
    runs = sorted(
        (record for record in study.records if stats.counts(record) and kind.of(record) is not None), key=lambda record: record.created
    )
    columns = [column for column in study.design.by_name.values() if len(levels_of(column, cells)) > 1]
    numbers = pd.DataFrame([_draw(number, record, columns, kind, study) for number, record in enumerate(runs, start=1)])
    importance = charts.importance(numbers, columns)
    value, best = max(((kind.of(record) or 0.0, record) for record in runs), key=lambda pair: pair[0])
    notes = [f"The best of {len(runs)} draws is {study.labels[best.run_id]}, with {kind.words} {100 * value:.1f} %."]
    if kind.column == "test_accuracy":
        notes.append("It was chosen by the test images that it is told by, so that number is too good: hold some out (data.validation).")
    return Extra(
        "search",
        "What did the search find?",
        f"Draws by {kind.words}: what leads to it, and how far the search had come after each run.",
        importance.map(lambda value: plain(value, 2) if isinstance(value, float) else value),
        cells,
        [
            (
                "parallel",
                "What each draw was, and what it came to",
                f"A line for each run through the values that were drawn to its {kind.words}; the more it stands out, the better.",
                lambda title, subtitle: charts.parallel(numbers, columns, f"{kind.words}, %", title, subtitle),
            ),
            (
                "importance",
                "Which values matter",
                "For each factor: how much of the variance of results lies between its levels (omega squared), and the rank correlation.",
                lambda title, subtitle: charts.bars(importance, title, subtitle),
            ),
            (
                "best_so_far",
                "The best so far",
                f"The {kind.words} of each run, in the order in which they began, and the best until then.",
                lambda title, subtitle: charts.best_so_far(numbers, f"{kind.words}, %", title, subtitle),
            ),
        ],
        notes,
        is_search=True,
        numbers=importance,
    )


def _draw(number: int, record: RunRecord, columns: Sequence[Column], kind: Kind, study: Study) -> dict[str, Level]:
    treated: Mapping[str, Level] = study.treated[record.run_id] or {}
    value = kind.of(record)
    return {column.name: treated.get(column.name) for column in columns} | {
        "_number": number,
        "_value": 100 * value if value is not None else None,
        "_label": study.labels[record.run_id],
    }


def front(cells: Sequence[Cell]) -> Extra | None:
    """Which arms of a search no other beats both in accuracy and in time; where their times can be compared, and differ."""
    kind = _selected_by(cells)
    places = Counter(stats.place(record) for cell in cells for record in cell.records if _is_timed(record, kind))
    if not places:
        return None
    (place, here), *others = places.most_common()
    arms = []
    for cell in cells:
        records = [record for record in cell.records if _is_timed(record, kind) and stats.place(record) == place]
        accuracies, seconds = ([of(record) or 0.0 for record in records] for of in (kind.of, train_seconds))
        if records:
            spread = 100 * statistics.stdev(accuracies) if len(records) > 1 else None
            accuracy = 100 * statistics.fmean(accuracies)
            arms.append(SearchedArm(cell.label, len(records), accuracy, spread, statistics.fmean(seconds)))
    if max(arm.seconds for arm in arms) < _LONGER * min(arm.seconds for arm in arms):
        return None
    front = sorted((arm for arm in arms if not any(other.beats(arm) for other in arms)), key=lambda arm: arm.seconds)
    table = pd.DataFrame(
        [
            {
                "model": arm.label,
                "seeds": str(arm.seeds),
                f"{kind.words}, %": f"{arm.accuracy:.1f}" + ("" if arm.spread is None else f" ± {arm.spread:.1f}"),
                "training time, s": f"{arm.seconds:.3g}" if arm.seconds < 100 else f"{arm.seconds:,.0f}",
            }
            for arm in front
        ]
    )
    numbers = pd.DataFrame([{"model": arm.label, "accuracy": arm.accuracy, "seconds": arm.seconds, "front": arm in front} for arm in arms])
    notes = [
        f"{len(front)} of {len(arms)} arms are on the front. Neighbours on it may be alike: times and accuracies differ by chance, too."
    ]
    if others:
        notes.append(f"Times are of {place}; {sum(places.values()) - here} of {sum(places.values())} runs are of others, and left out.")
    says = f"Each arm's {kind.words} against its training time; those on the front are joined by a line."
    return Extra(
        "pareto",
        "What does accuracy cost?",
        "The arms that no other beats, being at least as accurate in no more training time, the quickest first (the Pareto front). "
        "Of several seeds the mean counts, with its standard deviation beside it.",
        table,
        cells,
        [("pareto_front", "Accuracy and training time", says, lambda title, subtitle: charts.front(numbers, kind.words, title, subtitle))],
        notes,
    )


_LONGER = 1.1
"""The longest training time of a search over its shortest, from which on there is something to choose."""


@dataclass(frozen=True)
class SearchedArm:
    """What a configuration came to: means over its seeds, in per cent, with their standard deviation, and in seconds."""

    label: str
    seeds: int
    accuracy: float
    spread: float | None
    seconds: float

    def beats(self, other: "SearchedArm") -> bool:
        """Whether it is at least as good in both, and better in one."""
        ours, theirs = (self.accuracy, -self.seconds), (other.accuracy, -other.seconds)
        return ours != theirs and all(mine >= its for mine, its in zip(ours, theirs, strict=True))


def _selected_by(cells: Sequence[Cell]) -> Kind:
    """The accuracy that a search is judged by: on held-out images where there are some."""
    return MEASURES["val/accuracy" if any(cell.validation_accuracy for cell in cells) else "test/accuracy"]


def _is_timed(record: RunRecord, kind: Kind) -> bool:
    return stats.counts(record) and stats.is_quiet(record) and kind.of(record) is not None and train_seconds(record) is not None
