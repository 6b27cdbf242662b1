"""A report's folder: page, tables, figures, raw rows and manifest, all there or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from reglab.atomic import held, is_abandoned
from reglab.errors import UserError
from reglab.report import claims, figures, stats, tables
from reglab.report.claims import Finding, Verdict
from reglab.report.manifest import MANIFEST, Manifest
from reglab.report.page import GENERATOR, Figure, Page, Section
from reglab.report.questions import FINAL, QUESTIONS, Drawing, Question
from reglab.report.stats import Cell
from reglab.report.study import Study
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import QUIET, RunRecord, State
from reglab.tracking.store import ARCHIVE, write_archive

PAGE = "index.html"
RUNS = "runs.csv"
TABLE_1 = "table_1"
CLAIMS = "claims"
_EARLIER = "earlier"
"""What the folder of the report that is replaced is called until it is gone."""

OTHERS = "others"
"""Stem of the tables and the figure of runs that answer no question of the study."""

_OTHERS_DRAWN = Drawing(
    OTHERS, "The other arms", "For each arm: test and training accuracy, training time, and time to the target.", figures.others
)


def build(records: Sequence[RunRecord], folder: Path, source: str, sweeps: Mapping[str, str]) -> Path:
    """Write the report on `records` into `folder`, in place of an earlier one; returns its page.

    Of the earlier one go the files that its manifest lists, as it lists them; whatever else lies there stays.
    `source` is where the records come from, `sweeps` the hashes of sweep files; the manifest keeps those that these runs are of.
    Raises UserError where none of the runs has finished, they saw different images of one name, the folder is no report, or a file
    in it that is not the earlier report's is in the way.
    """
    refuse_mixed(records)
    if not any(stats.counts(record) for record in records):
        raise UserError(f"none of the {len(records)} runs has finished: finish the sweep first (`reglab sweep run` goes on)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_up(folder)
    others = _others(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary, held(Path(temporary)):
        made = Path(temporary) / folder.name
        made.mkdir()
        report = Report(Study.of(records), records)
        report.write(made)
        own = {stem: digest for stem, digest in sweeps.items() if stem in report.sweeps}
        Manifest.of(records, source, own, made).write(made)
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

    def __init__(self, study: Study, records: Sequence[RunRecord]):
        self.study, self.records = study, records
        self.findings = claims.judge(study)
        self.answers = _answers(study)
        self.unasked = study.unasked(QUESTIONS)

    def write(self, folder: Path) -> None:
        self.write_tables(folder)
        page = Page(
            title=f"{'Four regularizers on a ResNet-50' if self._is_study else self.records[0].sweep}: {self.images}",
            what=self.what(),
            headline=headline(self.findings, self.answers[FINAL], self.study),
            findings=self.findings,
            sections=list(self._sections(folder)),
            table_1=tables.table_1(self.study.records),
            runs=self._rows(),
            machines=machines(self.records),
            notes=notes(self.study),
            label=label(self.study),
        )
        (folder / PAGE).write_text(page.render(), encoding="utf-8")

    def write_tables(self, folder: Path) -> None:
        """Everything that is text: raw rows, tables, claims, and the records themselves."""
        write_archive(folder / ARCHIVE, self.records)
        (folder / RUNS).write_text(tables.to_csv(tables.runs(self.records)), encoding="utf-8")
        self._write_table(folder, TABLE_1, tables.table_1(self.study.records), "Parameters tested")
        self._write_table(folder, CLAIMS, tables.claims(self.findings), "The study's claims")
        for question, cells in self.answers.items():
            if cells:
                self._write_answer(folder, question.stem, cells, self._baseline(question, cells), question.title)
        if self.unasked:
            self._write_answer(folder, OTHERS, self.unasked, None, "Other runs")

    def _write_answer(self, folder: Path, stem: str, cells: Sequence[Cell], baseline: Cell | None, title: str) -> None:
        table = tables.arms(cells, self.study.target, baseline)
        self._write_table(folder, stem, table, f"{title} {self.subtitle()}.", numbers=tables.tidy(cells))

    def _write_table(self, folder: Path, stem: str, table: pd.DataFrame, caption: str, numbers: pd.DataFrame | None = None) -> None:
        """As Markdown and LaTeX for people, and as CSV: of the numbers, where the table is text."""
        (folder / f"{stem}.md").write_text(tables.to_markdown(table), encoding="utf-8")
        (folder / f"{stem}.tex").write_text(tables.to_latex(table, caption), encoding="utf-8")
        (folder / f"{stem}.csv").write_text(tables.to_csv(table if numbers is None else numbers), encoding="utf-8")

    def _rows(self) -> pd.DataFrame:
        """The table of all runs on the page: fewer columns than in the file, in per cent and seconds, with the questions of each run."""
        asked: dict[str, list[str]] = {}
        for question, cells in self.answers.items():
            for run_id in _runs(cells):
                asked.setdefault(run_id, []).append(question.stem)
        return tables.rows(self.records, asked)

    def _sections(self, folder: Path) -> Iterator[Section]:
        for question, cells in self.answers.items():
            baseline = self._baseline(question, cells)
            yield self._section(question.stem, question.title, question.asks, question.drawings, cells, baseline, folder)
        if self.unasked:
            asks = "Arms that are part of no question of the study."
            yield self._section(OTHERS, "Other runs", asks, (_OTHERS_DRAWN,), self.unasked, None, folder)

    def _section(
        self, stem: str, title: str, asks: str, drawings: Sequence[Drawing], cells: Sequence[Cell], baseline: Cell | None, folder: Path
    ) -> Section:
        drawn = [self._figure(drawing, cells, folder) for drawing in drawings]
        table = tables.arms(cells, self.study.target, baseline) if cells else None
        return Section(stem, title, asks, drawn, table, _runs(cells), chosen(cells))

    def _figure(self, drawing: Drawing, cells: Sequence[Cell], folder: Path) -> Figure:
        spec = None
        if any(cell.counted for cell in cells):
            chart = drawing.draw(tables.tidy(cells), self.study.base, self.study.target, drawing.title, self.subtitle())
            spec = figures.save(chart, folder, drawing.stem)
        return Figure(drawing.stem, drawing.title, drawing.description, spec)

    def _baseline(self, question: Question, cells: Sequence[Cell]) -> Cell | None:
        wanted = question.baseline(self.study.base)
        return next((cell for cell in cells if cell.factors == wanted), None)

    @property
    def _is_study(self) -> bool:
        return any(self.answers.values())

    @property
    def sweeps(self) -> set[str]:
        """Names of the sweeps that made the runs, and of those that ask what they answer."""
        return {record.sweep for record in self.records} | {question.stem for question, cells in self.answers.items() if cells}

    @property
    def images(self) -> str:
        """What the runs were trained on."""
        return " and ".join(dict.fromkeys(record.environment.data for record in self.study.records if record.environment))

    def subtitle(self) -> str:
        """Under every figure's title."""
        seeds = f"{self.study.seeds} {'seed' if self.study.seeds == 1 else 'seeds'}"
        spread = "means over seeds with 95 % intervals" if self.study.seeds > 1 else "no interval"
        return f"{self.images}, width {self.study.fixed.get('model.width')}, {self.study.base.epochs} epochs, {seeds}: {spread}"

    def what(self) -> str:
        """What was studied, in a sentence."""
        environment = next(record.environment for record in self.study.records if record.environment)
        arms = len({stats.arm(record) for record in self.study.records if stats.counts(record)})
        finished = sum(map(stats.counts, self.study.records))
        return (
            f"ResNet-50 of width {self.study.fixed.get('model.width')} on {self.images} ({environment.train_images:,} training and "
            f"{environment.test_images:,} test images), {self.study.base.epochs} epochs: {arms} arms, "
            + ("one seed each." if self.study.seeds == 1 else f"up to {self.study.seeds} seeds each, {finished} finished runs in all.")
        )


