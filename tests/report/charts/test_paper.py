"""Tables and figures for a paper: they compile as they stand, at an article's width, and nothing runs over."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reglab.errors import UserError
from reglab.report.build import Report
from reglab.report.charts import paper
from reglab.report.writing import latex
from reglab.tracking.store import ARCHIVE, read_archive
from tests.report.published import DESIGN

REPORTS = Path(__file__).parents[3] / "reports"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex (texlive-latex-recommended)")
@pytest.mark.parametrize("name", ["digits_quick", "cifar10_jpeg_h200"])
def test_an_article_with_all_tables_has_no_overfull_box(name, tmp_path):
    report = Report(read_archive(REPORTS / name / ARCHIVE), DESIGN)
    packages = "".join(f"\\usepackage{{{package}}}" for package in (*latex.PACKAGES, "graphicx"))
    tables = "\n".join(f"{told.latex}\\clearpage" for told in report.told)
    (tmp_path / "article.tex").write_text(f"\\documentclass{{article}}{packages}\\begin{{document}}\n{tables}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "article.tex"],
        cwd=tmp_path,
        timeout=300,
        capture_output=True,
        check=False,
    )
    said = done.stdout.decode("latin-1")
    assert done.returncode == 0, said[-2000:]
    assert re.findall(r"Overfull.*", said) == []
    assert len(re.findall(r"\\label\{tab:", tables)) == len(report.told)


@pytest.mark.parametrize(("text", "points"), [("345pt", 345), ("6.5in", 469.755), ("84mm", 239.0), (" 8.4cm ", 239.0)])
def test_a_length_is_read_in_tex_points(text, points):
    assert paper.length(text) == pytest.approx(points, abs=0.01)


@pytest.mark.parametrize("text", ["345", "pt", "-3in", "1e9pt", "0mm", "12px", "1pt"])
def test_what_is_no_width_of_a_page_is_refused(text):
    with pytest.raises(UserError, match="must be a length such as 345pt"):
        paper.length(text)


def size(made):
    """Width and height of the one page of a PDF, in TeX points."""
    (box,) = re.findall(rb"MediaBox ?\[ ?([\d. ]+)\]", made)
    _, _, width, height = (float(number) / 72 * 72.27 for number in box.split())
    return width, height


@pytest.mark.slow
def test_a_figure_is_as_wide_as_the_column_and_keeps_the_size_of_its_letters():
    spec = (REPORTS / "digits_quick" / "figure_5.json").read_text()
    (narrow, narrow_height), (wide, wide_height) = (size(paper.pdf(spec, width, 8)) for width in (241, 469))
    assert (narrow, wide) == pytest.approx((241, 469), abs=1)
    assert 1 <= narrow_height / wide_height < 1.15  # letters and rows do not shrink with the width; the legend takes another line
    assert size(paper.pdf(spec, 469, 10))[1] > wide_height


@pytest.mark.slow
def test_a_column_too_narrow_for_a_figure_is_refused_with_the_least_that_will_do():
    spec = (REPORTS / "digits_quick" / "figure_11.json").read_text()
    with pytest.raises(UserError, match=r"--width 150pt is too narrow .* make it (\d+)pt or more") as caught:
        paper.pdf(spec, 150, 8)
    least = float(re.search(r"it (\d+)pt", str(caught.value))[1])
    assert size(paper.pdf(spec, least, 8))[0] == pytest.approx(least, abs=1)
