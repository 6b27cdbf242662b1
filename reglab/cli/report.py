"""`reglab report`: from run records to tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from reglab.cli.console import Group, counting, say_recognized, tell
from reglab.cli.console import show as show_table
from reglab.exits import FAILED

if TYPE_CHECKING:
    from reglab.tracking.record import RunRecord

app = typer.Typer(cls=Group, help="Turn runs into tables, figures, verdicts and a page.", no_args_is_help=True)


@app.command()
def build(
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="runs/<sweep>, runs/<study>, wandb://entity/project[/sweep], or a report.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder, such as reports/final.")],
) -> None:
    """Write tables (Markdown, CSV, LaTeX), figures (PNG, SVG), a verdict on every claim, and one self-contained page."""
    write(source, out)


@app.command()
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Reports.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="SOURCE", help="Where their runs are; where they were, if that can be read.")
    ] = None,
) -> None:
    """Fail where a report is stale, altered, or mixes runs that are not comparable, and name what differs."""
    from reglab.report.check import faults

    unwell = 0
    for folder in folders:
        runs = _runs_of(folder, source)
        found = faults(folder, sweep_hashes(), runs)
        unwell += bool(found)
        for line in found:
            tell(f"{folder}: {line}")
        if not found:
            tell(f"{folder}: up to date" + ("" if runs is not None else "; its runs are out of reach, --from compares with them"))
    if unwell:
        raise typer.Exit(FAILED)


def write(source: str, out: Path) -> "Sequence[RunRecord]":
    """Build the report on the runs in `source` and print where its page is; returns the runs."""
    from reglab.report import build
    from reglab.report.manifest import Manifest
    from reglab.tracking.fetch import fetch
    from reglab.tracking.store import ARCHIVE

    with counting("reading runs") as progress:
        records = fetch(source, progress=progress)
    say_recognized(record.run_id for record in records if record.formerly)
    hashes = sweep_hashes()
    if (Path(source) / ARCHIVE).exists():  # a report that is built again tells of the same runs and sweeps
        earlier = Manifest.read(Path(source))
        source, hashes = earlier.source, earlier.sweeps
    tell(build.build(records, out, source, hashes))
    return records


def sweep_hashes() -> dict[str, str]:
    """SHA-256 of the sweep files of the study, by their stems."""
    from reglab.report.manifest import sha256
    from reglab.sweep.spec import shipped
    from reglab.sweep.study import SWEEPS

    return {stem: sha256(shipped(stem)) for stem in SWEEPS}


def _runs_of(folder: Path, source: str | None) -> "Sequence[RunRecord] | None":
    """The runs that a report was built from, as they are now; None where they are not within reach and nobody asked for them."""
    from reglab.report.manifest import Manifest
    from reglab.tracking.fetch import fetch

    known = Manifest.read(folder).source
    if source is None and not (Path(known).is_dir() and _is_within_reach(Path(known), folder)):
        return None
    return fetch(source or known, history=False)


def _is_within_reach(source: Path, report: Path) -> bool:
    """Whether it lies where runs and reports are: a report may be another's, and its manifest name any folder of this machine."""
    from reglab.settings import settings

    return any(source.resolve().is_relative_to(place.resolve()) for place in (settings().runs, Path(), report.parent))


def show(records: "Sequence[RunRecord]") -> None:
    """Print the table of the final models for a terminal."""
    from reglab.report import tables
    from reglab.report.questions import FINAL
    from reglab.report.study import Study

    study = Study.of(records)
    frame = tables.arms(study.answers(FINAL), study.target)
    frame = frame.rename(columns={"overfitting": "overfit", "training, s": "time, s"})  # 80 characters in all
    columns = [Column(name, justify="left" if name == "model" else "right", no_wrap=True) for name in frame.columns]
    table = Table(*columns, box=None, pad_edge=False, collapse_padding=True)
    for row in frame.itertuples(index=False):
        table.add_row(*row)
    show_table(table)
