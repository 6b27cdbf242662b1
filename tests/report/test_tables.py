import shutil
import subprocess

import pandas as pd
import pytest

from reglab.report import stats, tables
from reglab.tracking.record import State


def test_a_row_says_mean_interval_and_how_many_reached_the_target(study):
    table = tables.arms(stats.cells(study), target=0.87)
    last = dict(table.iloc[-1])
    assert last["model"] == "asymmetric_cutout_2"
    assert last["runs"] == "3"
    assert last["test, %"] == "81.0 ± 2.5"
    assert last["to 87 %, s"] == "45.0 (2 of 3)"


def test_a_target_that_no_run_reached_is_shown_as_not_reached(make_record):
    table = tables.arms(stats.cells([make_record(to_target=None)]), target=0.87)
    assert table["to 87 %, s"].tolist() == ["not reached"]


def test_an_arm_without_a_finished_run_keeps_its_row(make_record):
    table = tables.arms(stats.cells([make_record(state=State.diverged)]), target=0.87)
    assert table.iloc[0].tolist() == ["baseline", "0 of 1", "–", "–", "–", "–", "–"]


def test_mixed_times_are_named(make_record):
    unlike = make_record(seed=1).environment.model_copy(update={"device": "another"})
    table = tables.arms(stats.cells([make_record(), make_record(seed=1, environment=unlike)]), target=0.87)
    assert table["training, s"].tolist() == ["mixed"]


def test_the_tidy_table_holds_the_same_numbers(study):
    tidy = tables.tidy(stats.cells(study)).set_index("model")
    assert tidy.loc["baseline", "test_accuracy"] == pytest.approx(61)
    assert tidy.loc["baseline", "test_accuracy_high"] - 61 == pytest.approx(2.484, abs=1e-3)
    assert tidy.loc["asymmetric_cutout_2", "reached"] == 2


def test_markdown_has_a_row_an_arm_and_keeps_its_alignment(study):
    lines = tables.to_markdown(tables.arms(stats.cells(study), 0.87)).splitlines()
    assert len(lines) == 8
    assert len({len(line) for line in lines}) == 1


def test_runs_hold_a_failed_run_with_its_reason(make_record):
    rows = tables.runs([make_record(), make_record(seed=1, state=State.failed, reason="out of memory")])
    assert rows["state"].tolist() == ["finished", "failed"]
    assert rows["reason"].tolist() == [None, "out of memory"]


def test_latex_escapes_what_latex_would_read_as_markup():
    latex = tables.to_latex(pd.DataFrame({"a_b, %": ["1 ± 2", "x&y", "c\\d {e}", "– · #"]}), "50 % of a_b")
    for text in (
        r"a\_b, \%",
        r"1 $\pm$ 2",
        r"x\&y",
        r"c\textbackslash{}d \{e\}",
        r"-- $\cdot$ \#",
        r"\caption{50 \% of a\_b}",
        r"\toprule",
    ):
        assert text in latex


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles(study, tmp_path):
    body = tables.to_latex(tables.arms(stats.cells(study), 0.87), "Final models")
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + body + "\\end{document}\n"
    (tmp_path / "table.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "table.tex"], cwd=tmp_path, check=True, timeout=60, capture_output=True)
