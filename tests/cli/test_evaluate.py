import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from reglab.config import DataConfig
from reglab.data import sources
from reglab.settings import settings
from reglab.tracking.per_image import PerImage
from reglab.tracking.store import read_run
from reglab.training.run import Run

WORDS = [
    "data.source=digits",
    "data.train_limit=128",
    "data.test_limit=64",
    "model.width=4",
    "train.epochs=2",
    "train.batch_size=32",
    "batchnorm.layers=2",
]


@pytest.fixture
def reglab(reglab, monkeypatch, tmp_path, capsys):
    """Runs a command in this process; returns its exit code and its two streams."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = reglab(*words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def trained(reglab, tmp_path):
    """The folder of a finished run with its weights."""
    assert reglab("train", *WORDS, "train.keep_weights=true")[0] == 0
    (path,) = (tmp_path / "runs" / "train").glob("*/run.json")
    return path.parent


def accuracy(out):
    return float(out.split("test accuracy ")[1].split()[0])


def test_a_run_gives_its_recorded_accuracy_again(reglab, trained):
    code, out, err = reglab("evaluate", str(trained))
    record = read_run(trained)
    assert (code, err) == (0, "")
    assert accuracy(out) == record.summary.test_accuracy
    assert f"test loss {record.history[-1].test_loss!r}" in out


def test_a_run_is_measured_by_metrics_that_it_did_not_have(reglab, trained):
    _, plain, _ = reglab("evaluate", str(trained))
    code, out, err = reglab("evaluate", str(trained), "train.metrics=reglab.metrics:ece,reglab.metrics:class_accuracy")
    assert (code, err) == (0, "") and out.startswith(plain)
    measured = dict(line.split(" ") for line in out.removeprefix(plain).splitlines())
    assert measured.keys() == {"test/ece", *(f"test/class_accuracy/{digit}" for digit in range(10))}
    assert 0 < float(measured["test/ece"]) < 1
    code, _, err = reglab("evaluate", str(trained), "train.metrics=nobody_here:ece")
    assert code == 2 and "train.metrics = nobody_here:ece: there is no module nobody_here here" in err


def test_a_finished_run_says_which_metrics_it_lacks(reglab, trained):
    asked = (*WORDS, "train.keep_weights=true", "train.metrics=reglab.metrics:ece")
    assert "holds this run already, without test/ece; --again trains it anew" in reglab("train", *asked)[2]
    reglab("train", *asked, "--again")
    assert "holds this run already; --again" in reglab("train", *asked)[2]
    assert "test/ece " in reglab("evaluate", str(trained))[1]


def test_a_run_is_found_by_its_id(reglab, trained):
    assert reglab("evaluate", trained.name) == reglab("evaluate", str(trained))


def test_the_run_itself_says_that_its_weights_are_kept(reglab, trained):
    assert "weights kept" in reglab("train", *WORDS, "--again", "train.keep_weights=true")[2]
    assert "weights kept" not in reglab("train", *WORDS, "--again")[2]


def test_a_run_without_weights_is_one_line(reglab, tmp_path):
    reglab("train", *WORDS)
    (path,) = (tmp_path / "runs" / "train").glob("*/run.json")
    code, out, err = reglab("evaluate", str(path.parent))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"reglab: {path.parent} kept no weights: train it with train.keep_weights=true (and --again, for it has finished)"
    ]


def test_asking_for_the_weights_of_a_run_that_finished_without_says_that_there_are_none(reglab, tmp_path):
    reglab("train", *WORDS)
    assert "holds this run already, without its weights; --again" in reglab("train", *WORDS, "train.keep_weights=true")[2]
    reglab("train", *WORDS, "train.keep_weights=true", "--again")
    assert "without" not in reglab("train", *WORDS, "train.keep_weights=true")[2]


def test_training_anew_without_keeping_leaves_no_old_weights(reglab, trained):
    reglab("train", *WORDS, "--again")
    assert not (trained / "weights.safetensors").exists()
    assert "kept no weights" in reglab("evaluate", str(trained))[2]


def test_an_unfinished_run_is_one_line(reglab, tmp_path, monkeypatch):
    end = Run.end_epoch
    monkeypatch.setattr(Run, "end_epoch", lambda run, *rest: os.kill(os.getpid(), signal.SIGUSR1) or end(run, *rest))
    assert reglab("train", *WORDS, "train.keep_weights=true")[0] == 75
    code, _, err = reglab("evaluate", str(next((tmp_path / "runs" / "train").glob("*/run.json")).parent))
    assert code == 2
    assert "is preempted: only a run that has finished keeps weights" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is no run: give a run's folder, or the id of one in "),
        (["RUN", "train.seed=1"], "train.seed is fixed by the run"),
        (["RUN", "data.test_limit=99999"], "data.test_limit = 99999"),
        (["RUN", "data.sauce=digits"], "data.source"),
        (["RUN", "data.source=folder"], "needs data.folder"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(reglab, trained, words, said):
    code, out, err = reglab("evaluate", *[str(trained) if word == "RUN" else word for word in words])
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert said in line


def test_a_folder_of_several_runs_is_one_line(reglab, trained):
    reglab("train", *WORDS, "train.seed=1")
    code, _, err = reglab("evaluate", str(trained.parent))
    assert code == 2
    assert "holds 2 runs: give one of them" in err


def write(folder, part, names=range(10)):
    for name in names:
        for number, row in enumerate(np.flatnonzero(part.labels == int(name))[:3]):
            path = folder / str(name) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.images[row]).save(path)


@pytest.fixture
def digits():
    return sources.load(DataConfig(source="digits"), settings().cache)


def test_other_images_of_the_same_classes_are_normalized_as_the_run_s_own(reglab, trained, digits, tmp_path):
    """Dark training images beside them change nothing: only the run's own count."""
    write(tmp_path / "new" / "test", digits.test)
    write(tmp_path / "new" / "train", sources.Split(digits.train.images // 8, digits.train.labels))
    code, out, err = reglab("evaluate", str(trained), "data.source=folder", f"data.folder={tmp_path / 'new'}")
    assert (code, err) == (0, "")
    assert "on new: test accuracy" in out and "of 30)" in out
    write(tmp_path / "bright" / "test", digits.test)
    write(tmp_path / "bright" / "train", digits.train)
    _, other, _ = reglab("evaluate", str(trained), "data.source=folder", f"data.folder={tmp_path / 'bright'}")
    assert out.replace("on new", "") == other.replace("on bright", "")


def test_limits_of_the_run_do_not_hold_for_other_images(reglab, trained):
    assert "of 355)" in reglab("evaluate", str(trained), "data.source=digits")[1]
    assert "of 7)" in reglab("evaluate", str(trained), "data.test_limit=7")[1]


def test_a_key_without_effect_on_the_run_s_own_images_changes_nothing(reglab, trained):
    assert reglab("evaluate", str(trained), "data.background=black", "data.name=x") == reglab("evaluate", str(trained))


def test_where_there_is_no_run_it_names_none(reglab, tmp_path):
    assert f"in {tmp_path / 'runs'}, which holds none" in reglab("evaluate", "nowhere")[2]


def test_images_of_other_classes_are_refused_with_those_that_differ(reglab, trained, digits, tmp_path):
    for part in ("train", "test"):
        write(tmp_path / "few" / part, digits.train, range(8))
    code, out, err = reglab("evaluate", str(trained), "data.source=folder", f"data.folder={tmp_path / 'few'}")
    assert (code, out) == (2, "")
    assert "the 8 classes of few are not the 10 that the run was trained on (not in both: 8, 9)" in err


def test_images_that_changed_since_are_not_taken_for_the_run_s_own(reglab, digits, tmp_path):
    for part in ("train", "test"):
        write(tmp_path / "pets" / part, digits.train)
    words = ["data.source=folder", f"data.folder={tmp_path / 'pets'}", "model.width=4", "train.epochs=1", "train.keep_weights=true"]
    assert reglab("train", *words)[0] == 0
    (path,) = (tmp_path / "runs" / "train").glob("*/run.json")
    assert reglab("evaluate", str(path.parent))[0] == 0
    Image.fromarray(digits.test.images[0]).save(tmp_path / "pets" / "test" / "3" / "new.png")
    code, out, err = reglab("evaluate", str(path.parent))
    assert (code, out) == (2, "")
    assert "are no longer those that it saw (fingerprint " in err
    assert reglab("evaluate", str(path.parent), f"data.folder={tmp_path / 'pets'}")[0] == 0


def altered(trained, change):
    path = trained / "run.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def another_accuracy(stored):
    stored["summary"]["test/accuracy"] = 0.123
    del stored["per_image"]  # as of a run of before: with it, the record contradicts itself


def other_answers(stored):
    """As many right, one of them another."""
    right = read_bits(stored)
    places = np.flatnonzero(right)[0], np.flatnonzero(~right)[0]
    right[list(places)] = ~right[list(places)]
    stored["per_image"] = PerImage.of(stored["per_image"]["images"], right).model_dump()


def read_bits(stored):
    return PerImage.model_validate(stored["per_image"]).bits()


def test_an_accuracy_that_is_not_the_recorded_one_is_an_error_on_the_same_machine(reglab, trained):
    altered(trained, another_accuracy)
    code, _, err = reglab("evaluate", str(trained))
    assert code == 1
    assert "where its record has 0.123, on the same images and machine" in err


def test_on_another_machine_it_is_said_and_no_error(reglab, trained):
    altered(trained, lambda stored: (another_accuracy(stored), stored["environment"].update(device="a GPU")))
    code, _, err = reglab("evaluate", str(trained))
    assert code == 0
    assert "the record has 0.123, of another place, which may round otherwise: device a GPU, here " in err


def test_where_the_files_of_then_are_other_pixels_here_that_is_said(reglab, trained):
    altered(trained, lambda stored: (another_accuracy(stored), stored["environment"].update(pixel_fingerprint="of another Pillow")))
    code, _, err = reglab("evaluate", str(trained))
    assert code == 0
    assert "which may round otherwise: the same files are other pixels here, as another version of Pillow decodes them" in err


def test_the_same_images_are_right_again(reglab, trained):
    """As many that are right, and others, is another result."""
    assert reglab("evaluate", str(trained))[0] == 0
    altered(trained, other_answers)
    code, _, err = reglab("evaluate", str(trained))
    assert code == 1
    assert "and 2 of the images answered otherwise, on the same images and machine" in err
    altered(trained, lambda stored: stored["environment"].update(device="a GPU"))
    code, _, err = reglab("evaluate", str(trained))
    assert code == 0
    assert "and 2 of the images answered otherwise, of another place" in err


def test_a_record_whose_accuracy_was_changed_by_hand_is_damaged(reglab, trained):
    altered(trained, lambda stored: stored["summary"].update({"test/accuracy": 0.123}))
    code, _, err = reglab("evaluate", str(trained))
    assert code == 2
    assert "run.json is damaged: " in err


def test_weights_with_the_checkpoints_that_machines_share_are_found(reglab, tmp_path, monkeypatch):
    monkeypatch.setenv("REGLAB_CHECKPOINTS", str(tmp_path / "shared"))
    reglab("train", *WORDS, "train.keep_weights=true")
    (path,) = (tmp_path / "runs" / "train").glob("*/run.json")
    assert (tmp_path / "shared" / "train" / path.parent.name / "weights.safetensors").exists()
    assert reglab("evaluate", path.parent.name)[0] == 0


def test_weights_that_are_gone_are_one_line(reglab, trained):
    (trained / "weights.safetensors").unlink()
    code, _, err = reglab("evaluate", str(trained))
    assert code == 2
    assert "is not there, though the run kept it" in err
