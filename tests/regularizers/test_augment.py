"""Transformations: against torchvision's, given the same draws; and the draws themselves."""

import pytest
import torch
from scipy.stats import chisquare
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from reglab.config import AugmentConfig
from reglab.regularizers import augment

SIDE = 32


def draws_of(count, seed=0, **keys):
    return augment.draw(AugmentConfig(**{"policy": "basic"} | keys), count, torch.Generator().manual_seed(seed))


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shift", [0, 1, 4, 16])
@pytest.mark.parametrize("flip", [False, True])
def test_shift_and_flip_are_torchvisions_pad_crop_and_flip(shift, flip):
    images, index = noise(6, SIDE, SIDE), torch.tensor([3, 0, 0, 5, 2, 1, 4, 3])
    draws = draws_of(len(index), shift=shift, flip=flip)
    padded = reference.pad(images, [shift] * 4)
    made = augment.crop_flip(padded, index, draws, SIDE)
    for row, source in enumerate(index):
        expected = reference.crop(padded[source], int(draws.top[row]), int(draws.left[row]), SIDE, SIDE)
        assert torch.equal(made[row], reference.horizontal_flip(expected) if flip and draws.flip[row] else expected)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_pixels_of_any_type_are_moved_unchanged(dtype):
    padded = torch.arange(2 * 36 * 36).view(2, 36, 36).to(dtype)
    draws = augment.Draws(torch.tensor([0, 4]), torch.tensor([4, 1]), torch.tensor([False, True]), None)
    made = augment.crop_flip(padded, torch.tensor([1, 0]), draws, SIDE)
    assert made.dtype == dtype
    assert torch.equal(made[0], padded[1, 0:32, 4:36])
    assert torch.equal(made[1], padded[0, 4:36, 1:33].flip(1))


@pytest.mark.parametrize("extent", [(32, 32), (24, 40), (31, 31)])
def test_rotation_is_torchvisions(extent):
    images = noise(7, 3, *extent).float() / 255
    angle = torch.tensor([0.0, 15.0, -15.0, 3.3, 90.0, 180.0, -77.0])
    made = augment.rotate(images, angle)
    expected = [reference.rotate(image, float(a), InterpolationMode.BILINEAR) for image, a in zip(images, angle, strict=True)]
    assert (made - torch.stack(expected)).abs().max() < 1e-4


def test_rotation_is_counter_clockwise_and_black_outside():
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[..., 14:18, 24:28] = 1
    turned = augment.rotate(image, torch.tensor([90.0]))
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)), atol=1e-4, rtol=0)
    corners = augment.rotate(torch.ones(1, 1, SIDE, SIDE), torch.tensor([45.0]))[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all()


def test_draws_lie_in_range_and_differ_from_image_to_image():
    draws = draws_of(5000, shift=3, rotate=15)
    for shift in (draws.top, draws.left):
        assert shift.shape == (5000,) and set(shift.tolist()) == set(range(7))
    assert set(draws.flip.tolist()) == {False, True}
    assert draws.angle.min() >= -15 and draws.angle.max() <= 15 and draws.angle.unique().numel() > 4900
    assert not torch.equal(draws.top, draws.left)


@pytest.mark.parametrize("name", ["top", "left", "flip"])
def test_draws_are_uniform(name):
    counts = getattr(draws_of(20_000), name).long().bincount()
    assert len(counts) == (2 if name == "flip" else 9)
    assert chisquare(counts).pvalue > 0.001


def test_angles_are_uniform_and_of_both_signs():
    counts = draws_of(20_000, rotate=15).angle.histc(bins=10, min=-15, max=15)
    assert counts.sum() == 20_000
    assert chisquare(counts).pvalue > 0.001


def test_shifts_and_flips_are_drawn_independently():
    draws = draws_of(20_000, rotate=15)
    drawn = torch.stack([draws.top.float(), draws.left.float(), draws.flip.float(), draws.angle])
    assert (drawn.corrcoef() - torch.eye(4)).abs().max() < 0.03


def test_one_seed_repeats_the_draws_and_the_next_draws_are_others():
    generator = torch.Generator().manual_seed(0)
    first, second = (augment.draw(AugmentConfig(policy="basic"), 100, generator) for _ in range(2))
    assert torch.equal(first.top, draws_of(100).top) and torch.equal(first.flip, draws_of(100).flip)
    assert not torch.equal(first.top, second.top)


def test_policy_none_leaves_images_as_they_are_and_draws_nothing():
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    config = AugmentConfig(policy="none", shift=4, flip=True, rotate=15)
    draws = augment.draw(config, 5, generator)
    images = noise(5, SIDE, SIDE)
    assert augment.padding(config) == 0 and draws.angle is None
    assert torch.equal(augment.crop_flip(images, torch.arange(5), draws, SIDE), images)
    assert torch.equal(generator.get_state(), state)


def test_each_transformation_can_be_turned_off_alone():
    still = draws_of(1000, shift=0, flip=False)
    assert not still.top.any() and not still.left.any() and still.flip is None and still.angle is None
    flipped = draws_of(1000, shift=0)
    assert flipped.flip.any() and not flipped.top.any()
    shifted = draws_of(1000, flip=False)
    assert shifted.top.any() and shifted.flip is None


def test_the_padding_is_the_largest_shift():
    assert [augment.padding(AugmentConfig(policy="basic", shift=shift)) for shift in (0, 4, 16)] == [0, 4, 16]


@pytest.mark.parametrize("rotate", [0, 15])
def test_draws_can_be_taken_for_copies(rotate):
    draws, index = draws_of(6, rotate=rotate), torch.tensor([5, 0, 0, 3])
    taken = draws.take(index)
    for name in ("top", "left", "flip"):
        assert torch.equal(getattr(taken, name), getattr(draws, name)[index])
    assert taken.angle is None if rotate == 0 else torch.equal(taken.angle, draws.angle[index])
