"""A report's folder: page, tables, figures, raw rows and manifest, all there or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path

import pandas as pd

from reglab.atomic import held, is_abandoned
from reglab.config import called, flat
from reglab.errors import UserError
from reglab.report import charts, stats, tables
from reglab.report.claims import verdicts
from reglab.report.comparisons.parts import Part
from reglab.report.manifest import MANIFEST, STUDY, JudgedBy, Manifest
from reglab.report.page import words
from reglab.report.page.details import details
from reglab.report.page.page import GENERATOR, PAGE, RUNS, Figure, Page, PageSection
from reglab.report.programs.report import ProgramReport
from reglab.report.programs.roles import Roles
from reglab.report.sections import convergence, effects, in_turns, own_extras, per_image
from reglab.report.sections.extra import Extra
from reglab.report.studies import own
from reglab.report.studies.cells import Cell
from reglab.report.studies.columns import written
from reglab.report.studies.design import Design, FigureData, Question
from reglab.report.studies.registration import Lock, registered
from reglab.report.studies.study import Study
from reglab.report.writing import texts
from reglab.report.writing.numbers import counted
from reglab.tracking import turns
from reglab.tracking.images import refuse_mixed
from reglab.tracking.program_run import ProgramRun
from reglab.tracking.record import RunRecord
from reglab.tracking.store import ARCHIVE, write_archive
from reglab.tracking.turns import Turns

TABLE_1 = "table_1"
CLAIMS = "claims"
EFFECTS = "summary"
_OVER_SEEDS, _NO_INTERVAL = "means over seeds with 95 % intervals", "no interval"
_EARLIER = "earlier"
"""What the folder of the report that is replaced is called until it is gone."""

OTHERS = Question(
    name="others",
    title="Other runs",
    asks="Runs that are part of none of the questions above.",
    figures=(
        FigureData(
            name="others",
            title="The other arms",
            says="For each arm: test and clean training accuracy, training time, and time to the target.",
        ),
    ),
)


def build(
    records: Sequence[RunRecord],
    folder: Path,
    source: str,
    sweeps: Mapping[str, str],
    design: Design | None = None,
    baseline: str | None = None,
    lock: Lock | None = None,
    took: Sequence[Turns] = (),
) -> Path:
    """Write the report on `records` into `folder`, in place of an earlier one; returns its page.

    Of the earlier one go the files that its manifest lists, as it lists them; whatever else lies there stays.
    `source` is where the records come from, `sweeps` the hashes of sweep files; the manifest keeps those that these runs are of.
    `design` is the study by which they are judged; without one they are reported by what varies among them, and compared with the arm
    that has the `key=value` words of `baseline`. `lock` tells what the study claimed before its runs began, `took` what
    arms took that took turns.
    Raises UserError where none of the runs has finished, they saw different images of one name, the folder is no report, or a file
    in it that is not the earlier report's is in the way.
    """
    refuse_mixed(records)
    if not any(stats.counts(record) for record in records):
        raise UserError(f"of {counted(len(records), 'runs')} none has finished: finish the sweep first (`reglab sweep run` goes on)")
    report = Report(records, design, baseline, lock, took)
    mine = {stem: digest for stem, digest in sweeps.items() if stem in report.sweeps}
    judged = JudgedBy(design.name, baseline, planned=design.planned) if design else JudgedBy(None, baseline)
    return _put_in_place(folder, report.write, lambda made: Manifest.of(records, source, judged, mine, made))


def build_programs(runs: Sequence[ProgramRun], folder: Path, source: str, roles: Roles, baseline: str | None = None) -> Path:
    """The same of runs of another program, by their roles."""
    report = ProgramReport(runs, roles, source, baseline)
    return _put_in_place(folder, report.write, lambda made: Manifest.of(runs, source, JudgedBy(None, baseline, roles), {}, made))


def _put_in_place(folder: Path, write: Callable[[Path], None], manifest: Callable[[Path], Manifest]) -> Path:
    """Have a report written into `folder`, in place of an earlier one; returns its page."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_up(folder)
    others = _others(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary, held(Path(temporary)):
        made = Path(temporary) / folder.name
        made.mkdir()
        write(made)
        manifest(made).write(made)
        if in_the_way := [entry for entry in others if (made / entry.name).exists()]:
            fault = f"{in_the_way[0]} is not as the earlier report had it, and the new one has a file of that name"
            raise UserError(f"{fault}: move it away, or give another --out")
        for entry in others:
            _put(entry, made / entry.name)
        if folder.exists():
            folder.rename(Path(temporary) / _EARLIER)
        made.rename(folder)
    return folder / PAGE


def _others(folder: Path) -> list[Path]:
    """What lies in the folder of an earlier report and is not that report's. Raises UserError for a folder that is none."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else [folder] if folder.exists() else []
    if not entries:
        return []
    page = folder / PAGE
    if not (page.is_file() and GENERATOR in page.read_text(encoding="utf-8", errors="replace")):
        raise UserError(f"--out {folder} exists and is not a report: give another folder")
    try:
        manifest = Manifest.read(folder)
    except UserError:
        fault = f"--out {folder} has no {MANIFEST} that can be read, so nothing tells which files are the report's"
        raise UserError(f"{fault}: give another folder, or remove this one") from None
    return [entry for entry in entries if not (entry.name == MANIFEST or manifest.has(entry))]


def _put(entry: Path, there: Path) -> None:
    """The same files under another name: links, where the file system has them, so that they are there twice and copied never."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.copytree(entry, there, symlinks=True, copy_function=_link)
    else:
        _link(entry, there)


def _link(entry: str | Path, there: str | Path) -> None:
    try:
        os.link(entry, there, follow_symlinks=False)
    except OSError:
        shutil.copy2(entry, there, follow_symlinks=False)


def _clear_up(folder: Path) -> None:
    """Remove what a build left that was killed; where it was killed just as it put its report in place, the earlier one comes back."""
    for left in folder.parent.glob(f".{folder.name}.????????"):
        if left.is_dir() and {entry.name for entry in left.iterdir()} <= {folder.name, _EARLIER} and is_abandoned(left):
            if (left / _EARLIER).exists() and not folder.exists():
                (left / _EARLIER).rename(folder)
            shutil.rmtree(left, ignore_errors=True)


class Report:
    """The files of one report but its manifest."""

    def __init__(
        self,
        records: Sequence[RunRecord],
        design: Design | None,
        baseline: str | None = None,
        lock: Lock | None = None,
        took: Sequence[Turns] = (),
    ):
        self.records, self.is_study, self.lock, self.took = records, design is not None, lock, took
        planned = lock.planned(design) if design and lock else design
        self.study = study = Study.of(records, planned or own.design(records, baseline), turns.as_runs(took))
        judged = verdicts.judge(study)
        self.findings, self.plan = judged.each, judged.plan
        self.answers = _answers(study)
        self.unasked = study.unasked(study.design.questions)

    def write(self, folder: Path) -> None:
        """Write tables, figures and page into `folder`."""
        self.write_tables(folder)
        if self.lock:
            self.lock.write(folder)
        page = Page(
            title=f"{self.study.design.title}: {self.images}",
            what=self.what(),
            headline=words.headline(self.findings, self.answers, self.study),
            findings=self.findings,
            plan=self.plan,
            effects=self._effects(folder),
            sections=list(self._sections(folder)),
            table_1=tables.parameters(self.study),
            runs=self._rows(),
            machines=words.machines(self.records, (*self.study.turns, *self.study.other_turns)),
            notes=words.notes(self.study),
            label=words.label(self.study),
            target=f"{self.study.target.on} training accuracy",
            registered=registered(self.lock, self.study.design, self.records, self.took),
            details=details(self.study),
        )
        (folder / PAGE).write_text(page.render(), encoding="utf-8")

    def write_tables(self, folder: Path) -> None:
        """Everything that is text: raw rows, tables, claims, the study file, and the records themselves."""
        write_archive(folder / ARCHIVE, self.records)
        if self.took:
            turns.write(folder, self.took)
        (folder / RUNS).write_text(texts.to_csv(tables.runs(self.records, self.study)), encoding="utf-8")
        if self.study.design.path:
            (folder / STUDY).write_bytes(self.study.design.path.read_bytes())
        for told in self.told:
            for kind, text in (("md", told.markdown), ("tex", told.latex), ("csv", told.csv)):
                (folder / f"{told.stem}.{kind}").write_text(text, encoding="utf-8")

    @cached_property
    def told(self) -> list[texts.Told]:
        """Its tables, in the order of the page."""
        found = []
        if self.study.design.table_1:
            found.append(texts.Told(TABLE_1, tables.parameters(self.study), "Parameters tested."))
        if self.findings:
            found.append(texts.Told(CLAIMS, tables.claims(self.findings), f"The claims, and what came out. {self.plan}".strip()))
        found += [self._told_answer(question, cells) for question, cells in self._answered()]
        for extra in self.extras:
            found.append(texts.Told(extra.stem, extra.table, f"{words.sentence(extra.title)} {extra.asks}", extra.numbers))
        return found

    def _answered(self) -> Iterator[tuple[Question, list[Cell]]]:
        """The questions that have an arm, and at last those arms that are of none."""
        yield from ((question, cells) for question, cells in self.answers.items() if cells)
        if self.unasked:
            yield OTHERS, self.unasked

    @cached_property
    def extras(self) -> list[Extra]:
        """What a report has that no question asks: whether runs were long enough and which images are right, where they tell; and where
        there is no study, comparisons with the best, main effects, and of a search what it found."""
        question, cells = self._first
        images = per_image.extra(self.study, cells, self._baseline(question, cells))
        epochs, timed = convergence.extra(self.study, cells), in_turns.extra(self.study)
        return [*([] if self.is_study else own_extras.extras(self.study)), *filter(None, (epochs, timed, images))]

    @property
    def _first(self) -> tuple[Question, Sequence[Cell]]:
        """The question that stands first, with its arms."""
        return next(self._answered(), (OTHERS, []))

    def _told_answer(self, question: Question, cells: Sequence[Cell]) -> texts.Told:
        bold = tables.best(cells)
        table = tables.arms(cells, self.study.target, self._baseline(question, cells), self.study.own, self.study.cells)
        said = [words.sentence(question.title), f"{self.subtitle(cells)}."]
        said += ["Bold: the best, and what lies within its interval."] * bool(bold)
        caption = " ".join(filter(None, (*said, words.timed_where(cells))))
        return texts.Told(question.name, table, caption, tables.tidy(cells, self.study.design, self.study.own), bold)

    def _rows(self) -> pd.DataFrame:
        """The table of all runs on the page: fewer columns than in the file, in per cent and seconds, with the questions of each run."""
        asked: dict[str, list[str]] = {}
        for question, cells in self.answers.items():
            for run_id in _runs(cells):
                asked.setdefault(run_id, []).append(question.name)
        return tables.rows(self.records, asked, self.study)

    def _sections(self, folder: Path) -> Iterator[PageSection]:
        for question, cells in (self.answers | ({OTHERS: self.unasked} if self.unasked else {})).items():
            drawn = [self._figure(figure, cells, folder) for figure in question.figures]
            told = next((told for told in self.told if told.stem == question.name), None)
            yield PageSection(
                question.name,
                question.title,
                question.asks,
                drawn,
                told.table if told else None,
                _runs(cells),
                words.chosen(cells, self.study),
                arms=[cell.identity for cell in cells],
                below=words.timed_where(cells),
                texts=told.copies if told else {},
            )
        for extra in self.extras:
            shown = [
                Figure(name, title, says, charts.save(chart, folder, name))
                for name, title, says, chart in extra.figures(self.subtitle(extra.cells))
            ]
            copies = next(told.copies for told in self.told if told.stem == extra.stem)
            yield PageSection(extra.stem, extra.title, extra.asks, shown, extra.table, [], extra.notes, arms=extra.arms, texts=copies)

    def _effects(self, folder: Path) -> Figure | None:
        """The figure that stands first: what decides the claims, or, without claims, each arm against one; None of a search."""
        question, cells = next(iter(self.answers.items()), (OTHERS, []))
        if self.findings:
            found, title, cells = effects.of_claims(self.findings), "What decides each claim", []
            every = sum(part.n > 0 for finding in self.findings for part in finding.parts)
            says = "Of each claim the comparison that decides it" if len(found) < every else "Each claim's comparisons"
        else:
            baseline = self._baseline(question, cells)
            found = [] if any(extra.is_search for extra in self.extras) else effects.of_arms(cells, baseline, self.study.cells)
            other = baseline.label if baseline else "the best of the others"
            title = says = f"Each arm's test accuracy less that of {other}"
        if not found:
            return None
        bounded = [effect.part for effect in found if effect.part.low is not None]
        chart = charts.effects.draw(found, title, self.subtitle(cells or self.study.cells, self._spread(bounded)))
        paired = {effect.part.over for effect in found if len(effect.part.each) > 1}
        pairs = ["of runs of one seed"] * bool(paired - {"rounds"}) + ["of turns in one round"] * ("rounds" in paired)
        each = f", and every pair {', or '.join(pairs)}" if pairs else ""
        described = f"{says}: the estimate{' with its interval' * bool(bounded)}{each}. The tables below have the numbers."
        return Figure(EFFECTS, title, described, charts.save(chart, folder, EFFECTS))

    def _spread(self, bounded: Sequence[Part]) -> str:
        """What the intervals of a figure of comparisons are: of one seed an arm over configurations, where there are any."""
        if not bounded:
            return _NO_INTERVAL
        at_looks = any(part.confidence != stats.CONFIDENCE for part in bounded)
        if self.study.is_replicated:
            return "means over seeds, each interval at the confidence of its look" if at_looks else _OVER_SEEDS
        return f"{'intervals at the confidence of their look' if at_looks else '95 % intervals'}, over configurations"

    def _figure(self, figure: FigureData, cells: Sequence[Cell], folder: Path) -> Figure:
        drawing = None
        if any(cell.counted for cell in cells):
            chart = charts.draw(tables.tidy(cells, self.study.design, self.study.own), figure, self.study, self.subtitle(cells))
            drawing = charts.save(chart, folder, figure.name)
        return Figure(figure.name, figure.title, figure.says, drawing)

    def _baseline(self, question: Question, cells: Sequence[Cell]) -> Cell | None:
        return next((cell for cell in cells if cell.treatment and self.study.is_baseline(question, cell.treatment)), None)

    @property
    def sweeps(self) -> set[str]:
        """Names of the sweeps that made the runs, and of those that ask what they answer."""
        return {record.sweep for record in self.records} | {question.name for question, cells in self.answers.items() if cells}

    @property
    def images(self) -> str:
        """What the runs were trained on."""
        return " and ".join(dict.fromkeys(record.environment.data for record in self.study.records if record.environment))

    def subtitle(self, cells: Sequence[Cell], spread: str | None = None) -> str:
        """Under the title of every figure of some arms: what they have in common, and what is drawn of them (`spread`: where not means)."""
        counted = [cell for cell in cells if cell.counted] or cells
        seeds = {cell.counted for cell in counted}
        spread = spread or (_OVER_SEEDS if max(seeds, default=0) > 1 else _NO_INTERVAL)
        return f"{self.images}, {self._width('width {}, ')}{self._held(counted)}{_epochs(counted)}, {_counted(seeds, 'seed')}: {spread}"

    def _held(self, cells: Sequence[Cell]) -> str:
        """What all of some arms have, of the factors in which the study departs from its base, and of how it trains."""
        treatments = [cell.treatment for cell in cells if cell.treatment]
        said = []
        for name, column in self.study.design.by_name.items():
            levels = {treated[name] for treated in treatments}
            if column.is_factor and len(levels) == 1 and column.name != "epochs" and "train.epochs" not in column.sources:
                (level,) = levels
                said += [column.say(level)] if written(level) != written(self.study.base[name]) else []
        planned = [flat(cell.records[0].config) for cell in cells]
        for key, form in (("optimizer.name", "{}"), ("optimizer.lr", "rate {}"), ("train.batch_size", "batch {}")):
            values = {written(each.get(key)) for each in planned}
            said += [form.format(*values)] if len(values) == 1 and "none" not in values else []
        return "".join(f"{each}, " for each in dict.fromkeys(said) if each)

    def what(self) -> str:
        """Say in a sentence what was studied."""
        environment = next(record.environment for record in self.study.records if record.environment)
        counted = [cell for cell in self.study.cells if cell.counted]
        finished = sum(map(stats.counts, self.study.records))
        seeds = "one seed each." if self.study.seeds == 1 else f"up to {self.study.seeds} seeds each, {finished} finished runs in all."
        return (
            f"{self.study.design.description}{' ' if self.study.design.description else ''}"
            f"{called(self.study.fixed)} on {self.images} ({environment.train_images:,} training and "
            f"{environment.test_images:,} test images), {_epochs(counted)}: {_count(len(counted), 'arm')}, {seeds}"
        )

    def _width(self, form: str) -> str:
        """Nothing where it is varied."""
        width = self.study.fixed.get("model.width")
        return form.format(width) if width else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _counted(numbers: Collection[int], what: str) -> str:
    """`3 seeds`, or `3 to 11 seeds` of arms that have more or fewer."""
    least, most = min(numbers, default=0), max(numbers, default=0)
    return _count(most, what) if least == most else f"{least} to {most} {what}s"


def _epochs(cells: Sequence[Cell]) -> str:
    return _counted({cell.epochs for cell in cells}, "epoch")


def _answers(study: Study) -> dict[Question, list[Cell]]:
    """The arms that answer each question. Where a question compares no two of them, or has none that departs in what it alone varies, they
    are there for others, and answer it only where no other shows them. The first question has all of its arms."""
    found = {question: study.answers(question) for question in study.design.questions}

    def is_answered(question: Question, cells: Sequence[Cell]) -> bool:
        return _varies_its_own(question, cells, study) and _compares(question, cells, study.design)

    shown = {question for place, (question, cells) in enumerate(found.items()) if place == 0 or is_answered(question, cells)}
    known = {cell.identity for question in shown for cell in found[question]}
    for question, cells in found.items():
        if question not in shown and any(cell.identity not in known for cell in cells):
            shown.add(question)
            known |= {cell.identity for cell in cells}
    return {question: cells if question in shown else [] for question, cells in found.items()}


def _varies_its_own(question: Question, cells: Sequence[Cell], study: Study) -> bool:
    """Whether an arm departs from the base in a factor that no other question varies; of a question without one of its own always."""
    names = frozenset(study.design.names)

    def varied(each: Question) -> frozenset[str]:
        return names if each.varies is None else names & set(each.varies)

    own = varied(question).difference(*(varied(other) for other in study.design.questions if other is not question))
    return not own or any(cell.treatment and study.departures[cell.treatment] & own for cell in cells)


def _compares(question: Question, cells: Sequence[Cell], design: Design) -> bool:
    """Whether two of the arms differ in one factor alone, or stand on one line of a figure."""
    arms = [{name: written(cell.treatment[name]) for name in design.by_name} for cell in cells if cell.treatment]
    factors = [name for name, column in design.by_name.items() if column.is_factor]
    lines = [(figure.x, [name for name in (figure.lines, figure.panels) if name]) for figure in question.figures if figure.x]

    def are_compared(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        differ = {name for name in one if one[name] != other[name]}
        return sum(name in differ for name in factors) == 1 or any(x in differ and differ.isdisjoint(same) for x, same in lines)

    return any(are_compared(one, other) for one, other in combinations(arms, 2))


def _runs(cells: Sequence[Cell]) -> list[str]:
    return [record.run_id for cell in cells for record in cell.records]
