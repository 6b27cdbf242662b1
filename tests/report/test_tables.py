import csv
import io
import math
import re
import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest

from reglab.config.arms import FINAL_ARMS
from reglab.report import tables
from reglab.report.claims.findings import Finding, Verdict
from reglab.report.comparisons.differences import of_cells
from reglab.report.studies.measures import Target
from reglab.report.writing import latex, texts
from reglab.tracking.record import State
from tests.report import published
from tests.report.conftest import moved, sharing
from tests.report.published import DESIGN
from tests.unprinted import UNPRINTED

TARGET = Target(0.87)


def arms_of(records):
    """The arms of some runs in the order of the final models."""
    return sorted(published.cells(records), key=lambda cell: (*FINAL_ARMS, cell.label).index(cell.label))


def of(records):
    return records, published.study(records)


def tidy(records):
    return tables.tidy(arms_of(records), DESIGN)


def test_a_row_says_mean_interval_and_how_many_reached_the_target(study):
    table = tables.arms(arms_of(study), TARGET)
    last = dict(table.iloc[-1])
    assert last["model"] == "asymmetric_cutout_2"
    assert last["runs"] == "3"
    assert last["test, %"] == "81.0 ± 1.3"
    assert last["to 87 % (running), s"] == "45.0 (2 of 3)"


def test_a_target_that_no_run_reached_is_shown_as_not_reached(make_record):
    table = tables.arms(arms_of([make_record(to_target=None)]), TARGET)
    assert table["to 87 % (running), s"].tolist() == ["not reached"]


def test_an_arm_without_a_finished_run_keeps_its_row(make_record):
    table = tables.arms(arms_of([make_record(state=State.diverged)]), TARGET)
    assert table.iloc[0].tolist() == ["baseline", "0 of 1", "–", "–", "–", "–", "–"]


def test_times_of_several_machines_stand_beside_each_other_once_where_they_are_alike(make_record):
    elsewhere = make_record().environment.model_copy(update={"device": "NVIDIA B200", "torch": "2.16"})
    records = [make_record(seconds=100), make_record(seed=1, seconds=50, environment=elsewhere), make_record("symmetric_cutout_2")]
    table = tables.arms(arms_of(records), TARGET)
    assert table["model"].tolist() == ["baseline", "symmetric_cutout_2"]
    assert table["training, s"].tolist() == ["50.0 / 100.0", "– / 100.0"]
    assert table["to 87 % (running), s"].tolist() == ["40.0", "– / 40.0"]
    assert table["runs"].tolist() == ["2", "1"]  # accuracies are pooled over machines
    assert tables.timed_on(arms_of(records)) == tables.timed_on(arms_of(records)[::-1]) == ["B200, torch 2.16", "a GPU, torch 2.15"]
    assert tables.arms(arms_of(records)[::-1], TARGET)["training, s"].tolist() == ["– / 100.0", "50.0 / 100.0"]


def test_thousands_of_seconds_are_told_apart_in_every_column(make_record):
    (row,) = tables.arms(arms_of([make_record(seconds=2100.0, to_target=1959.7)]), TARGET).to_dict("records")
    assert (row["training, s"], row["to 87 % (running), s"]) == ("2,100.0", "1,959.7")


def test_a_study_on_one_machine_does_not_name_it(study):
    assert "machine" not in tables.arms(arms_of(study), TARGET)


def test_a_difference_to_the_baseline_is_told_with_its_interval(make_record):
    baseline = [make_record(seed=seed, test=test) for seed, test in enumerate([0.60, 0.70, 0.80])]
    better = [make_record("symmetric_cutout_2", seed, test=test) for seed, test in enumerate([0.63, 0.73, 0.83001])]
    unpaired = [make_record("asymmetric_cutout_2", 7, test=0.9)]
    cells = arms_of(baseline + better + unpaired)
    table = tables.arms(cells, TARGET, cells[0]).set_index("model")
    assert table["difference, points"].tolist() == ["baseline", "+3.000 ± 0.001 (p < 0.001)", "+20.0"]
    assert table["seeds more"].tolist() == ["–", "0", "–"]


