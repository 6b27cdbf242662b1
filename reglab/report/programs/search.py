"""What a search over runs of another program found: which values lead to what, and how far it had come after each run."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pandas as pd

from reglab.report import charts
from reglab.report.charts import own
from reglab.report.charts.style import Drawn
from reglab.report.page.page import Figure, PageSection
from reglab.report.programs.arms import Programs
from reglab.report.programs.roles import setting
from reglab.report.studies.columns import Column
from reglab.report.writing.numbers import counted, plain

SEARCH = "search"


class Search:
    """The runs as draws, where they are such."""

    def __init__(self, programs: Programs):
        self._programs, self._roles, self._metric = programs, programs.roles, programs.roles.metric

    @cached_property
    def is_one(self) -> bool:
        """Whether the values of a setting were drawn, as a search does: most arms have one of their own."""
        arms = self._programs.arms
        return len(arms) >= 5 and any(
            len({level for arm in arms if isinstance(level := arm.levels[key], float)}) > 0.6 * len(arms) for key in self._roles.factors
        )

    def _draws(self) -> tuple[pd.DataFrame, list[Column]]:
        columns = [column for key, column in self._programs.columns.items() if len(self._programs.levels(key)) > 1]
        labels = self._programs.labels
        runs = self._programs.counted
        if all(run.created for run in runs):
            runs = sorted(runs, key=lambda run: (run.created, run.id))
        rows = [
            {column.name: setting(run, column.sources[0]) for column in columns}
            | {"_number": number, "_value": self._roles.value(run), "_label": labels[run.id]}
            for number, run in enumerate(runs, start=1)
        ]
        return pd.DataFrame(rows), columns

    def table(self) -> pd.DataFrame:
        """How much each setting matters."""
        return self.numbers().map(lambda value: plain(value, 2) if isinstance(value, float) else value)

    def numbers(self) -> pd.DataFrame:
        """The same for programs."""
        return own.importance(*self._draws()).rename(columns={"factor": "setting"})

    def section(self, folder: Path) -> PageSection:
        """What led where, drawn into the folder."""
        table, columns = self._draws()
        falls, subtitle = self._programs.sign < 0, counted(len(table), "runs")
        spread = float(table["_value"].max() - table["_value"].min()) or 1.0
        limits = [float(table["_value"].min()) - 0.05 * spread, float(table["_value"].max()) + 0.05 * spread]
        made: list[tuple[str, str, str, Callable[[str], Drawn]]] = [
            (
                "parallel", "What each run was, and what it came to",
                f"A line for each run through the values that were drawn to its {self._metric}; darker is better.",
                lambda title: own.parallel(table, columns, self._metric, title, subtitle, falls),
            ),
            (
                "importance", "Which values matter",
                "For each setting: how much of the variance of results lies between its levels (omega squared), and the rank correlation.",
                lambda title: own.bars(own.importance(table, columns), title, subtitle),
            ),
            (
                "best_so_far", "The best so far",
                f"The {self._metric} of each run, in the order in which they began, and the best until then.",
                lambda title: own.best_so_far(table, self._metric, title, subtitle, falls, limits),
            ),
        ]  # fmt: skip
        figures = [Figure(stem, title, says, charts.save(draw(title), folder, stem)) for stem, title, says, draw in made]
        best = self._programs.arms[0]
        notes = [f"The best of {len(table):,} runs is of {best.label}: it was picked for its {self._metric}, so that number is too good."]
        return PageSection(
            SEARCH, "What did the search find?", f"Runs by {self._metric}: what leads to it.", figures, self.table(), [], notes
        )
