"""A bit an image: packed as it is documented, and refused where it cannot be of so many images."""

import numpy as np
import pytest
from pydantic import ValidationError

from reglab.tracking.per_image import MOST_IMAGES, PerImage
from reglab.tracking.record import RunRecord
from tests.tracking.test_record import VERSION_1


@pytest.mark.parametrize("count", [1, 7, 8, 9, 24, 355])
def test_bits_come_back_as_they_were(count):
    correct = np.random.default_rng(count).random(count) < 0.8
    kept = PerImage.of("f", correct)
    assert (kept.bits() == correct).all()
    assert (kept.bits().dtype, kept.count, kept.right) == (bool, count, correct.sum())
    assert PerImage.model_validate_json(kept.model_dump_json()) == kept


def test_the_first_image_is_the_highest_bit_of_the_first_byte():
    """Whoever reads a record without reglab counts on it."""
    assert PerImage.of("f", np.array([True, False, False, False, False, False, True, True, True])).correct == "g4A="  # 0x83 0x80


def test_ten_thousand_images_take_two_kilobytes_and_the_largest_part_fits_a_record():
    assert len(PerImage.of("f", np.ones(10_000, bool)).correct) == 1668
    assert PerImage.of("f", np.ones(MOST_IMAGES, bool)).right == MOST_IMAGES
    assert PerImage.of("f", np.ones(MOST_IMAGES + 1, bool)) is None


@pytest.mark.parametrize(
    ("correct", "count", "said"),
    [
        ("g4A", 9, "no base64"),
        ("g4A=\n", 9, "no base64"),
        ("gé==", 9, "no base64"),
        ("gw==", 9, "not those of 9 images"),
        ("g4AA", 9, "not those of 9 images"),
        ("g8A=", 9, "not those of 9 images"),  # a tenth image is right
        ("", 9, "not those of 9 images"),
    ],
)
def test_bits_that_are_not_those_of_so_many_images_are_refused(correct, count, said):
    with pytest.raises(ValidationError, match=said):
        PerImage(images="f", count=count, correct=correct)


def test_a_record_whose_bits_and_accuracy_are_two_things_contradicts_itself():
    right = PerImage.of("f", np.arange(10_000) < 7500).model_dump()
    assert RunRecord.stored(VERSION_1 | {"per_image": right}).per_image.right == 7500
    with pytest.raises(ValueError, match=r"7501 of 10000 test images are right, and the test accuracy is 0\.75"):
        RunRecord.stored(VERSION_1 | {"per_image": PerImage.of("f", np.arange(10_000) < 7501).model_dump()})


def test_a_run_of_before_has_none():
    assert RunRecord.stored(VERSION_1).per_image is None
