"""Arrays of the user's: whatever has labelled squares of pixels trains, grey or in colour, and what has not is refused in a line."""

import math

import numpy as np
import pytest
import torch

from reglab.config import DataConfig, RunConfig, identity
from reglab.data import sources
from reglab.errors import UserError
from reglab.processes.signals import Signals
from reglab.training.run import Run
from tests.data import own
from tests.data.own import noise


@pytest.fixture
def write(tmp_path):
    """Writes an .npz file, by default of noise; returns the configuration that names it."""

    def to(name="birds.npz", side=28, channels=None, **changes):
        made = dict(zip(own.NAMES, (*noise(12, side, channels), *noise(6, side, channels, seed=1)), strict=True)) | changes
        np.savez(tmp_path / name, **{key: value for key, value in made.items() if value is not None})
        return DataConfig(source="npz", file=str(tmp_path / name))

    return to


def refused(config, tmp_path):
    with pytest.raises(UserError) as caught:
        sources.load(config, tmp_path)
    line = str(caught.value)
    assert "\n" not in line and line.isprintable()
    return line


@pytest.mark.parametrize(("channels", "last"), [(None, 1), (1, 1), (3, 3), (4, 4)])
@pytest.mark.parametrize("side", [28, 32, 64])
def test_a_file_is_read_as_it_is(write, tmp_path, side, channels, last):
    found = sources.load(write(side=side, channels=channels), tmp_path)
    images, labels = noise(12, side, channels)
    assert found.extent == (side, last) and found.name == "birds" and found.classes == ("0", "1", "2")
    assert np.array_equal(found.train.images, images.reshape(12, side, side, last)) and np.array_equal(found.train.labels, labels)
    assert found.train.images.dtype == np.uint8 and found.test.labels.dtype == np.int64


def test_names_of_classes_are_taken_and_a_fingerprint_tells_what_changed(write, tmp_path):
    plain, named = sources.load(write(), tmp_path), sources.load(write(classes=np.array(["a", "b", "c", "d"])), tmp_path)
    assert named.classes == ("a", "b", "c", "d")
    images, _ = noise(12, 28)
    images[0, 0, 0] ^= 1
    other = sources.load(write(train_images=images), tmp_path)
    assert len({plain.fingerprint, named.fingerprint, other.fingerprint}) == 3
    assert sources.load(write("again.npz"), tmp_path).fingerprint == plain.fingerprint


IMAGES, LABELS = noise(12, 28)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_labels": None}, "lacks train_labels; it holds train_images"),
        ({"train_images": IMAGES / 255}, "train: images are float64, not uint8: give levels from 0 to 255"),
        ({"train_images": noise(12, 28, 3)[0].transpose(0, 3, 1, 2)}, "channels come last, .transpose(0, 2, 3, 1) puts them there"),
        ({"train_images": IMAGES[:, :20]}, "images are 20×28 of 1 channels, not squares"),
        ({"train_images": np.zeros((12, 28, 28, 5), np.uint8)}, "of 5 channels"),
        ({"train_images": IMAGES[0]}, "images of shape (28, 28), not (N, side, side)"),
        ({"train_images": np.zeros((0, 28, 28), np.uint8)}, "images of shape (0, 28, 28)"),
        ({"train_labels": LABELS[:5]}, "labels are int64 of shape (5,), not whole numbers of shape (12,), one an image"),
        ({"train_labels": LABELS.astype(float)}, "labels are float64"),
        ({"train_labels": LABELS - 1}, "a label is -1: they count classes from 0"),
        ({"train_labels": LABELS * 0, "test_labels": noise(6, 28)[1] * 0}, "all labels are 0"),
        ({"train_labels": LABELS + 1, "test_labels": noise(6, 28)[1] + 1}, "labels go to 3, and no image is of class 0: count classes"),
        ({"train_labels": np.where(LABELS == 2, 9, LABELS)}, "labels go to 9, and no image is of class 3"),
        ({"train_labels": np.where(LABELS == 2, 10**9, LABELS)}, "a label is 1000000000: they count classes from 0, without a gap"),
        ({"train_labels": LABELS.astype(np.uint64) + np.uint64(2**63)}, "a label is 9223372036854775810: they count classes from 0"),
        ({"train_labels": LABELS % 2}, "test has images of classes of which train has none, so that no network could know them: 2"),
        ({"classes": np.array("abc")}, "the names of the classes are abc: give a list of them"),
        ({"classes": np.array(["a", "b"])}, "labels go to 2, and its 2 names of classes"),
        ({"classes": np.array(["a", "b", "b"])}, "(2 different) do not do"),
        ({"test_images": noise(6, 20)[0]}, "images of train are (28, 28, 1), and those of test (20, 20, 1)"),
        ({"train_images": np.array([None] * 12)}, "cannot be read as an .npz file of plain arrays"),
    ],
)
def test_what_is_no_labelled_images_is_refused(write, tmp_path, changes, said):
    line = refused(write(**changes), tmp_path)
    assert line.startswith(f"data.file = {tmp_path}/birds.npz") and said in line


