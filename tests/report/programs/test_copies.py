"""Rows that are there several times: as copies they are one run, and by chance, or under names of their own, as many as they are."""

import random

import pytest

import reglab
from reglab.tracking.program_run import ProgramRun


@pytest.fixture
def table(tmp_path):
    """A table of so many rows of arms a and b, each so many times; the results have so many digits, or are shares of so many images."""

    def write(header, digits=8, times=3, number=3, images=None):
        chance = random.Random(1)
        lines = []
        for arm in "ab":
            for row in range(number):
                value = 0.8 + 0.1 * (arm == "b") + chance.gauss(0, 0.02)
                told = repr(round(value * images) / images) if images else f"{value:.{digits}f}"
                for copy in range(times):
                    cells = {"arm": arm, "seed": row, "id": f"{arm}{row}{copy}", "acc": told, "time": f"{row + 0.1234567}"}
                    lines.append(",".join(str(cells[name]) for name in header.split(",")))
        (tmp_path / "runs.csv").write_text("\n".join([header, *lines]) + "\n")
        return reglab.runs(tmp_path / "runs.csv", group_by=["arm"])

    return write


def counted(runs):
    return [len(arm.values) for arm in runs.programs.arms]


@pytest.mark.parametrize(
    ("header", "options"),
    [("arm,acc", {}), ("arm,seed,acc", {}), ("arm,seed,acc", {"digits": 1}), ("arm,time,acc", {"images": 300}), ("arm,acc", {"digits": 5})],
)
def test_copies_of_a_row_are_one_run_and_that_is_told(table, header, options):
    runs = table(header, **options)
    assert counted(runs) == [3, 3]
    assert runs.said[-1].startswith("copies, equal to a row before in every column, and not counted: row 2, row 3, row 5")


@pytest.mark.parametrize("options", [{"digits": 4}, {"images": 355}, {"images": 3}])
def test_rows_that_may_be_equal_by_chance_count_each_and_that_is_told(table, options):
    runs = table("arm,acc", **options)
    assert counted(runs) == [9, 9]
    assert "equal to a row before in every column, as copies or by chance, acc having few digits: 1" in runs.said[-1]


def test_runs_with_ids_of_their_own_count_each_and_that_they_are_alike_is_told(table):
    runs = table("id,arm,acc")
    assert counted(runs) == [9, 9]
    assert runs.said[-1].startswith("alike to the last digit of acc with a run of their arm before: 12, each counted")


def test_rows_that_differ_are_no_copies_and_nothing_is_said(table):
    runs = table("arm,seed,acc", times=1)
    assert counted(runs) == [3, 3]
    assert runs.programs.copies == set() and runs.said == runs.roles.guessed


def test_no_verdict_is_made_of_copies(table, tmp_path):
    table("arm,acc", number=1, times=5)
    found = reglab.judge(tmp_path / "runs.csv", "arm=b > arm=a in acc", group_by=["arm"])
    assert (found.verdict, found.seeds) == ("undecided", (1, 1))
    assert any("copies, equal to a row before" in note for note in found.notes)


def test_runs_of_one_value_that_differ_elsewhere_are_no_copies():
    """W&B has a page for each run."""
    from reglab.report.programs.copies import copies
    from reglab.report.programs.roles import Roles

    runs = [ProgramRun(id=f"r{number}", summary={"acc": 0.8123456}, url=f"https://wandb.ai/r{number}") for number in range(3)]
    assert copies(runs, Roles(metric="acc", goal="maximize")) == set()
