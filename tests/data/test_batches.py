"""Batches: every image once an epoch, normalized by the training images, with transformations and cutout copies."""

import numpy as np
import pytest
import torch

from reglab.config import RunConfig, grown
from reglab.data import batches
from reglab.data.batches import CleanBatches, DeviceImages, Normalization, TrainingBatches
from reglab.data.images import Split
from reglab.errors import UserError

CPU = torch.device("cpu")
EVERYTHING = {"policy": "basic", "shift": 4, "flip": True}


def noise(count, seed=0):
    draws = np.random.default_rng(seed)
    return Split(draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), draws.integers(0, 10, count))


def numbered(count):
    """Image i is of the one grey level i + 1 and has label 100 + i: known again wherever a shift has moved it."""
    levels = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None]
    return Split(np.broadcast_to(levels, (count, 32, 32, 3)).copy(), np.arange(100, 100 + count))


def training(part, size=4, dtype=torch.float32, **sections):
    config = RunConfig.parse({"train": {"batch_size": size}} | sections)
    return TrainingBatches(part, config, Normalization.of(part.images, CPU), CPU, dtype)


def epoch(made, seed=0):
    generator = torch.Generator().manual_seed(seed)
    order = made.order(generator)
    return [made.batch(made.positions(order, step), generator) for step in range(made.steps_per_epoch)]


def grey(made, images):
    """The grey levels (M, 32, 32, 3) that a batch was normalized from."""
    return images.permute(0, 2, 3, 1).double() * made.normalize.std + made.normalize.mean


def numbers(made, images):
    """Which of the numbered images these are."""
    return (grey(made, images).amax((1, 2, 3)).round() - 1).long().tolist()


def normalized(images, training_images):
    """(x / 255 - mean) / std, by the textbook."""
    scale = training_images.astype(np.float64) / 255
    return torch.from_numpy((images / 255 - scale.mean((0, 1, 2))) / scale.std((0, 1, 2))).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("augment", [{}, EVERYTHING])
@pytest.mark.parametrize("count", [8, 10, 3])
def test_an_epoch_shows_each_image_once(count, augment):
    made = training(numbered(count), augment=augment)
    shown = [number for batch in epoch(made) for number in numbers(made, batch.images)]
    assert sorted(shown) == list(range(count))


def test_each_image_keeps_its_label():
    made = training(numbered(10), augment=EVERYTHING, cutout={"images": 3})
    for batch in epoch(made):
        assert [100 + number for number in numbers(made, batch.images)] == batch.labels.tolist()


def test_each_epoch_has_an_order_of_its_own_and_each_seed_repeats_it():
    made, generator = training(numbered(50)), torch.Generator().manual_seed(0)
    first, second = made.order(generator), made.order(generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, made.order(torch.Generator().manual_seed(0)))


def test_one_seed_gives_one_epoch_of_batches():
    made = training(noise(6), augment=EVERYTHING | {"rotate": 10}, cutout={"images": 2})
    for first, second in zip(epoch(made), epoch(made), strict=True):
        assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    assert not torch.equal(epoch(made, seed=1)[0].images, epoch(made)[0].images)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(8, 4, [4, 4]), (10, 4, [4, 4, 2]), (11, 4, [4, 4, 3]), (9, 4, [4, 4]), (3, 4, [3]), (2, 2, [2]), (5, 2, [2, 2])],
)
def test_the_last_batch_is_smaller_and_a_lone_image_is_left_out(count, size, sizes):
    made = training(numbered(count), size)
    assert made.steps_per_epoch == len(sizes)
    assert [len(batch.labels) for batch in epoch(made)] == sizes


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_training_images_are_refused(count):
    with pytest.raises(UserError, match=f"there is {count} training image.*at least 2"):
        training(noise(count))


def test_batches_are_normalized_by_the_training_images():
    part = noise(8)
    made = training(part)
    generator = torch.Generator().manual_seed(0)
    order = made.order(generator)
    batch = made.batch(made.positions(order, 1), generator)
    torch.testing.assert_close(batch.images, normalized(part.images[order[4:]], part.images), rtol=1e-5, atol=1e-5)
    assert np.array_equal(batch.labels, part.labels[order[4:]])


