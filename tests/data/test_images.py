"""What the pixels of a set tell, whatever they were read from."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reglab.data.images import ImageSet, Split


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    parts = [Split(pixels[rows], np.arange(len(pixels[rows])) % 2) for rows in (slice(8), slice(8, 12))]
    return ImageSet("noise", ("a", "b"), *parts, None, "f")


@pytest.mark.parametrize("part", ["train", "test"])
def test_any_pixel_changes_the_fingerprint_of_pixels(images, part):
    other = getattr(images, part).images.copy()
    other[1, 2, 3, 0] ^= 1
    changed = replace(images, **{part: Split(other, getattr(images, part).labels)})
    assert changed.pixel_fingerprint != images.pixel_fingerprint


def test_pixels_have_one_fingerprint_in_any_memory_order(images):
    train = Split(np.asfortranarray(images.train.images), images.train.labels)
    assert replace(images, train=train, name="other", fingerprint="g").pixel_fingerprint == images.pixel_fingerprint


def test_test_images_with_the_pixels_of_training_images_are_counted_whatever_their_labels(images):
    assert images.leaked == 0
    both = np.concatenate([images.test.images, images.train.images[[0, 3, 3]]])
    near = images.train.images[4] ^ np.uint8(1)
    test = Split(np.concatenate([both, near[None]]), np.zeros(8, dtype=np.int64))
    assert replace(images, test=test).leaked == 3


def test_images_of_one_file_in_both_parts_are_counted_after_the_limits(write_set, load_set, tmp_path):
    pets = write_set(tmp_path / "pets", train=4)
    assert load_set(pets).leaked == 0
    Image.open(pets / "train/bird/0.png").save(pets / "test/cat/copy.bmp")  # other bytes, and the same pixels
    assert load_set(pets).leaked == 1
    assert {load_set(pets, test_limit=limit).leaked for limit in range(1, 6)} == {0, 1}


def test_files_that_another_decoder_reads_otherwise_have_other_pixels_under_one_fingerprint(write_set, load_set, tmp_path, monkeypatch):
    pets, convert = write_set(tmp_path / "pets"), Image.Image.convert
    for file in pets.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    before = load_set(pets)
    (stored,) = (tmp_path / "cache/images").glob("folder-*.npz")
    stored.unlink()
    monkeypatch.setattr(Image.Image, "convert", lambda image, *given: convert(image.point(lambda level: level ^ 1), *given))
    after = load_set(pets)
    assert after.fingerprint == before.fingerprint == load_set(pets).fingerprint
    assert after.pixel_fingerprint != before.pixel_fingerprint
