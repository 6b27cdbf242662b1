"""`reglab report`: from run records to tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from reglab.cli.console import counting
from reglab.tracking.record import RunRecord

app = typer.Typer(help="Turn runs into tables, figures and a page.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `build` a subcommand while it is the only one."""


@app.command()
def build(
    source: Annotated[str, typer.Option("--from", metavar="SOURCE", help="runs/<sweep>, or wandb://entity/project[/sweep].")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder, such as reports/final.")],
) -> None:
    """Write the final-models table (Markdown, CSV, LaTeX), Figure 11 (PNG, SVG) and one self-contained page."""
    write(source, out)


def write(source: str, out: Path) -> None:
    """Build the report on the runs in `source` and print where its page is."""
    from reglab.report import build
    from reglab.tracking.fetch import fetch

    with counting("reading runs") as progress:
        records = fetch(source, history=False, progress=progress)
    print(build.build(records, out))


def show(records: Sequence[RunRecord]) -> None:
    """Print the report's table for a terminal."""
    from reglab.report import build, stats, tables

    frame = tables.arms(stats.cells(records), build.target(records))
    frame = frame.rename(columns={"overfitting": "overfit", "training, s": "time, s"})  # 80 characters in all
    columns = [Column(name, justify="left" if name == "model" else "right", no_wrap=True) for name in frame.columns]
    table = Table(*columns, box=None, pad_edge=False, collapse_padding=True)
    for row in frame.itertuples(index=False):
        table.add_row(*row)
    Console().print(table)
