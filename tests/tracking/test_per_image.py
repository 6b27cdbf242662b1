"""A bit an image: packed as it is documented, and refused where it cannot be of so many images."""

import base64
import zlib

import numpy as np
import pytest
from pydantic import ValidationError

from reglab.tracking.per_image import MOST_IMAGES, PerImage
from reglab.tracking.record import RunRecord
from reglab.tracking.store import read_archive, write_archive
from tests.tracking.test_record import VERSION_1


@pytest.mark.parametrize("count", [1, 7, 8, 9, 24, 355])
def test_bits_come_back_as_they_were(count):
    correct = np.random.default_rng(count).random(count) < 0.8
    kept = PerImage.of("f", correct)
    assert (kept.bits() == correct).all()
    assert (kept.bits().dtype, kept.count, kept.right) == (bool, count, correct.sum())
    assert PerImage.model_validate_json(kept.model_dump_json()) == kept


def packed(content):
    return base64.b64encode(zlib.compress(content)).decode()


def test_the_first_image_is_the_highest_bit_of_the_first_byte():
    """Whoever reads a record without reglab counts on it."""
    kept = PerImage.of("f", np.array([True, False, False, False, False, False, True, True, True]))
    assert zlib.decompress(base64.b64decode(kept.correct)) == b"\x83\x80"


def test_ten_thousand_images_take_two_kilobytes_at_most_and_the_largest_part_fits_a_record():
    coins = np.random.default_rng(0).random(MOST_IMAGES + 1) < 0.5
    assert len(PerImage.of("f", coins[:10_000]).correct) < 1700
    assert len(PerImage.of("f", coins[:10_000] | coins[10_000:20_000] | coins[20_000:30_000] | coins[30_000:40_000]).correct) < 900
    assert PerImage.of("f", coins[:-1]).right == coins[:-1].sum()
    assert PerImage.of("f", coins) is None


@pytest.mark.parametrize(
    ("correct", "said"),
    [
        (packed(b"\x83\x80")[:-1], "cannot be unpacked"),
        (packed(b"\x83\x80") + "\n", "cannot be unpacked"),
        ("gé==", "cannot be unpacked"),
        ("g4A=", "cannot be unpacked"),
        ("", "not those of 9 images"),
        (packed(b""), "not those of 9 images"),
        (packed(b"\x83"), "not those of 9 images"),
        (packed(b"\x83\x80\x00"), "not those of 9 images"),
        (packed(b"\x83\xc0"), "not those of 9 images"),  # a tenth image is right
        (packed(bytes(10**8)), "not those of 9 images"),
    ],
)
def test_bits_that_are_not_those_of_so_many_images_are_refused(correct, said):
    with pytest.raises(ValidationError, match=said):
        PerImage(images="f", count=9, correct=correct)


def test_an_archive_of_runs_that_are_right_on_all_images_is_no_trap(tmp_path):
    """Bits that are all alike pack to nearly nothing."""
    right = {"per_image": PerImage.of("f", np.ones(MOST_IMAGES, bool)).model_dump()}
    summary = {"summary": VERSION_1["summary"] | {"test/accuracy": 1.0}}
    records = [RunRecord.model_validate(VERSION_1 | right | summary | {"run_id": f"r{number}", "identity": ""}) for number in range(50)]
    write_archive(tmp_path / "a", records)
    assert len(read_archive(tmp_path / "a")) == 50


def test_a_record_whose_bits_and_accuracy_are_two_things_contradicts_itself():
    right = PerImage.of("f", np.arange(10_000) < 7500).model_dump()
    assert RunRecord.stored(VERSION_1 | {"per_image": right}).per_image.right == 7500
    with pytest.raises(ValueError, match=r"7501 of 10000 test images are right, and the test accuracy is 0\.75"):
        RunRecord.stored(VERSION_1 | {"per_image": PerImage.of("f", np.arange(10_000) < 7501).model_dump()})


def test_a_run_of_before_has_none():
    assert RunRecord.stored(VERSION_1).per_image is None
