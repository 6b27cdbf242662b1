import shutil
from pathlib import Path

import pytest

from reglab.report.build import build
from reglab.report.check import faults
from tests.report.published import DESIGN

SWEEPS = {"final": "d1", "agc": "d2"}


@pytest.fixture(scope="module")
def built(study, tmp_path_factory):
    return build(study, tmp_path_factory.mktemp("built") / "report", "runs/final", SWEEPS, DESIGN).parent


@pytest.fixture
def report(built, tmp_path):
    """A copy that a test may touch."""
    return Path(shutil.copytree(built, tmp_path / "report"))


def test_a_report_is_well_until_its_runs_go_on(report, study, make_record):
    assert faults(report, SWEEPS, study) == []
    assert faults(report, SWEEPS, None) == []
    new = make_record(seed=5)
    assert faults(report, SWEEPS, [*study, new]) == [f"stale: 1 run is new: {new.run_id}"]


def test_a_sweep_file_counts_where_the_report_has_runs_of_it(report, study):
    assert faults(report, {"final": "other", "agc": "other"}, study) == [
        "stale: the sweep file final.yaml has changed since its runs were reported"
    ]


def test_a_number_that_was_touched_up_is_found(report, study):
    page = report / "index.html"
    page.write_text(page.read_text().replace("61.0", "91.0"))
    assert faults(report, SWEEPS, study) == ["altered: index.html was changed after it was built"]


def test_tables_that_this_version_makes_otherwise_are_stale(report, study, monkeypatch):
    from reglab.report import texts

    monkeypatch.setattr(texts, "to_markdown", lambda table, bold: "another form\n")
    assert "stale: final.md comes out otherwise with this version of reglab: build the report again" in faults(report, SWEEPS, study)


def test_runs_of_two_set_ups_or_of_other_images_are_mixed(study, make_record, tmp_path, monkeypatch):
    monkeypatch.setattr("reglab.report.build.refuse_mixed", lambda records: None)  # as when earlier versions built a report
    odd = make_record(seed=7, config={"model": {"width": 8}})
    other = make_record(seed=8)
    other = other.model_copy(update={"environment": other.environment.model_copy(update={"data_fingerprint": "g"})})
    folder = build([*study, odd, other], tmp_path / "mixed", "runs", {}, DESIGN).parent
    assert faults(folder, {}, None) == [
        "mixed: model.width is 64 in some runs, 8 in others",
        "mixed: not all runs saw the same images: f / g",
    ]
