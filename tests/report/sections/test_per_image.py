"""The part of a report that single test images tell: there where runs tell them, of one set of images, and without them nothing."""

import re

import numpy as np
import pytest

import reglab
from reglab.errors import UserError
from reglab.report import build
from reglab.report.sections import per_image
from reglab.report.studies import own, study_file
from reglab.report.studies.study import Study
from reglab.tracking.per_image import PerImage
from reglab.tracking.record import State
from reglab.tracking.store import write_run

IMAGES = 355
HARD = np.random.default_rng(0).random(IMAGES)


def answered(record, right=0.8, seed=0, images="digits-test"):
    """The run with answers: right on all but the hardest images, and by chance on some of these."""
    correct = HARD + 0.1 * np.random.default_rng(seed).standard_normal(IMAGES) < right
    summary = record.summary.model_copy(update={"test_accuracy": correct.sum() / IMAGES})
    return record.changed(summary=summary, per_image=PerImage.of(images, correct))


@pytest.fixture
def told(batchnorm):
    """Three seeds of no, one and two BN layers; each layer gets some images right that the layers before do not."""
    return [
        answered(batchnorm(layers, seed, sweep="mine"), 0.7 + 0.1 * layers, 10 * layers + seed)
        for layers in (0, 1, 2)
        for seed in (0, 1, 2)
    ]


def without(records):
    return [record.changed(per_image=None) for record in records]


def section(records, baseline=None):
    """The section on all of their arms."""
    study = Study.of(records, own.design(records))
    cells = study.cells
    return per_image.extra(study, cells, next((cell for cell in cells if cell.label == baseline), None))


def test_runs_that_tell_no_images_have_no_such_section(told):
    assert section(without(told)) is None


def test_each_arm_is_compared_with_the_best_or_the_baseline(told):
    found = section(told)
    assert "compared with BN 2 on" in found.asks
    assert [*found.table["model"]] == ["BN 2", "BN 1", "baseline"]
    assert [text == "–" for text in found.table["only the other is right, %"]] == [True, False, False]
    row = section(told, "baseline").table.set_index("model").loc["BN 2"]
    mine, its = ([record.per_image.bits() for record in told if record.label == label] for label in ("BN 2", "baseline"))
    for column, firsts, seconds in (("only it is right, %", mine, its), ("only the other is right, %", its, mine)):
        expected = 100 * np.mean([(one & ~other).mean() for one in firsts for other in seconds])
        assert float(re.match(r"[\d.]+", row[column])[0]) == pytest.approx(expected, abs=0.06)
        assert re.search(r" ± | \(.* to .*\)", row[column])
    alone = 100 * np.mean([(one & ~other).mean() for one in mine for other in mine if one is not other])
    assert float(row["two of its seeds, %"]) == pytest.approx(alone, abs=0.06)


def test_what_held_images_out_is_not_compared_with_what_did_not(told, batchnorm):
    held_out = [answered(batchnorm(3, seed, config={"data": {"validation": 100}}), 0.95, seed) for seed in (0, 1)]
    table = section([*told, *held_out], "baseline · validation 0").table.set_index("model")
    assert (table["only it is right, %"] == "–").sum() == 2
    assert table["runs"].tolist().count("2") == 1


def test_the_spread_between_seeds_is_told_apart_from_the_noise_of_the_test_set(told):
    (line,) = section(told).notes
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", line)]
    seen, chance = numbers[:2]
    accuracies = np.array([record.summary.test_accuracy for record in told]).reshape(3, 3)
    bits = np.array([record.per_image.bits() for record in told]).reshape(3, 3, IMAGES)
    assert seen == pytest.approx(100 * np.sqrt(accuracies.var(axis=1, ddof=1).mean()), abs=0.006)
    assert chance == pytest.approx(100 * np.sqrt(bits.var(axis=1, ddof=1).mean() / IMAGES), abs=0.006)
    variances = accuracies.var(axis=1, ddof=1)  # of three arms, each with two degrees of freedom
    assert f"{2 * variances.sum() ** 2 / (variances**2).sum():.0f} degrees of freedom" in line
    assert f"a test set of {IMAGES} images shows by chance" in line


def test_a_spread_that_is_no_more_than_chance_is_not_made_something_of(batchnorm):
    """Three seeds that are right on as many images, but on others."""
    records = []
    for seed in range(3):
        record = answered(batchnorm(0, seed), seed=seed)
        correct = np.roll(np.arange(IMAGES) < 300, 40 * seed)
        records.append(record.changed(per_image=PerImage.of("f", correct)))
    (line,) = section(records).notes
    assert line.startswith("The 0.00 points by which seeds of one arm differ")
    assert "are no more than a test set of 355 images shows by chance" in line