def test_p_values_are_adjusted_over_the_arms_of_the_table(study):
    cells = arms_of(study)
    table = tables.arms([cells[0], *map(noisy, cells[1:4])], TARGET, cells[0])
    arms = [cells[0], *map(noisy, cells[1:4])]
    raw = sorted(of_cells(arm, cells[0], arms).p for arm in arms[1:])[::-1]
    shown = [float(text.rpartition("p ")[2].rstrip(")")) for text in table["difference, points"].tolist()[1:]]
    assert shown == pytest.approx([raw[0], 2 * raw[1], 3 * raw[2]], abs=6e-4)
    assert len(set(shown)) == 3


def noisy(cell):
    """The same arm with seeds that do not agree."""
    scores = {0: 0.06, 1: -0.06, 2: 0.0}
    records = [
        record.model_copy(
            update={"summary": record.summary.model_copy(update={"test_accuracy": record.summary.test_accuracy + scores[record.seed]})}
        )
        for record in cell.records
    ]
    return replace(cell, records=tuple(records))


def test_more_seeds_are_asked_for_where_seeds_do_not_agree(study):
    cells = arms_of(study)
    table = tables.arms([cells[0], noisy(cells[1])], TARGET, cells[0])
    more = of_cells(noisy(cells[1]), cells[0], [cells[0], noisy(cells[1])]).seeds_more(1.0)
    assert table["seeds more"].tolist() == ["–", str(more)]
    assert more > 0


def test_a_single_seed_has_a_difference_without_p_and_asks_for_no_number_of_seeds(study):
    cells = arms_of(study[::3])
    table = tables.arms(cells, TARGET, cells[0])
    assert table["difference, points"].tolist()[:2] == ["baseline", "+4.0"]
    assert set(table["seeds more"]) == {"–"}


def test_a_difference_too_small_to_show_has_no_negative_zero(make_record):
    cells = arms_of([make_record(test=0.7), make_record("symmetric_cutout_2", test=0.69999)])
    assert tables.arms(cells, TARGET, cells[0])["difference, points"].tolist() == ["baseline", "0.0"]


def test_a_table_without_times_and_with_a_baseline_has_at_most_nine_columns(study):
    cells = arms_of(study)
    assert len(tables.arms(cells, TARGET, cells[0]).columns) == 9


def test_the_tidy_table_holds_the_same_numbers(study):
    tidy = tables.tidy(arms_of(study), DESIGN).set_index("model")
    assert tidy.loc["baseline", "test_accuracy"] == pytest.approx(61)
    assert tidy.loc["baseline", "test_accuracy_high"] - 61 == pytest.approx(2.179 / math.sqrt(3), abs=1e-3)  # t of 6 arms of 3 seeds: 2.179
    assert tidy.loc["asymmetric_cutout_2", ["reached", "timed"]].tolist() == [2, 3]
    assert tidy.loc["asymmetric_cutout_2", "time_to_target_seconds"] == 45


def test_the_tidy_table_has_a_row_an_arm_and_machine_and_a_column_a_factor(make_record):
    elsewhere = make_record().environment.model_copy(update={"device": "B200"})
    failed = make_record("symmetric_cutout_2", state=State.failed)
    table = tidy([make_record(seconds=90), make_record(seed=1, seconds=50, environment=elsewhere), failed])
    assert table["train_seconds"].tolist()[:2] == [90, 50]
    assert [str(machine).partition(",")[0] for machine in table["machine"]] == ["a GPU", "B200", "None"]
    assert (table["n"].tolist(), table["timed"].tolist()) == ([2, 2, 0], [1, 1, 0])
    assert {column: table[column].tolist()[2] for column in ("batchnorm", "dropout", "cutout", "batch_size")} == {
        "batchnorm": 2,
        "dropout": "0.2/0.2/0.2",
        "cutout": 2,
        "batch_size": 256,
    }


def test_one_run_has_no_interval_of_its_time_to_the_target(make_record):
    table = tidy([make_record()])
    assert table[["time_to_target_seconds_low", "time_to_target_seconds_high"]].isna().all(axis=None)


def test_a_run_that_could_not_be_built_has_a_row_without_factors(make_record):
    broken = make_record(state=State.failed, config=None).model_copy(update={"config": {"dropout": {"layers": 9}}})
    assert tidy([broken])["batchnorm"].tolist() == [None]
    assert tables.runs(*of([broken]))["batchnorm"].tolist() == [None]


