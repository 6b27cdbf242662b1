"""`reglab study`: every sweep of the study, and the report on all of them."""

from pathlib import Path
from typing import Annotated

import typer

from reglab.cli.console import say
from reglab.cli.report import write
from reglab.cli.sweep import Overrides, Quick, run_locally
from reglab.cli.train import PREEMPTED
from reglab.errors import UserError

app = typer.Typer(help="Run the whole study, and report on it.", no_args_is_help=True)

Name = Annotated[str | None, typer.Option("--name", help="Folder under runs/ and reports/; study, or study-quick.")]


@app.command()
def run(
    overrides: Overrides = None,
    only: Annotated[str | None, typer.Option("--only", metavar="SWEEP,…", help="These sweeps of the study, such as final,agc.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")] = 1,
    quick: Quick = False,
    name: Name = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells once more.")] = False,
) -> None:
    """Run every sweep of the study here, offline, in order of value. Run it again to finish what is missing."""
    from reglab.settings import settings
    from reglab.sweep.spec import read, shipped

    folder = settings().runs / _name(name, quick)
    files = [shipped(stem) for stem in _chosen(only)]
    for file in files:  # all are valid before any begins
        read(file, overrides or [], quick)
    unwell = []
    for number, file in enumerate(files, start=1):
        say(f"sweep {number} of {len(files)}: {file.stem}")
        try:
            run_locally(file, overrides or [], workers, quick, folder / file.stem, retry_failed)
        except typer.Exit as ended:
            if ended.exit_code == PREEMPTED:
                raise
            unwell.append(file.stem)
    say(f"{folder}: the study is done; `reglab study report` shows it" + (f"; runs failed in {', '.join(unwell)}" if unwell else ""))
    if unwell:
        raise typer.Exit(1)


@app.command()
def report(
    source: Annotated[str | None, typer.Option("--from", metavar="SOURCE", help="Where the runs are; runs/<name> by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="The report's folder; reports/<name> by default.")] = None,
    quick: Quick = False,
    name: Name = None,
) -> None:
    """Write the study's tables, figures, claims and page."""
    from reglab.settings import settings

    name = _name(name, quick)
    write(source or str(settings().runs / name), out or Path("reports") / name)


def _name(name: str | None, quick: bool) -> str:
    if name in ("", ".", ".."):
        raise UserError(f"--name {name}: give the name of a folder")
    return name or ("study-quick" if quick else "study")


def _chosen(only: str | None) -> list[str]:
    from reglab.config import nearest
    from reglab.sweep.study import SWEEPS

    if only is None:
        return list(SWEEPS)
    names = [name.strip() for name in only.split(",")]
    if unknown := [name for name in names if name not in SWEEPS]:
        raise UserError(f"--only {only}: the study has no sweep {unknown[0]}{nearest(unknown[0], SWEEPS)}")
    return [stem for stem in SWEEPS if stem in names]
