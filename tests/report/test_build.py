import pytest

from reglab.errors import UserError
from reglab.report import build, stats
from reglab.tracking.record import State

FILES = {"index.html", "runs.csv", "final_models.md", "final_models.csv", "final_models.tex"} | {
    f"figure_11.{kind}" for kind in ("png", "svg", "json")
}


def test_a_report_has_all_its_files(study, tmp_path):
    page = build.build(study, tmp_path / "report")
    assert page == tmp_path / "report" / "index.html"
    assert {path.name for path in page.parent.iterdir()} == FILES


def test_a_report_takes_the_place_of_an_earlier_one_whole(study, tmp_path):
    folder = tmp_path / "report"
    build.build(study, folder)
    (folder / "figure_of_another_time.png").touch()
    build.build(study[:6], folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"report"}


def test_a_folder_that_is_no_report_is_left_alone(study, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="exists and is not a report"):
        build.build(study, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_site_is_not_taken_for_a_report(study, tmp_path):
    (tmp_path / "index.html").write_text("<title>photos</title>")
    with pytest.raises(UserError, match="is not a report"):
        build.build(study, tmp_path)
    report = build.build(study, tmp_path / "report").parent
    (report / "photos").mkdir()
    with pytest.raises(UserError, match="is not a report"):
        build.build(study, report)
    assert (report / "photos").is_dir()


def test_runs_of_which_none_finished_are_refused_and_nothing_is_written(make_record, tmp_path):
    with pytest.raises(UserError, match="none of the 1 runs has finished"):
        build.build([make_record(state=State.running)], tmp_path / "report")
    assert not any(tmp_path.iterdir())


def test_the_headline_names_the_best_arm_and_its_lead(study):
    line = build.headline(stats.cells(study), 0.87)
    assert line.startswith("asymmetric_cutout_2 has the best test accuracy: 81.0% ± 2.5 points, +20.0 points against the baseline.")
    assert "6 of 6 models reach 87%" in line
    assert "one seed" not in line


def test_the_headline_says_when_one_seed_is_all_there_is(make_record):
    assert "With one seed an arm" in build.headline(stats.cells([make_record()]), 0.87)


def test_notes_name_what_was_left_out_and_what_was_not_pooled(make_record):
    unlike = make_record(seed=1).environment.model_copy(update={"device": "another GPU", "data_fingerprint": "g"})
    records = [make_record(), make_record(seed=1, environment=unlike), make_record(seed=2, state=State.failed, reason="out of memory")]
    notes = build.notes(records, stats.cells(records))
    assert "1 failed, not counted: baseline s2 (out of memory)" in notes
    assert any("not pooled: a GPU" in note and "another GPU" in note for note in notes)
    assert any("Not all runs saw the same images" in note for note in notes)
