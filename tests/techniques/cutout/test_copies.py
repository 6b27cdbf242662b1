"""Cutout: which images are copied, where the squares lie, and what they erase."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from reglab.techniques.cutout import copies as cutout
from reglab.techniques.cutout.declared import CutoutConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def corners(inside):
    """The first row and column (K,) of each square."""
    return inside.any(2).int().argmax(1), inside.any(1).int().argmax(1)


@settings(max_examples=60)
@given(st.integers(1, 32), st.integers(1, 32), st.integers(1, 20), st.integers(0, 2**31))
def test_a_square_lies_wholly_inside_and_has_its_full_area(side, size, count, seed):
    inside = cutout.squares(CutoutConfig(images=1, size=size), count, side, seeded(seed))
    assert inside.shape == (count, side, side) and inside.dtype == torch.bool
    edge = min(size, side)
    assert (inside.sum((1, 2)) == edge**2).all()
    for top, left, square in zip(*corners(inside), inside, strict=True):
        assert square[top : top + edge, left : left + edge].all()


def test_positions_differ_from_image_to_image_and_are_uniform():
    top, left = corners(cutout.squares(CutoutConfig(images=1, size=12), 21_000, 32, seeded()))
    for start in (top, left):
        counts = start.bincount()
        assert len(counts) == 21
        assert chisquare(counts).pvalue > 0.001
    assert torch.stack([top, left]).float().corrcoef()[0, 1].abs() < 0.03


def test_positions_change_from_batch_to_batch_and_repeat_with_the_seed():
    generator, config = seeded(), CutoutConfig(images=1)
    first, second = (cutout.squares(config, 8, 32, generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, cutout.squares(config, 8, 32, seeded()))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_erase_is_torchvisions(dtype):
    from torchvision.transforms.v2 import functional as reference

    images = torch.randint(1, 256, (10, 32, 32, 3), generator=seeded()).to(dtype)
    inside = cutout.squares(CutoutConfig(images=1, size=12), 10, 32, seeded(1))
    made = images.clone()
    cutout.erase(made, inside)
    for row, (top, left) in enumerate(zip(*corners(inside), strict=True)):
        expected = reference.erase(images[row].permute(2, 0, 1), int(top), int(left), 12, 12, torch.zeros((), dtype=dtype))
        assert torch.equal(made[row].permute(2, 0, 1), expected)


def test_erase_leaves_the_rest_bit_for_bit():
    images = torch.randn(6, 32, 32, 3, generator=seeded())
    images[:, ::7] = float("nan")
    made = images.clone()
    inside = cutout.squares(CutoutConfig(images=1, size=12), 6, 32, seeded(1))
    cutout.erase(made, inside)
    assert torch.equal(made[~inside].view(torch.int32), images[~inside].view(torch.int32))
    assert (made[inside] == 0).all()


@pytest.mark.parametrize(("images", "batch"), [(2, 8), (8, 8), (5, 3), (9, 3), (16, 3), (1, 1), (4, 1)])
def test_no_image_is_copied_twice_before_all_were_copied_once(images, batch):
    for seed in range(20):
        picks = cutout.copies(CutoutConfig(images=images), batch, seeded(seed))
        assert len(picks) == images
        for start in range(0, images, batch):
            group = picks[start : start + batch].tolist()
            assert len(set(group)) == len(group) and set(group) <= set(range(batch))


def test_every_image_is_as_likely_to_be_copied():
    generator, config = seeded(), CutoutConfig(images=2)
    picks = torch.cat([cutout.copies(config, 8, generator) for _ in range(2000)])
    assert chisquare(picks.bincount(minlength=8)).pvalue > 0.001


def test_per_image_copies_every_image_alike():
    picks = cutout.copies(CutoutConfig(images=3, per="image"), 4, seeded())
    assert picks.bincount().tolist() == [3, 3, 3, 3]