def _answers(study: Study) -> dict[Question, list[Cell]]:
    """The arms that answer each question. The final models alone answer others with too few arms to be worth a figure."""
    final = study.answers(FINAL)
    known = {cell.identity for cell in final}
    found = {question: study.answers(question) for question in QUESTIONS[1:]}
    return {FINAL: final} | {
        question: cells if any(cell.identity not in known for cell in cells) else [] for question, cells in found.items()
    }


def _runs(cells: Sequence[Cell]) -> list[str]:
    return [record.run_id for cell in cells for record in cell.records]


def label(study: Study) -> str | None:
    """What a reader must not take these runs for; None for the published study's own set-up."""
    if not (departures := study.unlike_the_published()):
        return None
    return f"Not the published study's set-up: {', '.join(departures)}."


def headline(findings: Sequence[Finding], final: Sequence[Cell], study: Study) -> list[str]:
    """What came out, and how sure it is, in some sentences."""
    said = []
    if any(finding.runs for finding in findings):
        counted = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in Verdict}
        said.append(
            f"Of the study's {len(findings)} claims these runs bear out {counted[Verdict.reproduced]}, contradict "
            f"{counted[Verdict.not_reproduced]}, and leave {counted[Verdict.undecided]} undecided."
        )
    if best := max((cell for cell in final if cell.test_accuracy), key=_mean, default=None):
        said.append(_best(best, final, study.target))
    if study.seeds == 1:
        said.append("With one seed an arm, intervals are over configurations, not over seeds: take them as a first look.")
    return said


