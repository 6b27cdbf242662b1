"""A report of runs of another program: its arms by the settings that differ, each against the best, what settings do, what a search found.

What is said is what the runs have: nothing of seeds where they have none, and a result in the numbers of its program.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reglab.report import charts
from reglab.report.charts import own, points
from reglab.report.charts.style import Drawn
from reglab.report.comparisons.best import WithTheBest
from reglab.report.page.page import PAGE, RUNS, Figure, Page, PageSection
from reglab.report.programs.arms import ArmDifference, Programs
from reglab.report.programs.details import details
from reglab.report.programs.roles import Roles, setting
from reglab.report.programs.search import SEARCH, Search
from reglab.report.stats import Estimate, holm
from reglab.report.studies.columns import Column, Level, brief
from reglab.report.tables import p_text
from reglab.report.writing import texts
from reglab.report.writing.digits import decimals, interval, number, told
from reglab.report.writing.numbers import NONE, any_of, counted
from reglab.tracking.program_run import ARCHIVE, ProgramRun, write_archive
from reglab.tracking.state import State

ARMS, BEST, EFFECTS = "arms", "comparisons", "effects"

_OF_ESTIMATE = {"value": "mean", "low": "low", "high": "high"}
"""Columns of numbers for programs, by the field of an estimate."""

_OF_BASELINE = ("against the baseline", "p (Holm)")
"""Columns that the table of arms has where one of them is named."""

_FEW = 8
"""Levels of a setting that are told one by one."""


class ProgramReport:
    """The files of one report but its manifest. `source` is where the runs come from; `baseline` as for runs of no study."""

    def __init__(self, runs: Sequence[ProgramRun], roles: Roles, source: str, baseline: str | None = None):
        self.programs, self.roles, self.source = Programs(runs, roles), roles, source
        self.search = Search(self.programs)
        self.baseline = self.programs.arm_of(baseline) if baseline else None
        self.metric = roles.metric

    def write(self, folder: Path) -> None:
        """Write tables, figures and page into `folder`."""
        self.write_tables(folder)
        copies = {table.stem: table.copies for table in self.told}
        page = Page(
            title=self.title,
            what=self.what(),
            headline=self.headline(),
            findings=(),
            sections=[replace(section, texts=copies[section.stem]) for section in (self._arms(folder), *self._compared(folder))],
            table_1=pd.DataFrame(),
            runs=self._rows(),
            machines=(),
            notes=self.notes(),
            label=None,
            reading=self._reading(),
            details=details(self.programs),
        )
        (folder / PAGE).write_text(page.render(), encoding="utf-8")

    def write_tables(self, folder: Path) -> None:
        """Everything that is text, and the runs themselves."""
        write_archive(folder / ARCHIVE, self.programs.runs)
        (folder / RUNS).write_text(texts.to_csv(self.programs.frame()), encoding="utf-8")
        for table in self.told:
            for kind, text in (("md", table.markdown), ("tex", table.latex), ("csv", table.csv)):
                (folder / f"{table.stem}.{kind}").write_text(text, encoding="utf-8")

    @cached_property
    def told(self) -> list[texts.Told]:
        """Its tables, but for that of all runs."""
        found = [texts.Told(ARMS, self.arms_table(), f"The arms by {self.metric}", self._tidy())]
        if self.programs.with_the_best:
            found.append(texts.Told(BEST, self._best_table(), "Each arm against the best of the others", self._best_numbers()))
        if not self.search.is_one and (rows := self._effects()):
            found.append(texts.Told(EFFECTS, self._effects_table(rows), "What each setting does", self._effects_numbers(rows)))
        if self.search.is_one:
            found.append(texts.Told(SEARCH, self.search.table(), "What leads to the results of the search", self.search.numbers()))
        return found

    # In words.

    @property
    def title(self) -> str:
        """What the page is called: where the runs are from, and what they are told by."""
        stem = Path(self.source).stem if self.source.endswith(".csv") else self.source.rstrip("/").rpartition("/")[2]
        return f"{stem}: {self.metric}"

    @property
    def _better(self) -> str:
        return "highest" if self.roles.goal == "maximize" else "lowest"

    @property
    def _most(self) -> int:
        return max(len(arm.values) for arm in self.programs.arms)

    def _each(self, count: int) -> str:
        """What the runs of an arm are counted in."""
        return f"{count:,} {'seed' if self.roles.seed else 'run'}{'' if count == 1 else 's'}"

    def what(self) -> str:
        """Say what there is: runs, arms, what differs among them."""
        keys = ", ".join(f"{key} ({len(self.programs.levels(key)):,})" for key in self.roles.factors)
        varied = f"What differs among them, with the number of levels: {keys}." if keys else "No setting differs among them."
        more = "more" if self.roles.goal == "maximize" else "less"
        arms = len(self.programs.arms)
        return (
            f"{counted(len(self.programs.counted), 'finished runs')} of {counted(arms, 'arms')}, up to {self._each(self._most)} each. "
            f"{varied} They are told by {self.metric}, of which {more} is better."
        )

    def headline(self) -> list[str]:
        """Say which arm is best and by how much: a paragraph each."""
        best, *others = self.programs.arms
        if not others:
            return [f"{self.metric} is {told(self.programs.means[best.identity])}."]
        said = f"Of {len(others) + 1:,} arms, {best.label} has the {self._better} {self.metric}: {told(self.programs.means[best.identity])}"
        if self.baseline and self.baseline is not best:
            against = self.programs.contrast([best], [self.baseline], self.roles.factors)
            said += f", {told(against.estimate, '+') if against else NONE} against {self.baseline.label}"
        return [f"{said}.", self._surely()]

    def _surely(self) -> str:
        compared, best = self.programs.with_the_best, self.programs.arms[0]
        if compared[best.label].low is None:
            if self._most == 1:
                return "There is one run an arm: nothing tells a difference from chance. Take this as a first look."
            return "Nothing tells how far this is chance: runs of one arm are too few, or alike to the last digit."
        possible = [arm for arm in self.programs.arms if self._may_be_best(compared[arm.label])]
        if len(possible) == 1:
            return (
                f"It is surely the best: every other arm's interval, all at once, is {'below' if self.programs.sign > 0 else 'above'} it."
            )
        return f"{any_of(len(possible), 'arms')} may be the best, for all that these runs tell."

    def _may_be_best(self, each: WithTheBest) -> bool:
        return each.low is None or each.high is None or (each.high > 0 if self.programs.sign > 0 else each.low < 0)

    def notes(self) -> list[str]:
        """Say what a reader must know of the runs: what was guessed, what is not counted."""
        found = [f"{line[0].upper()}{line[1:]}." for line in self.programs.said]
        for state in State:
            there = [run for run in self.programs.runs if run.state == state]
            if there and state != State.finished:
                found.append(f"{len(there):,} {state}, not counted: {_named(there)}.")
        if without := self.programs.without:
            found.append(f"{len(without):,} finished without a number in {self.metric}, not counted: {_named(without)}.")
        if self.roles.seed:
            missing = [run for run in self.programs.counted if setting(run, self.roles.seed) is None]
            if missing:
                found.append(f"{len(missing):,} without a {self.roles.seed}: their arms count run by run: {_named(missing)}.")
        return found

    def _reading(self) -> str:
        """How the tables are read."""
        over = "seeds" if self.roles.seed else "runs"
        return (
            f"In the tables, ± is half of the 95 % interval of the mean over {over}, by what the variances of the arms have in common (an "
            "arm unlike the others: by its own); of one there is none. Intervals against the best of the others, and p there, hold for all "
            "arms at once (Hsu); other p of several comparisons are Holm’s."
        )

    def subtitle(self, drawn: str = "means with 95 % intervals, and what each is the mean of") -> str:
        """Say of a figure how many runs there are, and what is drawn of them, where they have intervals."""
        spread = drawn if self._most > 1 else "no interval"
        return f"{counted(len(self.programs.counted), 'runs')}, up to {self._each(self._most)} an arm: {spread}"

    # Arms.

    def arms_table(self) -> pd.DataFrame:
        """Return a row an arm, the best first."""
        against, counted = self._against(), "seeds" if self.roles.seed else "runs"
        time = self.roles.time
        names = _columns_of((self.metric, time or self.metric), ("arm", counted, *_OF_BASELINE))
        return pd.DataFrame(
            [
                {
                    "arm": arm.label,
                    counted: str(len(arm.values)),
                    names[self.metric]: told(self.programs.means[arm.identity]),
                }
                | ({names[time]: told(self.programs.seconds.get(arm.identity))} if time and time != self.metric else {})
                | against.get(arm.label, {})
                for arm in self.programs.arms
            ]
        )

    def _against(self) -> dict[str, dict[str, str]]:
        if self.baseline is None:
            return {}
        others = [arm for arm in self.programs.arms if arm is not self.baseline]
        found = [self.programs.contrast([arm], [self.baseline], self.roles.factors) for arm in others]
        adjusted = holm([each.p if each else None for each in found])
        said = {
            arm.label: (told(each.estimate, "+") if each else NONE, NONE if p is None else p_text(p))
            for arm, each, p in zip(others, found, adjusted, strict=True)
        }
        said[self.baseline.label] = ("baseline", NONE)
        return {label: dict(zip(_OF_BASELINE, words, strict=True)) for label, words in said.items()}

    def _tidy(self) -> pd.DataFrame:
        rows, time = [], self.roles.time
        names = _columns_of((*self.roles.factors, self.metric, time or self.metric), ("arm", "low", "high", "n"))
        for arm in self.programs.arms:
            found, took = self.programs.means[arm.identity], self.programs.seconds.get(arm.identity)
            seconds: dict[str, Any] = {names[time]: took.mean if took else None} if time else {}
            mean: dict[str, Any] = {names[self.metric]: found.mean, "low": found.low, "high": found.high, "n": len(arm.values)}
            rows.append({"arm": arm.label} | {names[key]: level for key, level in arm.levels.items()} | mean | seconds)
        return pd.DataFrame(rows)

    def _arms(self, folder: Path) -> PageSection:
        arms, means = self.programs.arms, self.programs.means
        chart = points.means(
            [(arm.identity, arm.label, means[arm.identity], arm.values) for arm in arms], self.metric, self.metric, self.subtitle()
        )
        more = "more" if self.roles.goal == "maximize" else "less"
        says = f"mean {self.metric}, with its interval, and what it is the mean of" if self._most > 1 else self.metric
        drawn = self._figure(folder, ARMS, "The arms", f"For each arm its {says}.", chart)
        return PageSection(
            ARMS,
            "What each arm came to",
            f"Every arm that ran, the best first: {more} is better.",
            [drawn],
            self.arms_table(),
            [],
            [],
            [arm.identity for arm in arms],
        )

    def _figure(self, folder: Path, stem: str, title: str, says: str, chart: Drawn) -> Figure:
        return Figure(stem, title, says, charts.save(chart, folder, stem))

    def _compared(self, folder: Path) -> list[PageSection]:
        found = []
        if self.programs.with_the_best:
            found.append(self._best(folder))
        if self.search.is_one:
            found.append(self.search.section(folder))
        elif rows := self._effects():
            found.append(self._effects_section(folder, rows))
        return found

    # Against the best.

    def _best_table(self) -> pd.DataFrame:
        compared = self.programs.with_the_best
        return pd.DataFrame(
            [
                {
                    "arm": arm.label,
                    "n": str(compared[arm.label].n),
                    f"{self.metric}, against the best of the others": number(
                        compared[arm.label].difference, self._places(compared[arm.label]), "+"
                    ),
                    "95 % interval, all at once": interval(compared[arm.label].low, compared[arm.label].high),
                    "p (Hsu)": NONE if (p := compared[arm.label].p) is None else p_text(p),
                }
                for arm in self.programs.arms
            ]
        )

    def _best_numbers(self) -> pd.DataFrame:
        compared = self.programs.with_the_best
        return pd.DataFrame(
            [
                {"arm": arm.label, "value": (each := compared[arm.label]).difference, "low": each.low, "high": each.high}
                | {"p": each.p, "n": each.n}
                for arm in self.programs.arms
            ]
        )

    @staticmethod
    def _places(each: WithTheBest) -> int:
        return decimals(None if each.low is None or each.high is None else (each.high - each.low) / 2, each.difference)

    def _best(self, folder: Path) -> PageSection:
        table = self._best_numbers().rename(columns={"arm": "model"}).drop(columns=["p", "n"])
        table = table.assign(identity=[arm.identity for arm in self.programs.arms])
        chart = own.intervals(
            table,
            f"{self.metric}, against the best of the others",
            "The arms against the best of the others",
            self.subtitle("differences, with 95 % intervals for all arms at once"),
            _difference,
        )
        end = "ends" if self.programs.sign > 0 else "begins"
        figure = self._figure(
            folder, "against_the_best", "The arms against the best of the others",
            f"For each arm its mean {self.metric} less that of the best other arm, with its simultaneous interval.", chart,
        )  # fmt: skip
        asks = (
            "Each arm against the best of the others. The same runs say which that is, so the intervals hold for all arms at once (Hsu "
            f"1984); an arm whose interval {end} at 0 is not the best."
        )
        arms = [arm.identity for arm in self.programs.arms]
        return PageSection(BEST, "Which arms may be the best?", asks, [figure], self._best_table(), [], [self._surely()], arms)

    # What each setting does.

    def _effects(self) -> list[tuple[Column, Level, Level, ArmDifference | None]]:
        found = []
        if len(self.programs.arms) < 3:
            return []
        for key, column in self.programs.columns.items():
            first, *others = self.programs.levels(key)
            for level in others if len(others) < _FEW else ():
                one, other = ([arm for arm in self.programs.arms if arm.levels[key] == each] for each in (level, first))
                found.append((column, level, first, self.programs.contrast(one, other, (key,))))
        return found

    def _effects_table(self, rows: Sequence[tuple[Column, Level, Level, ArmDifference | None]]) -> pd.DataFrame:
        adjusted = holm([each.p if each else None for *_, each in rows])
        metric = _columns_of((self.metric,), ("setting", "level", "against", "p (Holm)", "n"))[self.metric]
        return pd.DataFrame(
            [
                {
                    "setting": column.title,
                    "level": brief(level),
                    "against": brief(first),
                    metric: told(each.estimate, "+") if each else NONE,
                    "p (Holm)": NONE if p is None else p_text(p),
                    "n": counted(each.estimate.n, each.over) if each else "no pair",
                }
                for (column, level, first, each), p in zip(rows, adjusted, strict=True)
            ]
        )

    @staticmethod
    def _effects_numbers(rows: Sequence[tuple[Column, Level, Level, ArmDifference | None]]) -> pd.DataFrame:
        adjusted = holm([each.p if each else None for *_, each in rows])
        return pd.DataFrame(
            [
                {"setting": column.title, "level": brief(level), "against": brief(first)}
                | {name: getattr(each.estimate, field) if each else None for name, field in _OF_ESTIMATE.items()}
                | {"p": p, "n": each.estimate.n if each else 0}
                for (column, level, first, each), p in zip(rows, adjusted, strict=True)
            ]
        )

    def _effects_section(self, folder: Path, rows: Sequence[tuple[Column, Level, Level, ArmDifference | None]]) -> PageSection:
        numbers = self._effects_numbers(rows)
        names = numbers["setting"] + ": " + numbers["level"] + " against " + numbers["against"]
        table = numbers.assign(model=names)[["model", "value", "low", "high"]].dropna(subset="value")
        figures = []
        if len(table):
            chart = own.intervals(
                table,
                f"difference in {self.metric}",
                "What each setting does",
                self.subtitle("differences with 95 % intervals"),
                _difference,
            )
            says = f"For each level of each setting: the difference in {self.metric} to its first level, with its interval."
            figures = [self._figure(folder, "main_effects", "What each setting does", says, chart)]
        asks = f"{self.metric} at each level of a setting less that at its first, over arms that have all else in common."
        return PageSection(EFFECTS, "What does each setting do?", asks, figures, self._effects_table(rows), [], [])

    # Runs.

    def _rows(self) -> pd.DataFrame:
        """For a person: what the report tells of each run."""
        labels = self.programs.labels
        rows = []
        for run in self.programs.runs:
            row: dict[str, Any] = {"run": run.id, "arm": labels.get(run.id), "state": run.state.value}
            told: dict[str, Any] = {self.metric: self.roles.value(run)}
            told |= {self.roles.seed: setting(run, self.roles.seed)} if self.roles.seed else {}
            told |= {self.roles.time: self.roles.seconds(run)} if self.roles.time else {}
            told |= {key: setting(run, key) for key in self.roles.factors}
            names = _columns_of(told, _OF_THE_PAGE)
            row |= {names[key]: value for key, value in told.items()}
            rows.append(row | ({"name": run.name} if run.name and run.name != run.id else {}) | {"url": run.url})
        return pd.DataFrame(rows).dropna(axis="columns", how="all")


_OF_THE_PAGE = frozenset({"run", "arm", "state", "question", "url", "name"})
"""Columns of the table of runs that mean something to the page."""


def _columns_of(keys: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """A column for each key: the key, or in a table that has a column of that name of its own, `n (key)`."""
    names: dict[str, str] = {}
    every = set(keys)
    for key in every:
        name = key
        while name in taken or (name != key and name in every):
            name += " (key)"
        names[key] = name
    return names


def _difference(value: float, low: float | None, high: float | None) -> str:
    return told(Estimate(value, low, high, 2), "+")


def _named(runs: Sequence[ProgramRun]) -> str:
    shown = [f"{run.id}" + (f" ({run.reason})" if run.reason else "") for run in runs[:12]]
    return ", ".join(shown) + (f" and {len(runs) - 12:,} more" if len(runs) > 12 else "")