def test_one_seed_an_arm_tells_the_shares_without_intervals_and_no_spread(told):
    found = section([record for record in told if record.seed == 0])
    assert not found.notes
    assert set(found.table["seeds differ by, points"]) == set(found.table["two of its seeds, %"]) == {"–"}
    assert all(re.fullmatch(r"[\d.]+|–", text) for text in found.table["only it is right, %"])
    assert section(told[:1]) is None  # nothing to compare with


def test_runs_of_before_and_on_other_images_are_left_out_in_a_line_each(told):
    others = [answered(record, 0.9, record.seed, "other") for record in told[-2:]]
    found = section([*without(told[:1]), *told[1:-2], *others])
    assert found.notes[1:] == [
        "1 of 9 runs do not tell which images they get right, and are not in it.",
        "2 of 9 runs were tested on other images (other, not digits-test), and are not compared with these.",
    ]
    assert list(found.table["runs"]) == ["1", "3", "2"]


def test_runs_that_did_not_finish_are_none_of_it(told):
    stopped = told[0].changed(state=State.stopped)
    assert list(section([stopped, *told[1:]]).table["runs"]) == ["3", "3", "2"]


def test_answers_to_other_images_are_refused_in_a_line(told):
    with pytest.raises(UserError) as caught:
        per_image.answers([told[0], answered(told[1], images="other")])
    line = str(caught.value)
    assert "\n" not in line
    assert "of fingerprints digits-test and other: right and wrong are compared on the same ones only" in line
    with pytest.raises(UserError, match="does not tell which images it gets right"):
        per_image.answers(without(told))


@pytest.mark.parametrize("design", [None, study_file.read("four_regularizers")], ids=["of no study", "of a study"])
def test_a_report_has_it_behind_all_else(told, design):
    extras = build.Report(told, design).extras
    assert extras[-1].stem == "per_image"
    assert [extra.stem for extra in build.Report(without(told), design).extras] == [extra.stem for extra in extras[:-1]]


def findings(page):
    return page.partition('<section id="findings"')[2].partition("</section>")[0]


@pytest.mark.slow
def test_a_page_has_it_below_its_first_screen_and_a_report_built_from_it_tells_the_same(told, tmp_path):
    page, before = (
        build.build(records, tmp_path / name, "runs/x", {}).read_text() for name, records in (("with", told), ("without", without(told)))
    )
    assert findings(page) == findings(before) != ""
    assert page.index('id="question-arms"') < page.index('id="question-per_image"') < page.index('<section id="runs"')
    assert "per_image" not in before
    names = {path.name for path in (tmp_path / "with").iterdir()} - {path.name for path in (tmp_path / "without").iterdir()}
    assert names == {"per_image.md", "per_image.csv", "per_image.tex"}
    reglab.build_report(tmp_path / "with", tmp_path / "again")
    assert (tmp_path / "with" / "per_image.md").read_text() == (tmp_path / "again" / "per_image.md").read_text()


# `reglab.compare`


@pytest.fixture
def runs(tmp_path):
    def read(records):
        for record in records:
            write_run(tmp_path / "runs" / "mine" / record.run_id, record)
        return reglab.runs(tmp_path / "runs" / "mine")

    return read


def test_two_settings_are_compared_on_the_same_images(runs, told):
    found = reglab.compare(runs(told), "BN 2", "baseline")
    assert 100 * (found.images.only_a.share - found.images.only_b.share) == pytest.approx(found.estimate)
    assert (found.images.images, found.apart) == (IMAGES, None)
    assert "; of the same 355 images, only BN 2 gets " in str(found)
    assert "only BN 2 gets" in found._repr_html_()


def test_the_images_are_of_the_very_runs_that_the_difference_is_of(runs, told):
    """Of three seeds on one side and two on the other."""
    found = reglab.compare(runs(told[:-1]), "BN 2", "baseline")
    assert found.n == 2
    assert 100 * (found.images.only_a.share - found.images.only_b.share) == pytest.approx(found.estimate)


def test_of_anything_but_test_accuracy_and_of_runs_of_before_nothing_is_said_of_images(runs, told):
    assert reglab.compare(runs(told), "BN 2", "baseline", on="gap").images is None
    found = reglab.compare(runs(without(told)), "BN 2", "baseline")
    assert (found.images, found.apart) == (None, None)
    assert "image" not in str(found) + found._repr_html_()


def test_settings_on_other_images_are_not_compared_and_a_line_says_so(runs, told):
    others = [answered(record, 0.9, record.seed, "other") for record in told[-3:]]
    found = reglab.compare(runs([*told[:-3], *others]), "BN 2", "baseline")
    assert found.images is None
    assert "were tested on other images, of fingerprints" in found.apart
    assert str(found).endswith(found.apart)
