"""`reglab report`: from run records to tables, figures and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from reglab.cli.console import Group, counting, say, say_recognized, tell
from reglab.cli.console import show as show_table
from reglab.errors import UserError
from reglab.exits import FAILED

if TYPE_CHECKING:
    from reglab.report.design import Design
    from reglab.tracking.record import RunRecord

app = typer.Typer(cls=Group, help="Turn runs into tables, figures, verdicts and a page.", no_args_is_help=True)


Study = Annotated[str | None, typer.Option("--study", metavar="FILE", help="A study file, or the name of one that comes with reglab.")]

Baseline = Annotated[
    str | None, typer.Option("--baseline", metavar="'KEY=VALUE …'", help="Without a study: compare with this arm, as with the best.")
]


@app.command()
def build(
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="runs/<sweep>, runs/<study>, wandb://entity/project[/sweep], or a report.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder, such as reports/final.")],
    study: Study = None,
    baseline: Baseline = None,
) -> None:
    """Write tables (Markdown, CSV, LaTeX), figures (PNG, SVG), and one self-contained page; of runs of a study a verdict on every claim.

    Runs are of the study of `--study`, of that of a report which is built again, or of the published one where all are its sweeps'.
    Others are reported by what varies among them.
    """
    write(source, out, study, baseline)


@app.command()
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Reports.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="SOURCE", help="Where their runs are; where they were, if that can be read.")
    ] = None,
) -> None:
    """Fail where a report is stale, altered, or mixes runs that are not comparable, and name what differs."""
    from reglab.report.check import design_of, faults
    from reglab.report.manifest import Manifest

    unwell = 0
    for folder in folders:
        runs = _runs_of(folder, source)
        found = faults(folder, sweep_hashes(design_of(folder, Manifest.read(folder))), runs)
        unwell += bool(found)
        for line in found:
            tell(f"{folder}: {line}")
        if not found:
            tell(f"{folder}: up to date" + ("" if runs is not None else "; its runs are out of reach, --from compares with them"))
    if unwell:
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class Judged:
    """Runs, and by what they are reported: of a report that is built again, as it has them."""

    records: "Sequence[RunRecord]"
    source: str
    sweeps: dict[str, str]
    design: "Design | None"
    baseline: str | None


def judged(source: str, study: str | None = None, baseline: str | None = None) -> Judged:
    """Read the runs in `source`, and find by which study they are reported. Raises UserError for a baseline beside a study."""
    from reglab.report import study_file
    from reglab.report.check import design_of
    from reglab.report.manifest import Manifest
    from reglab.tracking.fetch import fetch
    from reglab.tracking.store import ARCHIVE

    design = study_file.read(study) if study else None  # a fault in it is told before any run is read
    with counting("reading runs") as progress:
        records = fetch(source, progress=progress)
    records = _ours(records, source)
    say_recognized(record.run_id for record in records if record.formerly)
    hashes: dict[str, str] = {}
    if (Path(source) / ARCHIVE).exists():  # a report that is built again tells of the same runs and sweeps, by the same study
        earlier = Manifest.read(Path(source))
        design, baseline = design or design_of(Path(source), earlier), baseline or earlier.baseline
        source, hashes = earlier.source, earlier.sweeps
    if design is None:
        design = study_file.of(records)
        if design is None:
            say("these runs are of no study: reported by what varies among them (--study FILE judges the claims of one)")
    hashes = hashes or sweep_hashes(design)
    if design and baseline:
        raise UserError("--baseline is for runs of no study: a study file says against what each question compares (`against:`)")
    return Judged(records, source, hashes, design, baseline)


def write(source: str, out: Path, study: str | None = None, baseline: str | None = None) -> "Sequence[RunRecord]":
    """Build the report on the runs in `source` and print where its page is; returns the runs."""
    from reglab.report import build

    found = judged(source, study, baseline)
    tell(build.build(found.records, out, found.source, found.sweeps, found.design, found.baseline))
    return found.records


def _ours(records: "list[RunRecord]", source: str) -> "list[RunRecord]":
    """The runs of `reglab train` among them; that others are left out is said. Raises UserError where there are only others."""
    others = [record for record in records if record.program is not None]
    if others and len(others) == len(records):
        raise UserError(f"--from {source}: its runs are of `{others[0].program}`, and a report is on runs of `reglab train`")
    if others:
        say(f"left out: {len(others)} runs of another program, such as `{others[0].program}`")
    return [record for record in records if record.program is None]


def sweep_hashes(design: "Design | None") -> dict[str, str]:
    """SHA-256 of the sweep files of a study that are within reach, by their stems."""
    from reglab.report.manifest import sha256

    return {file.stem: sha256(file) for file in design.files if file.exists()} if design else {}


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


def show(records: "Sequence[RunRecord]", study: str) -> None:
    """Print the table of a study's first question for a terminal."""
    from reglab.report import study_file, tables
    from reglab.report.study import Study as Runs

    runs = Runs.of(records, study_file.read(study))
    frame = tables.arms(runs.answers(runs.design.questions[0]), runs.target)
    frame = frame.rename(
        columns={"overfitting": "overfit", "training, s": "time, s", "train (clean), %": "train, %"}
    )  # 80 characters in all
    columns = [Column(name, justify="left" if name == "model" else "right", no_wrap=True) for name in frame.columns]
    table = Table(*columns, box=None, pad_edge=False, collapse_padding=True)
    for row in frame.itertuples(index=False):
        table.add_row(*row)
    show_table(table)