def test_markdown_has_a_row_an_arm_and_keeps_its_alignment(study):
    lines = texts.to_markdown(tables.arms(arms_of(study), TARGET)).splitlines()
    assert len(lines) == 8
    assert len({len(line) for line in lines}) == 1


def test_runs_hold_factors_results_and_where_they_came_from(make_record):
    (row,) = tables.runs(*of([make_record("symmetric_cutout_2", seed=1)])).to_dict("records")
    held = {"seed": 1, "sweep": "final", "cutout": 2, "dropout": "0.2/0.2/0.2", "planned_epochs": 1, "epochs": 1, "device": "a GPU"}
    assert held.items() <= row.items()
    assert row["test/accuracy"] == 0.7
    assert "url" not in row


def test_runs_link_to_their_page_where_they_have_one(make_record):
    here, there = make_record(), make_record(seed=1, url="https://wandb.ai/e/p/runs/1")
    assert tables.runs(*of([here, there]))["url"].tolist()[1] == "https://wandb.ai/e/p/runs/1"


def test_table_1_says_what_ran_of_what_the_study_varies(whole_study):
    table = tables.parameters(published.study(whole_study(seeds=(0, 1)))).set_index(["technique", "parameter"])
    assert table.loc[("batch normalization", "layers"), "ran"] == "0, 1, 2, 3"
    assert table.loc[("dropout", "symmetric probability"), "ran"] == "0.1, 0.2, 0.5, 0.8"
    assert table.loc[("dropout", "asymmetric probabilities"), "ran"].startswith("30 arrays from 0.1 to 0.")
    assert table.loc[("adaptive gradient clipping", "batch size"), ["candidates", "ran"]].tolist() == ["64, 128, 256"] * 2
    assert table.loc[("cutout", "images"), ["candidates", "ran", "arms", "runs"]].tolist() == ["2, 8, 16", "2, 4, 8, 16", 13, 26]


def test_table_1_counts_finished_runs_only(make_record):
    arm = {"agc": {"enabled": True}, "train": {"batch_size": 64}}
    records = [
        make_record(config=arm),
        make_record(config=arm, seed=1, state=State.failed),
        make_record("symmetric_cutout_2", state=State.failed),
    ]
    table = tables.parameters(published.study(records)).set_index("parameter")
    assert table.loc["batch size", ["ran", "arms", "runs"]].tolist() == ["64", 1, 1]
    assert table.loc["images", ["ran", "arms", "runs"]].tolist() == ["–", 0, 0]


def test_table_1_counts_the_arms_that_have_the_parameter(make_record):
    """Not those whose clipping is off, or whose probabilities are not one."""
    clipped = make_record(config={"agc": {"enabled": True}})
    records = [make_record(), clipped, make_record("batchnorm_symmetric_dropout"), make_record("asymmetric_augmentation")]
    table = tables.parameters(published.study(records)).set_index("parameter")
    assert table.loc["clip threshold", ["ran", "arms", "runs"]].tolist() == ["0.02", 1, 1]
    assert table.loc["symmetric probability", ["ran", "arms", "runs"]].tolist() == ["0.2", 1, 1]
    assert table.loc["asymmetric probabilities", ["ran", "arms", "runs"]].tolist() == ["0.1/0.2/0.3", 1, 1]


def test_claims_are_a_row_each():
    finding = Finding(1, "0.2 is best", "share of cases", Verdict.undecided, "11 of 12", (), ("a-s0", "b-s0"), "figure_2")
    assert tables.claims([finding]).iloc[0].tolist() == [1, "0.2 is best", "undecided", "not tested", "11 of 12", "–", "share of cases", 2]


def test_runs_hold_a_failed_run_with_its_reason(make_record):
    rows = tables.runs(*of([make_record(), make_record(seed=1, state=State.failed, reason="out of memory")]))
    assert rows["state"].tolist() == ["finished", "failed"]
    assert rows["reason"].tolist() == [None, "out of memory"]