def test_what_is_no_such_file_is_refused(tmp_path):
    assert "there is no such file" in refused(DataConfig(source="npz", file=str(tmp_path / "none.npz")), tmp_path)
    for name, content in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        assert "cannot be read as an .npz file" in refused(DataConfig(source="npz", file=str(tmp_path / name)), tmp_path)
    np.save(tmp_path / "lone.npy", IMAGES)
    assert "cannot be read as an .npz file" in refused(DataConfig(source="npz", file=str(tmp_path / "lone.npy")), tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_is_refused_whatever_part_is_damaged(tmp_path, save):
    path, arrays = tmp_path / "birds.npz", (*noise(12, 28), *noise(6, 28, seed=1))
    save(path, **dict(zip(own.NAMES, arrays, strict=True)))
    whole, refusals = path.read_bytes(), 0
    for place in range(0, len(whole), max(1, len(whole) // 300)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            sources.load(DataConfig(source="npz", file=str(path)), tmp_path)
        except UserError:
            refusals += 1
    assert refusals > 200


def test_names_of_bytes_and_classes_that_only_have_a_name_are_taken(write, tmp_path):
    assert sources.load(write(classes=np.array([b"a", b"b", b"c"])), tmp_path).classes == ("a", "b", "c")
    gap = {"train_labels": LABELS * 2, "test_labels": noise(6, 28)[1] * 2}
    assert sources.load(write(classes=np.array(list("abcde")), **gap), tmp_path).classes == ("a", "b", "c", "d", "e")


def test_a_function_s_arrays_are_those_of_a_file(write, tmp_path):
    found, stored = (sources.load(config, tmp_path) for config in (DataConfig(source="tests.data.own:grey"), write()))
    assert found.name == "tests.data.own:grey" and found.fingerprint == stored.fingerprint
    assert sources.load(DataConfig(source="tests.data.own:named"), tmp_path).classes == ("a", "b", "c")
    assert sources.load(DataConfig(source="tests.data.own:of_no_names"), tmp_path).fingerprint == stored.fingerprint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "tests.data.own has no nothing"),
        ("failing", "called with nothing, it fails: OSError: the disk is away"),
        ("none", "it must return (train_images, train_labels), (test_images, test_labels)"),
        ("half", "it must return (train_images, train_labels), (test_images, test_labels)"),
        ("floats", "train: images are float64, not uint8"),
        ("wanting_gradients", "it must return (train_images, train_labels), (test_images, test_labels)"),
        ("of_a_number", "the names of the classes are 3: give a list of them, in the order of the labels"),
    ],
)
def test_a_function_that_returns_anything_else_is_refused(tmp_path, name, said):
    line = refused(DataConfig(source=f"tests.data.own:{name}"), tmp_path)
    assert line.startswith(f"data.source = tests.data.own:{name}: ") and said in line


def test_limits_and_validation_are_taken_of_arrays_too(write, tmp_path):
    found = sources.load(write().model_copy(update={"train_limit": 6, "test_limit": 2, "validation": 3}), tmp_path)
    assert [len(part) for part in (found.train, found.test, found.validation)] == [6, 2, 3]


@pytest.mark.parametrize("network", [{"width": 2}, {"name": "wide_resnet", "depth": 10, "widen": 1}, {"name": "tests.models.own:small"}])
@pytest.mark.parametrize(("side", "channels"), [(28, None), (64, 3), (20, 2)])
def test_every_network_trains_on_them_with_every_change_of_images(write, tmp_path, network, side, channels):
    sections = {
        "augment": {"policy": "basic", "rotate": 10},
        "cutout": {"images": 2},
        "cutmix": {"alpha": 1.0},
        "train": {"epochs": 1, "batch_size": 6, "target_on": "clean"},
    }
    data = write(side=side, channels=channels)
    config = RunConfig.parse({"data": data.model_dump(), "model": network, **sections})
    run = Run(config, sources.load(data, tmp_path), torch.device("cpu"))
    assert run.batches.normalize.mean.shape == (channels or 1,)
    images = noise(12, side, channels)[0].reshape(12, side, side, -1) / 1.0
    assert run.batches.normalize.mean.numpy() == pytest.approx(images.mean((0, 1, 2)), rel=1e-5)
    assert run.batches.normalize.std.numpy() == pytest.approx(images.std((0, 1, 2)), rel=1e-5)
    run.train_until(math.inf, Signals())
    row = run.end_epoch(run.sums.read())
    assert math.isfinite(row.train_loss) and math.isfinite(row.test_loss)


def test_the_code_of_a_function_makes_another_arm(monkeypatch):
    config = RunConfig.parse({"data": {"source": "tests.data.own:grey"}})
    one = identity(config)
    monkeypatch.setattr("reglab.config.identities.source", lambda reference: "0123456789ab")
    assert identity(config) != one
