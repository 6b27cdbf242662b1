import shutil
from pathlib import Path

import pytest

from reglab.report.build import build
from reglab.report.check import faults
from reglab.report.manifest import Manifest
from reglab.report.studies.study_file import read
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
    from reglab.report.writing import texts

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


def test_the_plan_of_sweeps_that_are_out_of_reach_is_that_of_before(make_record, tmp_path):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("method: grid\nparameters: {train: {parameters: {seed: {values: [0, 1, 2, 3, 4]}}}}\n")
    own = tmp_path / "sweeps" / "own.yaml"
    own.write_text(
        "title: Mine\nsweeps: [mine.yaml]\nfactors: {rate: optimizer.lr}\nclaims:\n  - text: It is more.\n"
        "    difference: {of: test/accuracy, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}\n"
    )
    runs = [
        make_record(seed=seed, test=0.7 + 5 * rate + 0.001 * seed, sweep="mine", config={"optimizer": {"lr": rate}})
        for rate in (0.01, 0.001)
        for seed in (0, 1, 2)
    ]
    folder = build(runs, tmp_path / "report", "runs/mine", {}, read(own)).parent
    assert "Its first look is at 5 seeds, and 3 are there" in (folder / "claims.md").read_text()
    shutil.rmtree(tmp_path / "sweeps")
    assert Manifest.read(folder).design(folder).planned == {"mine": 5}
    assert faults(folder, {}, None) == []
