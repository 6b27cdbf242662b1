import json

import pandas as pd
import pytest

from reglab.atomic import held
from reglab.errors import UserError
from reglab.report import build, tables
from reglab.report.claims import verdicts
from reglab.report.manifest import Manifest
from reglab.report.page import words
from reglab.tracking.fetch import fetch
from reglab.tracking.record import State
from tests.report import published
from tests.report.conftest import moved
from tests.report.published import BY_NAME, DESIGN, FINAL

OWN = {f"final.{kind}" for kind in ("md", "csv", "tex")} | {
    f"{stem}.{kind}" for stem in ("figure_11", "summary") for kind in ("png", "svg", "json")
}
AUGMENTATION = {f"augmentation.{kind}" for kind in ("md", "csv", "tex")} | {f"figure_10.{kind}" for kind in ("png", "svg", "json")}
"""Of a question that compares some of the final models, too."""
ALWAYS = {"index.html", "study.yaml", "manifest.json", "runs.csv", "records.jsonl.gz"} | {
    f"{stem}.{kind}" for stem in ("claims", "table_1") for kind in ("md", "csv", "tex")
}


@pytest.fixture
def make(tmp_path):
    return lambda records, name="report": build.build(records, tmp_path / name, "runs/final", {}, DESIGN).parent


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_report_has_what_its_runs_answer(study, make):
    folder = make(study)
    assert names(folder) == ALWAYS | OWN | AUGMENTATION


def test_a_question_has_its_section_where_an_arm_departs_in_what_it_alone_varies(study, make_record):
    """Cutout per image has two of the final models among its arms, which answer another question: until a copy of each image is there."""

    def sections(records):
        return {question.name for question, cells in build.Report(records, DESIGN).answers.items() if cells}

    per_image = make_record(
        config={"batchnorm": {"layers": 2}, "dropout": {"layers": 3, "p": 0.2}, "cutout": {"images": 2, "per": "image"}}
    )
    assert sections(study) == {"final", "augmentation"}
    assert sections([*study, per_image]) == {"final", "augmentation", "cutout_per"}


def test_a_report_takes_the_place_of_an_earlier_one_whole(study, make, make_record, tmp_path):
    folder = make([*study, make_record(config={"agc": {"enabled": True, "clip": 0.3}, "batchnorm": {"layers": 1}})])
    assert "others.md" in names(folder)
    assert names(make(study[:12])) == ALWAYS | OWN | AUGMENTATION
    assert names(tmp_path) == {"report"}
    assert not Manifest.read(folder).altered(folder)


@pytest.mark.slow
def test_what_lies_beside_a_report_stays(study, make, tmp_path):
    folder = make(study)
    (folder / "notes.txt").write_text("years of work")
    (folder / "photos").mkdir()
    (folder / "photos" / "one.png").write_bytes(b"PNG")
    (folder / "link").symlink_to("nowhere")
    page = (folder / "index.html").stat().st_mtime_ns
    make(study[:12])
    assert (folder / "index.html").stat().st_mtime_ns > page
    assert (folder / "notes.txt").read_text() == "years of work"
    assert (folder / "photos" / "one.png").read_bytes() == b"PNG"
    assert (folder / "link").is_symlink()
    assert names(tmp_path) == {"report"}


@pytest.mark.parametrize("name", [pytest.param("claims.md", marks=pytest.mark.slow), "others.md"])
def test_what_is_in_the_way_and_not_the_earlier_report_s_is_named_and_stays(study, make, make_record, tmp_path, name):
    """One that was changed by hand, and one that the new report is the first to have."""
    folder = make(study)
    (folder / name).write_text("my words")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError) as caught:
        make([*study, make_record(config={"agc": {"enabled": True, "clip": 0.3}, "batchnorm": {"layers": 1}})])
    assert str(caught.value).startswith(f"{folder / name} is not as the earlier report had it")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(tmp_path) == {"report"}


@pytest.mark.parametrize("content", [pytest.param(None, id="gone"), pytest.param(b"{", marks=pytest.mark.slow, id="damaged")])
def test_without_its_manifest_nothing_of_a_report_is_replaced(study, make, content):
    folder = make(study)
    (folder / "manifest.json").unlink()
    if content:
        (folder / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match="nothing tells which files are the report's: give another folder"):
        make(study)


