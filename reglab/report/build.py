"""A report's folder: tables, figures, raw rows and the page, all there or not at all."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.report import figures, stats, tables
from reglab.report.page import GENERATOR, Figure, Page
from reglab.report.stats import Cell
from reglab.tracking.record import RunRecord, State

STEM = "final_models"
FIGURE = "figure_11"
PAGE = "index.html"

_RUN_COLUMNS = {
    "model": "model",
    "seed": "seed",
    "state": "state",
    "epochs": "epochs",
    "test/accuracy": "test",
    "test/best_accuracy": "best test",
    "train_clean/accuracy": "train",
    "time/train_seconds": "training s",
    "time_to_target/seconds": "to target s",
    "throughput/images_per_second": "images/s",
    "run": "run",
}


def build(records: Sequence[RunRecord], folder: Path) -> Path:
    """Write the report on `records` into `folder`, in place of an earlier one; returns its page.

    Raises UserError where the records have no finished run, or the folder holds something else than a report.
    """
    if not any(stats.counts(record) for record in records):
        raise UserError(f"none of the {len(records)} runs has finished: finish the sweep first (`reglab sweep run` goes on)")
    if folder.exists() and not _is_report(folder):
        raise UserError(f"--out {folder} exists and is not a report: give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        _write(records, made)
        if folder.exists():
            folder.rename(Path(temporary) / "earlier")
        made.rename(folder)
    return folder / PAGE


def _is_report(folder: Path) -> bool:
    """Whether a folder is empty or an earlier report, and so may be replaced: a page of ours, and only files beside it."""
    entries = list(folder.iterdir()) if folder.is_dir() else [folder]
    page = folder / PAGE
    return not entries or (page.is_file() and all(entry.is_file() for entry in entries) and GENERATOR in page.read_text(errors="replace"))


def _write(records: Sequence[RunRecord], folder: Path) -> None:
    cells, config = stats.cells(records), _config(records)
    epochs = config.train.epochs
    what, data = _what(records, config), _data(records)
    table, tidy, rows = tables.arms(cells, target(records)), tables.tidy(cells), tables.runs(records)
    is_final = any(cell.label == "baseline" for cell in cells)
    title = f"{'Final models' if is_final else records[0].sweep} on {data}"
    subtitle = f"{epochs} epochs, width {config.model.width}; bars and points are means over seeds"
    chart = figures.final_models(tidy, target(records), title, subtitle)
    figures.save(chart, folder, FIGURE)
    tidy.to_csv(folder / f"{STEM}.csv", index=False)
    rows.to_csv(folder / "runs.csv", index=False)
    (folder / f"{STEM}.md").write_text(tables.to_markdown(table))
    (folder / f"{STEM}.tex").write_text(tables.to_latex(table, f"{title}: accuracies and overfitting in per cent, times in seconds"))
    description = (
        "Test and training accuracy with the overfitting between them, training time, and time to "
        f"{target(records):.0%} training accuracy, for each model. Lines through the test points are 95 % intervals."
    )
    figure = Figure(FIGURE, "Figure 11: the final models compared", description, (folder / f"{FIGURE}.json").read_text())
    shown = rows.reindex(columns=list(_RUN_COLUMNS)).rename(columns=_RUN_COLUMNS)
    page = Page(title, what, headline(cells, target(records)), notes(records, cells), [figure], STEM, table, shown, machines(records))
    (folder / PAGE).write_text(page.render())


def _config(records: Sequence[RunRecord]) -> RunConfig:
    """The configuration of the first run that counts, for what is the same in all."""
    return RunConfig.parse(next(record for record in records if stats.counts(record)).config)


def target(records: Sequence[RunRecord]) -> float:
    """The training accuracy whose time is taken."""
    return _config(records).train.target_accuracy


def _data(records: Sequence[RunRecord]) -> str:
    return " and ".join(dict.fromkeys(record.environment.data for record in records if record.environment))


def _what(records: Sequence[RunRecord], config: RunConfig) -> str:
    environment = next(record.environment for record in records if record.environment)
    seeds = len({record.seed for record in records})
    return (
        f"ResNet-50 of width {config.model.width} on {_data(records)} ({environment.train_images:,} training and "
        f"{environment.test_images:,} test images), {config.train.epochs} epochs, {len(records)} runs, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'} an arm."
    )


def headline(cells: Sequence[Cell], goal: float) -> str:
    """What came out, in a sentence or two."""
    tested = [cell for cell in cells if cell.test_accuracy]
    best = max(tested, key=lambda cell: cell.test_accuracy.mean if cell.test_accuracy else 0)
    assert best.test_accuracy
    line = f"{best.label} has the best test accuracy: {best.test_accuracy.mean:.1%}"
    line += f" ± {100 * best.test_accuracy.half_width:.1f} points" if best.test_accuracy.half_width is not None else ""
    if (baseline := next((cell for cell in tested if cell.label == "baseline"), None)) and baseline is not best and baseline.test_accuracy:
        line += f", {100 * (best.test_accuracy.mean - baseline.test_accuracy.mean):+.1f} points against the baseline"
    reached = [cell.label for cell in tested if cell.time_to_target and cell.time_to_target.reached]
    line += f". {len(reached)} of {len(tested)} models reach {goal:.0%} training accuracy."
    if best.test_accuracy.n == 1:
        line += " With one seed an arm, differences have no interval: take them as a first look."
    return line


def notes(records: Sequence[RunRecord], cells: Sequence[Cell]) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = []
    for state in State:
        left_out = [
            f"{record.label} s{record.seed}" + (f" ({record.reason})" if record.reason else "")
            for record in records
            if record.state == state
        ]
        if left_out and state != State.finished:
            found.append(f"{len(left_out)} {state}, not counted: " + "; ".join(left_out))
    for cell in cells:
        if cell.times_are_mixed:
            there = sorted({stats.machine(record.environment) for record in cell.records if record.environment and stats.counts(record)})
            found.append(f"Times of {cell.label} come from unlike machines and are not pooled: " + " / ".join(there))
    if len({record.environment.data_fingerprint for record in records if record.environment}) > 1:
        found.append("Not all runs saw the same images: their accuracies are not comparable")
    return found


def machines(records: Sequence[RunRecord]) -> list[str]:
    counted: dict[str, int] = {}
    for record in records:
        if record.environment:
            counted[stats.machine(record.environment)] = counted.get(stats.machine(record.environment), 0) + 1
    return [f"{count} run{'s' if count > 1 else ''}: {name}" for name, count in counted.items()]