def test_without_augmentation_and_cutout_batches_are_exactly_the_clean_images():
    part = noise(10)
    made = training(part, augment={"policy": "none", "shift": 4, "flip": True, "rotate": 90}, cutout={"images": 0})
    clean = torch.cat([images for images, _ in CleanBatches(part, made.normalize, CPU, torch.float32)])
    generator = torch.Generator().manual_seed(0)
    order = made.order(generator)
    shown = torch.cat([made.batch(made.positions(order, step), generator).images for step in range(3)])
    assert torch.equal(shown, clean[order])


def test_the_mean_and_deviation_are_those_of_all_pixels():
    images = np.random.default_rng(0).integers(0, 256, (12_003, 2, 2, 3), dtype=np.uint8)
    images[:, :, :, 1] //= 2
    images[6000:] //= 3
    measured, levels = Normalization.of(images, CPU), images.astype(np.float64)
    np.testing.assert_allclose(measured.mean, levels.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(measured.std, levels.std((0, 1, 2)), rtol=1e-6)


def test_images_in_any_memory_order_are_measured():
    images = noise(6).images
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert torch.equal(Normalization.of(planes, CPU).mean, Normalization.of(images, CPU).mean)


def test_a_channel_of_one_level_is_not_divided_by_zero():
    images = noise(4).images
    images[..., 2] = 77
    batch = epoch(training(Split(images, np.arange(4))))[0]
    assert torch.isfinite(batch.images).all()
    assert (batch.images[:, 2] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("augment", [{}, EVERYTHING, EVERYTHING | {"rotate": 15}])
@pytest.mark.parametrize("copies", [0, 2])
def test_batches_are_channels_last_of_the_wanted_type(dtype, augment, copies):
    part = noise(4)
    made = training(part, dtype=dtype, augment=augment, cutout={"images": copies})
    (batch,) = epoch(made)
    (clean, labels) = next(iter(CleanBatches(part, made.normalize, CPU, dtype)))
    for images in (batch.images, clean):
        assert images.dtype == dtype and images.shape[1:] == (3, 32, 32)
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.dtype == labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("cutout", "sizes"),
    [
        ({"images": 0}, [4, 4, 2]),
        ({"images": 3}, [7, 7, 5]),
        ({"images": 6}, [10, 10, 8]),
        ({"images": 3, "per": "image"}, [16, 16, 8]),
    ],
)
def test_cutout_makes_each_batch_grow(cutout, sizes):
    made = training(numbered(10), cutout=cutout)
    shown = epoch(made)
    assert [len(batch.labels) for batch in shown] == [len(batch.images) for batch in shown] == sizes
    assert [grown(made.config, originals) for originals in (4, 4, 2)] == sizes


@pytest.mark.parametrize("per", ["batch", "image"])
@pytest.mark.parametrize("augment", [{}, EVERYTHING, EVERYTHING | {"rotate": 20}])
def test_a_copy_is_an_image_of_the_batch_with_one_black_square(per, augment):
    made = training(noise(4), cutout={"images": 2, "size": 5, "per": per}, augment=augment)
    (batch,) = epoch(made)
    originals, copies = batch.images[:4], batch.images[4:]
    black = -made.normalize.mean / made.normalize.std
    sources = []
    for copy, label in zip(copies, batch.labels[4:], strict=True):
        unlike = (originals != copy).any(1)  # (4, 32, 32)
        source = int(unlike.sum((1, 2)).argmin())
        assert unlike[source].sum() <= 25 and label == batch.labels[source]
        rows, columns = unlike[source].any(1).nonzero(), unlike[source].any(0).nonzero()
        assert rows.max() - rows.min() < 5 and columns.max() - columns.min() < 5
        torch.testing.assert_close(copy[:, unlike[source]], black[:, None].expand(3, int(unlike[source].sum())))
        sources.append(source)
    assert sources == [0, 0, 1, 1, 2, 2, 3, 3] if per == "image" else len(set(sources)) == 2


@pytest.mark.parametrize("cutout", [{"images": 3}, {"images": 1, "size": 32}, {"images": 2, "per": "image", "size": 7}])
def test_the_masked_fraction_is_the_share_of_black_pixels(cutout):
    white = Split(np.full((6, 32, 32, 3), 255, dtype=np.uint8), np.arange(6))
    white.images[:, 0, 0] = 250  # a deviation to divide by
    made = training(white, cutout=cutout)
    shown = epoch(made)
    black = sum((grey(made, batch.images).abs() < 1).all(-1).double().mean() for batch in shown)
    (applied,) = made.applied
    assert applied.measured([float(applied.sums)], len(shown)) == {"cutout/masked_fraction": pytest.approx(float(black) / len(shown))}
    assert black > 0


MIXED = [{"mixup": {"alpha": 1.0}}, {"cutmix": {"alpha": 1.0}}, {"mixup": {"alpha": 1.0}, "cutmix": {"alpha": 1.0}}]


@pytest.mark.parametrize("sections", MIXED, ids=["mixup", "cutmix", "both"])
def test_an_image_is_mixed_with_the_one_before_it_and_its_label_as_much(sections):
    plain, mixed = (training(noise(40), size=20, **more) for more in ({}, sections))
    ways = set()
    for before, after in zip(epoch(plain), epoch(mixed), strict=False):
        assert torch.equal(after.labels, before.labels) and torch.equal(after.others, before.labels.roll(1))
        others, share = before.images.roll(1, 0), float(after.share)
        assert 0 <= share <= 1
        blended = torch.allclose(after.images, before.images * (1 - share) + others * share, atol=1e-5)
        pasted = (after.images == others).all(1)
        assert blended or torch.equal(torch.where(pasted[:, None], others, before.images), after.images)
        assert blended or pasted.double().mean() == pytest.approx(share, abs=0.01)
        ways.add(blended)
        break  # later batches draw from where mixing left the generator
    assert ways == {True} if "cutmix" not in sections else ways == {False} if "mixup" not in sections else len(ways) == 1


def test_of_two_ways_to_mix_each_has_its_turn():
    made = training(noise(400), size=10, **MIXED[2])
    shares = [float(batch.share) for batch in epoch(made)]
    of_pixels = [share * 1024 for share in shares]
    pasted = [abs(share - round(share)) < 1e-6 for share in of_pixels]  # so many whole pixels
    assert 0.2 < np.mean(pasted) < 0.8


def test_each_of_two_ways_to_mix_tells_of_the_batches_that_were_its_own():
    made = training(noise(400), size=10, **MIXED[2])
    blended, pasted = [], []
    for batch in epoch(made):
        whole = float(batch.share) * 1024  # of pixels
        (pasted if abs(whole - round(whole)) < 1e-6 else blended).append(float(batch.share))
    mixup, cutmix = made.applied
    assert min(len(blended), len(pasted)) > 8
    assert (float(mixup.sums), float(cutmix.sums)) == (pytest.approx(sum(blended)), pytest.approx(sum(pasted)))


def test_what_is_mixed_by_no_technique_in_a_step_stays_as_it_is(monkeypatch):
    made, plain = (training(noise(40), size=20, **more) for more in (MIXED[0], {}))
    monkeypatch.setattr(type(made.applied[0]), "mix", lambda *given: None)
    mixed, before = epoch(made)[0], epoch(plain)[0]
    assert torch.equal(mixed.images, before.images) and mixed.others is None and mixed.share is None


def test_copies_are_mixed_too():
    (batch,) = epoch(training(noise(4), cutout={"images": 3}, mixup={"alpha": 1.0}))
    assert len(batch.images) == len(batch.labels) == len(batch.others) == 7


@pytest.mark.parametrize("mixing", MIXED, ids=["mixup", "cutmix", "both"])
@pytest.mark.parametrize("copies", [2, 4, 8])
@pytest.mark.parametrize(("count", "size"), [(20, 20), (20, 6), (9, 7)])  # the last batches are of 20, 2 and 2 images
def test_no_copy_is_mixed_with_its_own_image(mixing, copies, count, size):
    made = training(numbered(count), size=size, cutout={"images": copies, "per": "image"}, **mixing)
    for batch in epoch(made):
        assert (batch.labels != batch.others).all()
        assert sorted(batch.others.tolist()) == sorted(batch.labels.tolist())  # each is one's partner


def test_the_image_that_a_copy_is_mixed_with_is_that_of_the_other_label():
    made = training(numbered(20), size=6, cutout={"images": 3, "per": "image"}, mixup={"alpha": 1.0})
    for batch in epoch(made):
        level, other, share = batch.labels - 99, batch.others - 99, float(batch.share)
        brightest = grey(made, batch.images).amax((1, 2, 3))  # where neither of the two is black
        assert torch.allclose(brightest, (level * (1 - share) + other * share).double(), atol=1e-3)


@pytest.mark.parametrize("cutout", [{"images": 1, "per": "image"}, {"images": 3}, {"images": 9}])
def test_where_copies_of_an_image_are_no_neighbours_each_is_mixed_with_the_row_before(cutout):
    for batch in epoch(training(numbered(12), size=6, cutout=cutout, mixup={"alpha": 1.0})):
        assert torch.equal(batch.others, batch.labels.roll(1))


def test_shifts_bring_in_black_and_flips_mirror():
    ramp = np.broadcast_to(np.arange(100, 132, dtype=np.uint8)[None, None, :, None], (64, 32, 32, 3)).copy()
    made = training(Split(ramp, np.arange(64)), size=64, augment={"policy": "basic", "shift": 2, "flip": True})
    shown = grey(made, epoch(made)[0].images).round()[..., 0]
    assert set(shown.flatten().tolist()) <= {0.0, *range(100, 132)}
    middle = shown[:, 16, 4:28]
    steps = middle.diff(dim=1)
    rising, falling = (steps == 1).all(1), (steps == -1).all(1)
    assert (rising ^ falling).all() and 16 < rising.sum() < 48
    starts = (middle[:, 0] - torch.where(rising, 104, 127)) * torch.where(rising, 1, -1)
    assert set(starts.tolist()) == {-2, -1, 0, 1, 2}
    assert (shown == 0).any()


def test_rotation_turns_each_image_by_an_angle_of_its_own():
    arrow = np.zeros((8, 32, 32, 3), dtype=np.uint8)
    arrow[:, 15:17, 16:30] = 255
    made = training(Split(arrow, np.arange(8)), size=8, augment={"policy": "basic", "shift": 0, "flip": False, "rotate": 40})
    shown = grey(made, epoch(made)[0].images)[..., 0]
    offsets = torch.arange(32) - 15.5
    across, down = (shown * offsets).sum((1, 2)), (shown * offsets[:, None]).sum((1, 2))
    angles = torch.rad2deg(torch.atan2(-down, across))
    assert len(set(angles.round().tolist())) > 4
    assert angles.abs().max() < 41 and angles.abs().max() > 5


def test_clean_batches_show_a_part_in_order(monkeypatch):
    monkeypatch.setattr(batches, "EVALUATION_BATCH", 4)
    part, training_images = noise(10, seed=1), noise(5, seed=2).images
    clean = CleanBatches(part, Normalization.of(training_images, CPU), CPU, torch.float32)
    images, labels = zip(*clean, strict=True)
    assert [len(batch) for batch in images] == [4, 4, 2] and len(clean) == 10
    torch.testing.assert_close(torch.cat(images), normalized(part.images, training_images), rtol=1e-5, atol=1e-5)
    assert np.array_equal(torch.cat(labels), part.labels)


@pytest.mark.parametrize("padding", [0, 3])
def test_packed_images_unpack_to_themselves_with_a_black_border(padding):
    part = noise(3)
    made = DeviceImages(part, CPU, padding)
    unpacked = made.unpack(made.pixels)
    inner = unpacked[:, padding : padding + 32, padding : padding + 32]
    assert unpacked.dtype == torch.uint8 and unpacked.shape == (3, 32 + 2 * padding, 32 + 2 * padding, 3)
    assert np.array_equal(inner, part.images)
    assert unpacked.sum() == inner.sum()


@pytest.mark.slow
def test_compiled_batches_are_the_eager_ones():
    sections = {"augment": EVERYTHING | {"rotate": 10}, "cutout": {"images": 2}}
    part = noise(8)
    eager, compiled = training(part, **sections), training(part, train={"batch_size": 4, "compile": True}, **sections)
    for one, other in zip(epoch(compiled), epoch(eager), strict=True):
        torch.testing.assert_close(one.images, other.images, rtol=1e-5, atol=1e-5)
        assert torch.equal(one.labels, other.labels)
        assert one.images.is_contiguous(memory_format=torch.channels_last)