def test_latex_escapes_what_latex_would_read_as_markup():
    latex = texts.to_latex(pd.DataFrame({"a_b, %": ["1 ± 2", "x&y", "c\\d {e}", "– · #", "[0.1] < 2 λ"]}), "50 % of a_b")
    for text in (
        r"a\_\allowbreak{}b, \%",
        r"1 $\pm$~2",
        r"x\&y",
        r"c\textbackslash{}d \{e\}",
        r"-- $\cdot$ \#",
        r"{[}0.1] $<$ 2 ?",
        r"\caption{50~\% of a\_\allowbreak{}b}",
        r"\toprule",
    ):
        assert text in latex


def test_lines_break_in_a_wide_table_and_a_tall_one_goes_over_pages():
    narrow = pd.DataFrame({"model": ["a"], "runs": ["3"]})
    wide = pd.DataFrame({f"a column {place}": ["12.3 ± 4.5 (p 0.123)"] for place in range(8)})
    widest = pd.DataFrame({f"column{place}": ["12.3"] for place in range(40)})
    assert r"\begin{tabular}{@{}lr@{}}" in texts.to_latex(narrow, "")
    assert r"p{" in texts.to_latex(wide, "") and r"needs \usepackage{array} \usepackage{booktabs}" in texts.to_latex(wide, "")
    assert r"\resizebox{\textwidth}" in texts.to_latex(widest, "")
    tall = texts.to_latex(pd.concat([narrow] * 50), "")
    assert r"\begin{longtable}" in tall and tall.startswith(r"% needs \usepackage{booktabs} \usepackage{longtable}")


def test_numbers_stand_to_the_right_and_words_to_the_left():
    table = pd.DataFrame({"claim": ["a"], "verdict": ["reproduced"], "test, %": ["36 ± 15"], "gap": ["–"], "p": ["< 0.001"]})
    assert r"\begin{tabular}{@{}llrrr@{}}" in texts.to_latex(table, "")


def test_no_line_breaks_between_a_number_its_spread_and_its_unit():
    made = texts.to_latex(pd.DataFrame({"model": ["a"], "test": ["36 ± 15 %, 12 s, 3 points"]}), "")
    assert r"36 $\pm$~15~\%, 12~s, 3~points" in made


def test_a_long_text_breaks_into_lines_and_has_most_of_the_width():
    made = texts.to_latex(pd.DataFrame({"no.": [1], "claim": ["words and " * 19], "runs": [3]}), "")
    first, claim, runs = (float(width) for width in re.findall(r"p\{([\d.]+)pt\}", made))
    assert claim > 0.7 * (first + claim + runs)
    assert first + claim + runs + 6 * 2.5 <= latex.TEXT_WIDTH


def test_a_latex_table_has_a_label_and_names_its_packages():
    made = texts.to_latex(pd.DataFrame({"model": ["a", "b"], "test": ["1", "2"]}), "Two", "final", {(1, "test")})
    assert made.startswith("% needs \\usepackage{booktabs}\n")
    assert r"\caption{Two}\label{tab:final}" in made
    assert r"b & \textbf{2}" in made


def test_what_stands_out_does_so_in_markdown_and_html():
    table = pd.DataFrame({"model": ["a", "<b>"], "test": ["1", "−2"]})
    assert "| **−2** |" in texts.to_markdown(table, {(1, "test")})
    made = texts.to_html(table, "x < y", {(1, "test")})
    assert '<th scope="row">&lt;b&gt;</th><td><strong>−2</strong></td>' in made
    assert "<caption>x &lt; y</caption>" in made


def test_the_best_and_what_lies_within_its_interval_stands_out(study):
    cells = arms_of(study)
    means = [cell.test_accuracy.mean for cell in cells]
    bold = {row for row, name in tables.best(cells) if name == "test, %"}
    assert bold == {row for row, mean in enumerate(means) if mean >= cells[-1].test_accuracy.low}
    assert 1 <= len(bold) < 6
    assert tables.best(cells[:1]) == set()


@pytest.mark.parametrize("marked", [moved, lambda record: sharing(record, 0.6)], ids=["elsewhere", "shared"])
def test_no_time_of_several_machines_or_on_shared_cores_stands_out(make_record, marked):
    records = [make_record(arm, seconds=seconds) for arm, seconds in (("baseline", 100.0), ("symmetric_cutout_2", 200.0))]
    assert (0, "training, s") in tables.best(arms_of(records))
    assert not any(name == "training, s" for _, name in tables.best(arms_of(list(map(marked, records)))))


