"""`reglab report table` and `reglab report figure`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reglab.cli.app import app

REPORT = Path(__file__).parents[2] / "reports" / "cifar10_jpeg_h200"


def run(*words):
    return CliRunner().invoke(app, ["report", *words])


@pytest.mark.parametrize(
    ("markup", "begins"), [("latex", "% needs \\usepackage{array}"), ("markdown", "| model"), ("html", "<table>\n<caption>")]
)
def test_a_table_is_printed_for_a_paper_or_a_page(markup, begins):
    done = run("table", "final", "--from", str(REPORT), "--for", markup)
    assert done.exit_code == 0
    assert done.stdout.startswith(begins)
    assert done.stdout.count("symmetric") >= 3


def test_a_table_is_written_to_a_file(tmp_path):
    done = run("table", "final", "--from", str(REPORT), "--out", str(tmp_path / "final.tex"))
    assert done.exit_code == 0
    assert r"\label{tab:final}" in (tmp_path / "final.tex").read_text()


def test_a_table_or_figure_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    done = run("table", "finale", "--from", str(REPORT))
    assert "this report has no table finale; it has table_1, claims, final, " in str(done.exception)
    assert "; did you mean final?" in str(done.exception)
    done = run("figure", "figure_12", "--from", str(REPORT), "--out", str(tmp_path / "x.pdf"))
    assert "has no figure figure_12" in str(done.exception) and "figure_11" in str(done.exception)
    assert not (tmp_path / "x.pdf").exists()


def test_a_figure_is_written_as_pdf(tmp_path):
    done = run("figure", "summary", "--from", str(REPORT), "--out", str(tmp_path / "summary.pdf"), "--width", "6.5in")
    assert done.exit_code == 0
    assert (tmp_path / "summary.pdf").read_bytes().startswith(b"%PDF")
