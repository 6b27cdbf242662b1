import pytest

from reglab.errors import UserError
from reglab.report.manifest import MANIFEST, JudgedBy, Manifest
from reglab.tracking.record import State


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "index.html").write_text("a page")
    (tmp_path / "runs.csv").write_text("rows")
    return tmp_path


@pytest.fixture
def manifest(folder, study):
    made = Manifest.of(study, "runs/final", JudgedBy("four_regularizers"), {"final": "d1"}, folder)
    made.write(folder)
    return made


def test_it_is_read_as_it_was_written(folder, manifest, study):
    assert Manifest.read(folder) == manifest
    assert manifest.runs.keys() == {record.run_id for record in study}
    assert {(run.sweep, run.state, run.commit) for run in manifest.runs.values()} == {("final", "finished", "abc")}


@pytest.mark.parametrize(("content", "said"), [(None, "is no report"), ("{", "is damaged"), ('{"runs": 3}', "is damaged")])
def test_a_folder_without_a_whole_one_is_refused(tmp_path, content, said):
    if content:
        (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=said):
        Manifest.read(tmp_path)


def test_files_that_changed_went_or_came_are_named(folder, manifest):
    assert manifest.altered(folder) == []
    (folder / "index.html").write_text("another page")
    (folder / "runs.csv").unlink()
    (folder / "thesis.tex").touch()
    assert manifest.altered(folder) == [
        "runs.csv is gone",
        "index.html was changed after it was built",
        "thesis.tex is not part of the report",
    ]


def test_a_sweep_file_that_changed_is_named_and_an_unknown_one_says_nothing(manifest):
    assert manifest.outdated({"final": "d1", "agc": "x"}) == []
    assert manifest.outdated({}) == []
    assert manifest.outdated({"final": "d2"}) == ["the sweep file final.yaml has changed since its runs were reported"]


def test_runs_that_came_went_or_went_on_are_counted_and_named(manifest, study, make_record):
    assert manifest.behind(study) == []
    on = study[0].changed(state=State.failed)
    new = [make_record(seed=seed) for seed in (5, 6, 7, 8)]
    assert manifest.behind([on, *study[2:], *new]) == [
        f"4 runs are new: {', '.join(record.run_id for record in new[:3])} and 1 more",
        f"1 run is gone: {study[1].run_id}",
        f"1 run is changed: {study[0].run_id}",
    ]