def chosen(cells: Sequence[Cell]) -> list[str]:
    """What each search chose on its held-out images, and what that comes to on the test images, seen once."""
    drawn: dict[str, list[tuple[float, Cell]]] = {}
    for cell in cells:
        for record in cell.records:
            if cell.factors and cell.factors.held_out and record.summary and record.summary.val_accuracy is not None:
                drawn.setdefault(record.sweep, []).append((record.summary.val_accuracy, cell))
    said = []
    for sweep, found in drawn.items():
        validation, best = max(found, key=lambda pair: pair[0])
        if best.factors and best.test_accuracy:
            said.append(
                f"Of its {len(found)} draws, {sweep} chooses {best.factors.array} by {validation:.1%} on held-out training images: "
                f"{best.test_accuracy.mean:.1%} on the test images."
            )
    return said


def _mean(cell: Cell) -> float:
    return cell.test_accuracy.mean if cell.test_accuracy else 0.0


def _best(best: Cell, final: Sequence[Cell], target: float) -> str:
    assert best.test_accuracy
    line = f"Of the final models, {best.label} has the best test accuracy: {best.test_accuracy.mean:.1%}"
    line += f" ± {100 * best.test_accuracy.half_width:.1f} points" if best.test_accuracy.half_width is not None else ""
    if (baseline := next((cell for cell in final if cell.label == "baseline"), None)) and baseline is not best and baseline.test_accuracy:
        line += f", {100 * (best.test_accuracy.mean - baseline.test_accuracy.mean):+.1f} points against the baseline"
    reached = sum(any(times.to_target and times.to_target.reached for times in cell.times) for cell in final)
    return f"{line}; {reached} of {len(final)} reach {target:.0%} training accuracy."


def notes(study: Study) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = []
    for state in State:
        left_out = [
            f"{record.label} s{record.seed}" + (f" ({record.reason})" if record.reason else "")
            for record in study.records
            if record.state == state
        ]
        if left_out and state != State.finished:
            found.append(f"{len(left_out)} {state}, not counted: " + "; ".join(left_out))
    if damaged := [record.run_id for record in study.records if record.damage]:
        runs = "1 run" if len(damaged) == 1 else f"{len(damaged)} runs"
        found.append(f"the history of {runs} is damaged, and the summary counts: {', '.join(damaged)}")
    if study.others:
        keys = "; ".join(f"{key} {' / '.join(map(str, values))}" for key, values in study.differing.items())
        runs = "1 run is" if len(study.others) == 1 else f"{len(study.others)} runs are"
        found.append(f"{runs} of another set-up, and only among the rows: {keys}")
    if study.again:
        runs = "1 run is" if len(study.again) == 1 else f"{len(study.again)} runs are"
        found.append(f"{runs} of an arm and seed that is there already, and only among the rows")
    there = {where for record in study.records if stats.counts(record) and (where := stats.place(record))}
    if len(there) > 1:
        found.append(
            f"Times come from {len(there)} unlike machines or versions of the code, and are not pooled: {' / '.join(sorted(there))}"
        )
    if shared := sum(bool(record.summary and record.summary.shared_its_cores) for record in study.records):
        who = "1 run" if shared == 1 else f"{shared} runs"
        found.append(f"{who} shared cores with other programs, with less than {QUIET:.0%} of the time of its own: slower than need be")
    return found


def machines(records: Sequence[RunRecord]) -> list[str]:
    """Where the runs ran, with their number."""
    counted: dict[str, int] = {}
    for record in records:
        if where := stats.place(record):
            counted[where] = counted.get(where, 0) + 1
    return [f"{count} run{'s' if count > 1 else ''}: {name}" for name, count in counted.items()]