@pytest.mark.slow
def test_what_a_killed_build_left_goes_with_the_next_and_brings_back_the_earlier_report(study, make, tmp_path):
    """Killed as it put its report in place; and a build that goes on beside it keeps its folder."""
    folder = make(study)
    (folder / "notes.txt").write_text("years of work")
    killed, alive, another = (tmp_path / f".report.{number * 8}" for number in "012")
    for left in (killed, alive):
        left.mkdir()
    folder.rename(killed / "earlier")
    (another / "thesis").mkdir(parents=True)
    with held(alive):
        make(study)
    assert (folder / "notes.txt").read_text() == "years of work"
    assert names(tmp_path) == {"report", alive.name, another.name}


def test_a_report_is_built_again_from_itself(study, make):
    folder = make(study)
    again = make(fetch(str(folder)), "again")
    for name in names(folder) - {"manifest.json"}:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_folder_that_is_no_report_is_left_alone(study, make, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="exists and is not a report"):
        make(study)
    assert (tmp_path / "report" / "thesis.tex").read_text() == "years of work"


def test_a_site_is_not_taken_for_a_report(study, make, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<title>photos</title>")
    with pytest.raises(UserError, match="is not a report"):
        make(study, "site")


def test_runs_of_which_none_finished_are_refused_and_nothing_is_written(make_record, make, tmp_path):
    with pytest.raises(UserError, match="of 1 run none has finished"):
        make([make_record(state=State.running)])
    assert not any(tmp_path.iterdir())


def test_runs_that_answer_no_question_have_a_table_and_a_figure_of_their_own(make_record, make):
    folder = make([make_record(config={"agc": {"enabled": True, "clip": 0.3}, "batchnorm": {"layers": layers}}) for layers in (1, 3)])
    assert {"others.md", "others.png"} <= names(folder)
    assert "BN 3 · AGC 0.3" in (folder / "others.md").read_text()


def test_the_manifest_has_the_sweeps_of_its_runs(study, tmp_path):
    folder = build.build(study, tmp_path / "r", "runs/final", {"final": "d1", "cifar_stem": "d2"}, DESIGN).parent
    assert json.loads((folder / "manifest.json").read_text())["sweeps"] == {"final": "d1"}


def test_every_run_is_among_the_rows_whatever_came_of_it(study, make_record, make):
    odd = [make_record(seed=8, state=State.failed, reason="out of memory"), make_record(seed=9, config={"model": {"width": 8}})]
    assert len(pd.read_csv(make([*study, *odd]) / "runs.csv")) == len(study) + 2


def test_the_headline_names_the_best_arm_and_its_lead(study):
    whole = published.study(study)
    best, reached = words.headline(verdicts.judge(whole), {FINAL: whole.answers(FINAL)}, whole)
    assert (
        best
        == "Of the final models, asymmetric_cutout_2 has the best test accuracy: 81.0 ± 1.3 %, +20.0 (all equal) points against baseline. "
        "Every other is surely below it."
    )
    assert reached == "6 of 6 reach 87 % running training accuracy."


def test_the_headline_says_when_one_seed_is_all_there_is(make_record):
    one = published.study([make_record()])
    assert words.headline([], {FINAL: one.answers(FINAL)}, one)[1] == "1 of 1 reaches 87 % running training accuracy."
    assert "With one seed an arm" in words.headline([], {FINAL: one.answers(FINAL)}, one)[-1]


def test_a_label_says_what_the_runs_are_not(study):
    assert (
        words.label(published.study(study))
        == "Not the published study's set-up: digits instead of CIFAR-10, training images 1,442 instead of 50,000, epochs 1 instead of 200."
    )


def test_notes_name_what_was_left_out_and_what_was_not_pooled(make_record):
    unlike = make_record(seed=1).environment.model_copy(update={"device": "another GPU"})
    records = [
        make_record(),
        make_record(seed=1, environment=unlike),
        make_record(seed=2, state=State.failed, reason="out of memory"),
        make_record(seed=3, config={"model": {"width": 8}}),
    ]
    notes = words.notes(published.study(records))
    assert "1 failed, not counted: baseline · model.width 64 s2 (out of memory)" in notes
    assert any("1 run is of another set-up" in note and "model.width 64 / 8" in note for note in notes)
    assert any("not pooled: a GPU" in note and "another GPU" in note for note in notes)


@pytest.mark.parametrize(("leaked", "said"), [([12, 12], "12"), ([12, 3], "up to 12"), ([None, 0], None), ([0, 0], None)])
def test_notes_tell_how_many_test_images_were_trained_on(make_record, leaked, said):
    where = make_record().environment
    made = [make_record(seed=seed, environment=where.model_copy(update={"leaked_images": count})) for seed, count in enumerate(leaked)]
    lines = [line for line in words.notes(published.study(made)) if "trained on" in line]
    start = f"the training images of digits hold {said} of its 355 test images, too, pixel by pixel: test accuracy is in part that of"
    assert [line.startswith(start) for line in lines] == ([True] if said else [])


def test_notes_tell_that_files_were_decoded_unlike(make_record):
    before, here = make_record(), make_record(seed=1)
    assert before.environment.pixel_fingerprint is None
    here = here.changed(environment=here.environment.model_copy(update={"pixel_fingerprint": "p"}))
    there = make_record(seed=2, environment=here.environment.model_copy(update={"pixel_fingerprint": "q"}))
    said = "the same files of digits were decoded to 2 unlike sets of pixels, as several versions of Pillow may do"
    assert said not in words.notes(published.study([before, here]))
    assert said in words.notes(published.study([before, here, there]))


@pytest.mark.parametrize("again", [False, True], ids=["another seed", "the same seed"])
def test_runs_on_other_images_of_one_name_are_never_pooled(study, make_record, make, again):
    record = make_record(seed=0 if again else 8, run_id="w4ndb1d")
    other = record.model_copy(update={"environment": record.environment.model_copy(update={"data_fingerprint": "g"})})
    with pytest.raises(
        UserError, match=r"different images that are called digits, of fingerprints f \(\d+ runs, .* and g \(1 run, such as w4ndb1d"
    ):
        make([*study, other])
    assert make([*study, other.model_copy(update={"state": State.failed})])


def test_a_search_is_told_by_what_it_chose_on_held_out_images(make_record):
    def drawn(p, validation, test):
        config = {"data": {"validation": 8}, "batchnorm": {"layers": 2}, "dropout": {"layers": 3, "p1": p, "p2": 0.2, "p3": 0.3}}
        record = make_record(config=config, test=test, sweep="dropout_bayes")
        return record.model_copy(update={"summary": record.summary.model_copy(update={"val_accuracy": validation})})

    study = published.study([drawn(0.1, 0.8, 0.7), drawn(0.4, 0.6, 0.9), make_record()])
    cells = study.answers(BY_NAME["dropout_arrays"])
    assert [cell.treatment["dropout"] for cell in cells] == ["0.1/0.2/0.3", "0.4/0.2/0.3"]
    assert words.chosen(cells, study) == [
        "Of its 2 draws, dropout_bayes chooses BN 2 · dropout 3 at 0.1/0.2/0.3 · 8 held out by 80.0 % on held-out training images: "
        "70.0 % on the test images."
    ]


def test_runs_that_went_on_elsewhere_are_named_in_the_notes_the_rows_and_the_table_of_runs(make_record):
    study = published.study([make_record(), moved(make_record(seed=1))])
    said = words.notes(study)
    assert any(line.startswith("Times come from 2 unlike machines") and "gone on from elsewhere" in line for line in said)
    assert any(line.startswith("1 run went on elsewhere, with seconds of several machines") for line in said)
    assert not any("shared" in line for line in said)
    assert list(tables.rows(study.records, {}, study)["device"]) == ["a GPU", "a GPU, gone on from elsewhere"]
    assert list(tables.runs(study.records, study)["elsewhere"])[1] == "a lost GPU, bf16, torch 2.15, reglab abc"


def test_runs_that_shared_their_cores_are_named_in_the_notes_and_the_rows(make_record):
    quiet, shared = make_record(), make_record(seed=1)
    shared = shared.changed(summary=shared.summary.model_copy(update={"time_cpu_share": 0.6}))
    said = words.notes(published.study([quiet, shared]))
    assert any(line.startswith("Times come from 2 unlike machines") and "shared cores" in line for line in said)
    assert any(line.startswith("1 run shared cores with other programs") for line in said)
    assert list(tables.rows([quiet, shared], {}, published.study([quiet, shared]))["device"]) == ["a GPU", "a GPU, shared cores"]
    assert not any("shared" in line or "elsewhere" in line for line in words.notes(published.study([quiet])))
    on_gpu = quiet.changed(seed=2, run_id="two", summary=quiet.summary.model_copy(update={"gpu_runs": 2}))
    assert any(line.startswith("1 run shared a GPU with other runs") for line in words.notes(published.study([quiet, on_gpu])))
    assert list(tables.rows([on_gpu], {}, published.study([on_gpu]))["device"]) == ["a GPU, shared GPU"]
