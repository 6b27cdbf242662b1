"""`reglab report`: from run records to tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from reglab.cli.commands import Commands, GroupBy, SeedKey
from reglab.console import counting, say, tell, working
from reglab.console import show as show_table
from reglab.exits import FAILED
from reglab.tracking.recognized import say_recognized

if TYPE_CHECKING:
    from reglab.report.manifest import AnyRun
    from reglab.report.programs.roles import AskedRoles
    from reglab.tracking.record import RunRecord
    from reglab.tracking.turns import Turns

app = Commands(help="Turn runs into tables, figures, verdicts and a page.")


Study = Annotated[str | None, typer.Option("--study", metavar="FILE", help="A study file, or the name of one that comes with reglab.")]

Sources = Annotated[
    list[str],
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="runs/<sweep>, runs/<study>, wandb://entity/project[/sweep], a table (runs.csv), or a report; several --from together.",
    ),
]

Baseline = Annotated[
    str | None, typer.Option("--baseline", metavar="'KEY=VALUE …'", help="Without a study: compare with this arm, as with the best.")
]


@app.command()
def build(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder, such as reports/final.")],
    study: Study = None,
    baseline: Baseline = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="KEY", help="Of runs of another program: what they are told by.")
    ] = None,
    goal: Annotated[str | None, typer.Option("--goal", metavar="GOAL", help="Of the metric: maximize or minimize.")] = None,
    seed_key: SeedKey = None,
    time_key: Annotated[
        str | None, typer.Option("--time-key", metavar="KEY", help="Of runs of another program: how long they took; or none.")
    ] = None,
    group_by: GroupBy = None,
) -> None:
    """Write tables (Markdown, CSV, LaTeX), figures (PNG, SVG), and one self-contained page; of runs of a study a verdict on every claim.

    Runs are of the study of `--study`, of that of a report which is built again, or of the published one where all are its sweeps'.
    Others are reported by what varies among them; so are runs of any other program, in a table or a W&B project: which key is the
    metric, the seed, the time or a setting is guessed where it is not said, and each guess is told.
    """
    from reglab.report.programs.roles import AskedRoles

    asked = AskedRoles(
        metric, goal, seed_key, time_key, tuple(key.strip() for key in group_by.split(",")) if group_by is not None else None
    )
    write(sources, out, study, baseline, asked)


@app.command()
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Reports.")],
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="SOURCE", help="Where their runs are; where they were, if that can be read; several --from together."
        ),
    ] = None,
) -> None:
    """Fail where a report is stale, altered, or mixes runs that are not comparable, and name what differs."""
    from reglab.report.check import faults
    from reglab.report.collection import sweep_hashes
    from reglab.report.manifest import Manifest

    unwell = 0
    for folder in folders:
        runs, took = _runs_of(folder, sources)
        found = faults(folder, sweep_hashes(Manifest.read(folder).design(folder)), runs, took)
        unwell += bool(found)
        for line in found:
            tell(f"{folder}: {line}")
        if not found:
            tell(f"{folder}: up to date" + ("" if runs is not None else "; its runs are out of reach, --from compares with them"))
    if unwell:
        raise typer.Exit(FAILED)


def write(
    sources: Sequence[str], out: Path, study: str | None = None, baseline: str | None = None, asked: "AskedRoles | None" = None
) -> "Sequence[RunRecord]":
    """Build the report on the runs in `sources` and print where its page is; returns those of reglab."""
    from reglab.report import collection
    from reglab.report.programs.roles import AskedRoles
    from reglab.report.studies import study_file

    design = study_file.read(study) if study else None  # a fault in it is told before any run is read
    with counting("reading runs") as progress:
        found = collection.read(sources, asked or AskedRoles(), progress)
    say_recognized(record.run_id for record in found.records if record.formerly)
    for line in found.said:
        say(line)
    with working("drawing the figures"):
        built = collection.build_report(found, out, design, baseline)
    if not found.roles and built.design is None and found.earlier is None:
        say("these runs are of no study: reported by what varies among them (--study FILE judges the claims of one)")
    tell(built)
    return found.records


def _runs_of(folder: Path, sources: Sequence[str] | None) -> "tuple[Sequence[AnyRun] | None, Sequence[Turns] | None]":
    """The runs that a report was built from, and the turns, as they are now; None where they are not within reach and nobody asked for
    them."""
    from reglab.report.manifest import Manifest
    from reglab.tracking.fetch import fetch, programs, turns_of
    from reglab.tracking.store import each_once

    manifest = Manifest.read(folder)
    if not sources:
        known = Path(manifest.source)
        if not (known.exists() and _is_within_reach(known, folder)):
            return None, None
        sources = [manifest.source]
    if manifest.roles:
        return [run for source in sources for run in programs(source, all_of_them=True) or ()], None
    return each_once(record for source in sources for record in fetch(source, history=False)), turns_of(sources)


def _is_within_reach(source: Path, report: Path) -> bool:
    """Whether it lies where runs and reports are: a report may be another's, and its manifest name any folder of this machine."""
    from reglab.settings import settings

    return any(source.resolve().is_relative_to(place.resolve()) for place in (settings().runs, Path(), report.parent))


def show(records: "Sequence[RunRecord]", study: str) -> None:
    """Print the table of a study's first question for a terminal."""
    from reglab.report import tables
    from reglab.report.studies import study_file
    from reglab.report.studies.study import Study as Runs

    runs = Runs.of(records, study_file.read(study))
    frame = tables.arms(runs.answers(runs.design.questions[0]), runs.target, own=runs.own)
    frame = frame.rename(
        columns={"overfitting": "overfit", "training, s": "time, s", "train (clean), %": "train, %"}
    )  # 80 characters in all
    columns = [Column(name, justify="left" if name == "model" else "right", no_wrap=True) for name in frame.columns]
    table = Table(*columns, box=None, pad_edge=False, collapse_padding=True)
    for row in frame.itertuples(index=False):
        table.add_row(*row)
    show_table(table)