def test_whole_numbers_stay_whole_where_some_are_missing():
    table = pd.DataFrame({"model": ["a", "b"], "n": [1.0, None]})
    assert texts.to_markdown(table).splitlines()[-2:] == ["| a       |   1 |", "| b       |   – |"]


def test_a_bar_in_a_text_does_not_end_a_markdown_cell():
    assert r"a\|b" in texts.to_markdown(pd.DataFrame({"reason": ["a|b"]}))


def test_a_table_without_rows_is_said_to_be_none():
    assert (texts.to_markdown(tables.arms([], TARGET)), texts.to_latex(tables.arms([], TARGET), "")) == ("none\n", "none\n")


def test_csv_holds_numbers_in_full(make_record):
    table = tidy([make_record(test=0.123456789)])
    assert "12.3456789," in texts.to_csv(table)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("table", ["arms", "runs", "table 1", "tall", "claims"])
def test_latex_compiles(study, tmp_path, table):
    cells = arms_of(study)
    finding = Finding(1, "Dropout at 0.2 beats 0.5 and 0.8 " * 3, "≥ ½ of the cases", Verdict.undecided, "11 of 12", (), (), "figure_2")
    made = {
        "arms": tables.arms(cells, TARGET, cells[0]),
        "runs": tables.runs(*of(study)),
        "table 1": tables.parameters(published.study(study)),
        "tall": pd.concat([tables.arms(cells, TARGET, cells[0])] * 20),
        "claims": tables.claims([finding]),
    }[table]
    packages = "".join(f"\\usepackage{{{name}}}" for name in (*latex.PACKAGES, "graphicx"))
    document = f"\\documentclass{{article}}{packages}\\begin{{document}}\n{texts.to_latex(made, 'A caption')}\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "table.tex"], cwd=tmp_path, check=True, timeout=120, capture_output=True)


FORMULAS = ["=1+1", "+1 point", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0", "＝1", "＋1", "－1", "＠x", "-", "-inf", "+1,5", "--1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_takes_no_text_for_a_formula(text):
    written = texts.to_csv(pd.DataFrame({"a": [text, "b"], text: [1, 2]}))
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert rows[1][0] == f"'{text}"
    assert rows[0] == ["a", f"'{text}"]


@pytest.mark.parametrize(("text", "written"), [("\t=1", r"\t=1"), ("\r=1", r"\r=1"), ("a\r=1", r"a\r=1"), ("a\n=1,2", r"a\n=1,2")])
def test_nothing_in_a_cell_makes_another(text, written):
    made = texts.to_csv(pd.DataFrame({"a": [text]}))
    assert list(csv.reader(io.StringIO(made, newline=""))) == [["a"], [written]]


def test_numbers_stay_numbers():
    table = pd.DataFrame({"a": [-1.5, None], "b": [-2, 3], "c": ["-2.5e-3", "+.5"], "d": [-1, "x"], "e": [True, None], "f": ["", "a=b"]})
    assert texts.to_csv(table) == "a,b,c,d,e,f\n-1.5,-2,-2.5e-3,-1,True,\n,3,+.5,x,,a=b\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<img src=x onerror=y>", "&lt;img src=x onerror=y>"),
        ("<!-- x", "&lt;!-- x"),
        ("<?php", "&lt;?php"),
        ("![x](http://y/z.png)", r"![x]\(http://y/z.png)"),
        ("[x](javascript:y)", r"[x]\(javascript:y)"),
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        ("a\nb", r"a\\nb"),
        ("p < 0.001, 1<2", "p < 0.001, 1<2"),
    ],
)
def test_markdown_has_no_tag_no_link_and_no_broken_row(text, written):
    lines = texts.to_markdown(pd.DataFrame({"a": [text, "b"], text: ["c", text]})).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert written in lines[0] and written in lines[2] and written in lines[3]


@pytest.mark.parametrize("text", UNPRINTED, ids=lambda text: ascii(text)[1:12])
def test_no_table_has_what_is_not_printed(text):
    table = pd.DataFrame({"a": [text], text: ["b"]})
    for made in (texts.to_markdown(table), texts.to_latex(table, text), texts.to_csv(table)):
        assert made.replace("\n", "").isprintable()
