"""`reglab report table` and `reglab report figure`: a report's tables and figures for a paper."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reglab.atomic import write_whole
from reglab.cli.report import Baseline, Sources, Study
from reglab.console import tell
from reglab.errors import UserError


def add_to(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command()(table)
    app.command()(figure)


class Markup(StrEnum):
    """What a table can be written in."""

    latex = "latex"
    markdown = "markdown"
    html = "html"


Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A file to write; without it, standard output.")]


def table(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A table of the report: `claims`, or a question's name.")],
    sources: Sources,
    markup: Annotated[Markup, typer.Option("--for", help="What it is put into.")] = Markup.latex,
    study: Study = None,
    baseline: Baseline = None,
    out: Out = None,
) -> None:
    """One table of a report, ready to be put into a paper or a page.

    In LaTeX it fits the text of an article, has a caption and a label (`tab:NAME`), and says which packages it needs.
    """
    from reglab.config import nearest
    from reglab.report import collection
    from reglab.report.build import Report
    from reglab.report.programs.report import ProgramReport
    from reglab.report.programs.roles import AskedRoles
    from reglab.report.studies import study_file

    design = study_file.read(study) if study else None
    found = collection.read(sources, AskedRoles())
    by = collection.judged(found, design, baseline)
    if found.roles:
        told = ProgramReport(found.programs.runs, found.roles, by.source, by.baseline).told
    else:
        told = Report(found.records, by.design, by.baseline).told
    tables = {each.stem: each for each in told}
    if name not in tables:
        raise UserError(f"this report has no table {name}; it has {', '.join(tables)}{nearest(name, tables)}")
    text = getattr(tables[name], markup.value)
    if out is None:
        sys.stdout.write(text)
    else:
        write_whole(out, lambda stream: stream.write(text.encode()))
        tell(out)


def figure(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A figure of the report: the name of its files.")],
    folder: Annotated[Path, typer.Option("--from", metavar="REPORT", help="A report's folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.pdf", help="The file to write.")],
    width: Annotated[str, typer.Option(metavar="LENGTH", help="Of the paper's text or column: 345pt, 6.5in, 84mm.")] = "345pt",
    letters: Annotated[float, typer.Option(metavar="POINTS", help="Size of its letters.", min=3, max=30)] = 8,
) -> None:
    """A figure as PDF, as wide as a paper's column and with letters of its size; without its title, which is the caption's."""
    from reglab import reading
    from reglab.config import nearest
    from reglab.report.charts.paper import length, pdf
    from reglab.report.manifest import Manifest

    there = [Path(file).stem for file in Manifest.read(folder).files if file.endswith(".svg")]
    if name not in there:
        raise UserError(f"{folder} has no figure {name}; it has {', '.join(there)}{nearest(name, there)}")
    made = pdf(reading.whole(folder / f"{name}.json", 10**8, "build the report again").decode(), length(width), letters)
    write_whole(out, lambda stream: stream.write(made))
    tell(out)
