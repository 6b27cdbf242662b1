"""Transformations: against torchvision's, given the same draws; and the draws themselves."""

import pytest
import torch
from scipy.stats import chisquare

from reglab.config import RunConfig
from reglab.data.batches import windows
from reglab.techniques.applied import Draws
from reglab.techniques.augment.declared import AugmentConfig
from reglab.techniques.augment.transformations import Augment, rotate

SIDE = 32


def draws_of(index, generator=0, **keys):
    """What is drawn for images at these places, or for the first so many; with a generator, or one of this seed."""
    own = Augment(AugmentConfig(**{"policy": "basic"} | keys), RunConfig.parse({}), torch.device("cpu"))
    draws = Draws.still(torch.arange(index) if isinstance(index, int) else index, SIDE, own.padding)
    own.draw(draws, torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator)
    return draws


def angles(draws):
    return draws.each.get("angle")


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shift", [0, 1, 4, 16])
@pytest.mark.parametrize("flip", [False, True])
def test_shift_and_flip_are_torchvisions_pad_crop_and_flip(shift, flip):
    from torchvision.transforms.v2 import functional as reference

    images, index = noise(6, SIDE, SIDE), torch.tensor([3, 0, 0, 5, 2, 1, 4, 3])
    draws = draws_of(index, shift=shift, flip=flip)
    padded = reference.pad(images, [shift] * 4)
    made = windows(padded, draws)
    for row, source in enumerate(index):
        expected = reference.crop(padded[source], int(draws.top[row]), int(draws.left[row]), SIDE, SIDE)
        assert torch.equal(made[row], reference.horizontal_flip(expected) if flip and draws.flip[row] else expected)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_pixels_of_any_type_are_moved_unchanged(dtype):
    padded = torch.arange(2 * 36 * 36).view(2, 36, 36).to(dtype)
    made = windows(padded, Draws(torch.tensor([1, 0]), SIDE, 2, torch.tensor([0, 4]), torch.tensor([4, 1]), torch.tensor([False, True])))
    assert made.dtype == dtype
    assert torch.equal(made[0], padded[1, 0:32, 4:36])
    assert torch.equal(made[1], padded[0, 4:36, 1:33].flip(1))


@pytest.mark.parametrize("extent", [(32, 32), (24, 40), (31, 31)])
def test_rotation_is_torchvisions(extent):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as reference

    images = noise(7, 3, *extent).float() / 255
    angle = torch.tensor([0.0, 15.0, -15.0, 3.3, 90.0, 180.0, -77.0])
    made = rotate(images, angle)
    expected = [reference.rotate(image, float(a), InterpolationMode.BILINEAR) for image, a in zip(images, angle, strict=True)]
    assert (made - torch.stack(expected)).abs().max() < 1e-4


def test_rotation_is_counter_clockwise_and_black_outside():
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[..., 14:18, 24:28] = 1
    turned = rotate(image, torch.tensor([90.0]))
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)), atol=1e-4, rtol=0)
    corners = rotate(torch.ones(1, 1, SIDE, SIDE), torch.tensor([45.0]))[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all()


def test_draws_lie_in_range_and_differ_from_image_to_image():
    draws = draws_of(5000, shift=3, rotate=15)
    for shift in (draws.top, draws.left):
        assert shift.shape == (5000,) and set(shift.tolist()) == set(range(7))
    assert set(draws.flip.tolist()) == {False, True}
    assert angles(draws).min() >= -15 and angles(draws).max() <= 15 and angles(draws).unique().numel() > 4900
    assert not torch.equal(draws.top, draws.left)


@pytest.mark.parametrize("name", ["top", "left", "flip"])
def test_draws_are_uniform(name):
    counts = getattr(draws_of(20_000), name).long().bincount()
    assert len(counts) == (2 if name == "flip" else 9)
    assert chisquare(counts).pvalue > 0.001


def test_angles_are_uniform_and_of_both_signs():
    counts = angles(draws_of(20_000, rotate=15)).histc(bins=10, min=-15, max=15)
    assert counts.sum() == 20_000
    assert chisquare(counts).pvalue > 0.001


def test_shifts_and_flips_are_drawn_independently():
    draws = draws_of(20_000, rotate=15)
    drawn = torch.stack([draws.top.float(), draws.left.float(), draws.flip.float(), angles(draws)])
    assert (drawn.corrcoef() - torch.eye(4)).abs().max() < 0.03


def test_one_seed_repeats_the_draws_and_the_next_draws_are_others():
    generator = torch.Generator().manual_seed(0)
    first, second = (draws_of(100, generator) for _ in range(2))
    assert torch.equal(first.top, draws_of(100).top) and torch.equal(first.flip, draws_of(100).flip)
    assert not torch.equal(first.top, second.top)


def test_images_that_nobody_moves_are_as_they_are():
    from torchvision.transforms.v2 import functional as reference

    images = noise(5, SIDE, SIDE)
    assert torch.equal(windows(images, Draws.still(torch.arange(5), SIDE, 0)), images)
    padded = reference.pad(images, [3] * 4)
    assert torch.equal(windows(padded, Draws.still(torch.arange(5), SIDE, 3)), images)


def test_more_padding_than_it_asks_for_moves_no_image_further():
    draws, wider = draws_of(100, shift=2), Draws.still(torch.arange(100), SIDE, 5)
    own = Augment(AugmentConfig(policy="basic", shift=2), RunConfig.parse({}), torch.device("cpu"))
    own.draw(wider, torch.Generator().manual_seed(0))
    assert torch.equal(wider.top, draws.top + 3) and torch.equal(wider.left, draws.left + 3)


def test_each_transformation_can_be_turned_off_alone():
    still = draws_of(1000, shift=0, flip=False)
    assert not still.top.any() and not still.left.any() and still.flip is None and angles(still) is None
    flipped = draws_of(1000, shift=0)
    assert flipped.flip.any() and not flipped.top.any()
    shifted = draws_of(1000, flip=False)
    assert shifted.top.any() and shifted.flip is None


def test_the_padding_is_the_largest_shift():
    assert [draws_of(1, shift=shift).padding for shift in (0, 4, 16)] == [0, 4, 16]


@pytest.mark.parametrize("turn", [0, 15])
def test_copies_have_the_draws_of_their_originals(turn):
    draws, picks = draws_of(torch.tensor([7, 3, 5, 1, 0, 2]), rotate=turn), torch.tensor([5, 0, 0, 3])
    before = {name: getattr(draws, name) for name in ("index", "top", "left", "flip")} | {"angle": angles(draws)}
    draws.append(picks)
    after = {name: getattr(draws, name) for name in ("index", "top", "left", "flip")} | {"angle": angles(draws)}
    for name, drawn in before.items():
        assert (after[name] is None) == (drawn is None)
        assert drawn is None or torch.equal(after[name], torch.cat([drawn, drawn[picks]])), name
