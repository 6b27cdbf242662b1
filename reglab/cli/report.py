"""`reglab report`: from run records to tables, figures and a page."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Turn runs into tables, figures and a page.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `build` a subcommand while it is the only one."""


@app.command()
def build(
    source: Annotated[str, typer.Option("--from", metavar="FOLDER", help="A sweep's folder, such as runs/final.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder, such as reports/final.")],
) -> None:
    """Write the final-models table (Markdown, CSV, LaTeX), Figure 11 (PNG, SVG) and one self-contained page."""
    from reglab.report.build import build as write
    from reglab.report.fetch import fetch

    print(write(fetch(source), out))
