"""What an epoch takes of arms that took turns."""

import json

import pytest

from reglab.report.build import Report, build
from reglab.report.check import faults
from reglab.report.sections import in_turns
from reglab.report.studies.study import Study
from reglab.tracking import turns
from tests.report.published import DESIGN, study

BN_2, BN_3 = ({"batchnorm": {"layers": layers}} for layers in (2, 3))


@pytest.fixture
def took(make_turns):
    return [make_turns(BN_3, (3.1, 3.3, 2.9)), make_turns(None, (1.0, 1.1, 0.9)), make_turns(BN_2, (2.0, 2.2, 1.8))]


def test_each_arm_stands_with_its_seconds_and_as_many_times_those_of_the_plain_one(took):
    found = in_turns.extra(Study.of([], DESIGN, turns.as_runs(took)))
    rows = found.numbers.set_index("model")
    assert list(rows.index) == list(found.table["model"]) == ["baseline", "BN 2", "BN 3"]  # as the study has its factors
    assert list(rows["epoch_seconds"]) == [1.0, 2.0, 3.1]
    assert (rows["epoch_seconds_least"]["BN 3"], rows["epoch_seconds_most"]["BN 3"]) == (2.9, 3.3)
    assert rows["ratio"]["BN 2"] == pytest.approx(2) and rows["ratio"].isna()["baseline"]
    assert rows["ratio_low"]["BN 3"] < rows["ratio"]["BN 3"] < rows["ratio_high"]["BN 3"]
    assert found.table["s an epoch"].tolist() == ["1.00", "2.00", "3.10"]
    assert found.notes == ["On a CPU, bf16, torch 2.15, reglab abc, 8 threads."]


def test_without_the_plain_arm_the_first_is_what_the_others_are_compared_with(took):
    found = in_turns.extra(Study.of([], DESIGN, turns.as_runs([took[0], took[2]])))
    assert found.numbers["against"].tolist() == [None, "BN 2"]


def test_what_all_arms_of_the_figure_have_is_not_said_in_each_row(took, make_turns):
    """Of arms of another batch size, which took no turns beside the plain one, the table alone tells, and why they have no ratio."""
    small = make_turns(BN_2 | {"train": {"batch_size": 64}}, (4.0, 4.1, 4.2), session=1)
    found = in_turns.extra(Study.of([], DESIGN, turns.as_runs([*took, small])))
    assert set(found.table["model"]) == {"baseline · batch 256", "BN 2 · batch 256", "BN 2 · batch 64", "BN 3 · batch 256"}
    ((*_, figure),) = found.figures("")
    rows = [row["row"] for data in json.loads(figure.to_json())["datasets"].values() for row in data if "row" in row]
    assert set(rows) == {"BN 2", "BN 3"}
    assert "1 arm took no turns in a session of baseline · batch 256, and no ratio to it is told." in found.notes
    assert "Seconds are of the first session that an arm took turns in, one of 2; a ratio is within one." in found.notes


def test_where_no_arm_took_turns_there_is_no_section(make_record):
    assert in_turns.extra(study([make_record()])) is None


def test_a_report_keeps_the_turns_shows_them_and_is_checked_by_them(took, make_record, tmp_path):
    records = [make_record(seed=seed) for seed in (0, 1)]
    page = build(records, tmp_path / "report", "runs/x", {}, DESIGN, took=took).read_text()
    assert "What does an epoch take?" in page and 'id="training_time"' in page
    assert "<li>9 turns: a CPU, bf16, torch 2.15, reglab abc, 8 threads</li>" in page.partition('id="environment"')[2]
    assert turns.read(tmp_path / "report") == took
    assert faults(tmp_path / "report", {}, None) == []
    assert faults(tmp_path / "report", {}, records, took[::-1]) == []
    assert faults(tmp_path / "report", {}, records, took[:2]) == ["stale: arms took turns since, or other ones"]
    turns.write(tmp_path / "report", took[:2])
    assert [line for line in faults(tmp_path / "report", {}, None) if "turns.jsonl" in line]


def test_a_report_without_turns_has_none_of_it(make_record, tmp_path):
    report = Report([make_record()], DESIGN)
    report.write_tables(tmp_path)
    assert not (tmp_path / turns.TURNS).exists()
    assert in_turns.STEM not in {told.stem for told in report.told}
