"""Image sets: decoding, the cache, the splits, and one line for whatever is wrong with a folder or a download."""

import contextlib
import fcntl
import io
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reglab.config import DataConfig
from reglab.data import sources, store
from reglab.errors import UserError
from tests.waiting import PATIENCE


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_folder(root, classes=("bird", "cat"), train=4, test=2):
    seeds = iter(range(10_000))
    for name in classes:
        for part, count in (("train", train), ("test", test)):
            for number in range(count):
                save(root / part / name / f"{number}.png", pixels(next(seeds)))
    return root


def load(folder, cache, **keys):
    return sources.load(DataConfig(source="folder", folder=str(folder), **keys), cache)


def refusal(call, *arguments, **keys):
    with pytest.raises(UserError) as caught:
        call(*arguments, **keys)
    line = str(caught.value)
    assert line and "\n" not in line
    return line


def as_set(part):
    return {image.tobytes() for image in part.images}


def same(first, second):
    return np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)


def leftovers(cache):
    """What a failed load may not leave: a stored set, or a temporary file."""
    return [path for path in cache.rglob("*") if path.suffix in (".npz", ".tmp")]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "birds_and_cats")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def no_decoding(monkeypatch):
    def poison():
        def refuse(*_, **__):
            raise AssertionError("decoded again")

        monkeypatch.setattr(Image, "open", refuse)

    return poison


# --- digits -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("digits")


def digits(cache, **keys):
    return sources.load(DataConfig(source="digits", **keys), cache)


def test_digits_are_all_1797_images_in_two_disjoint_parts(digits_cache):
    found = digits(digits_cache)
    assert found.name == "digits" and found.classes == tuple("0123456789") and found.validation is None
    for part in (found.train, found.test):
        assert part.images.shape == (len(part), 32, 32, 3) and part.images.dtype == np.uint8
        assert part.labels.shape == (len(part),) and part.labels.dtype == np.int64
        assert set(part.labels.tolist()) == set(range(10))
    assert len(found.train) + len(found.test) == 1797
    assert len(as_set(found.train) | as_set(found.test)) == 1797


def test_every_fifth_digit_of_a_class_is_a_test_image(digits_cache):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    seen, is_test = [0] * 10, []
    for label in bunch.target:
        seen[label] += 1
        is_test.append(seen[label] % 5 == 0)
    expected = bunch.images[is_test] * 255 / 16
    found = digits(digits_cache).test
    assert np.array_equal(found.labels, bunch.target[is_test])
    averages = found.images[..., 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.abs(averages - expected).mean() < 12
    assert (found.images == found.images[..., :1]).all()


def test_the_digits_are_the_same_in_a_fresh_cache(digits_cache, cache):
    first, second = digits(digits_cache), digits(cache)
    assert same(first.train, second.train) and same(first.test, second.test) and first.fingerprint == second.fingerprint


# --- limits and validation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train_limit", [None, 100])
def test_the_validation_part_is_disjoint_and_independent_of_the_train_limit(digits_cache, train_limit):
    whole, split = digits(digits_cache), digits(digits_cache, validation=200, train_limit=train_limit)
    assert len(split.validation) == 200 and len(split.train) == (train_limit or len(whole.train) - 200)
    assert not as_set(split.validation) & (as_set(split.train) | as_set(split.test))
    assert as_set(split.validation) | as_set(split.train) <= as_set(whole.train)
    assert same(split.validation, digits(digits_cache, validation=200, train_limit=50).validation)


def test_a_split_is_the_same_at_any_call_and_in_any_cache(digits_cache, cache):
    keys = {"validation": 30, "train_limit": 40, "test_limit": 20}
    first, second = digits(digits_cache, **keys), digits(cache, **keys)
    assert all(same(getattr(first, part), getattr(second, part)) for part in ("train", "test", "validation"))
    assert first.fingerprint == second.fingerprint


def test_limits_keep_a_mixed_part_of_the_images_with_their_labels(digits_cache):
    whole, limited = digits(digits_cache), digits(digits_cache, train_limit=300, test_limit=100)
    assert (len(limited.train), len(limited.test)) == (300, 100)
    for part, kept in ((whole.train, limited.train), (whole.test, limited.test)):
        label = {image.tobytes(): label for image, label in zip(part.images, part.labels, strict=True)}
        assert len(as_set(kept)) == len(kept)
        assert [label[image.tobytes()] for image in kept.images] == kept.labels.tolist()
        assert set(kept.labels.tolist()) == set(range(10))


def test_a_larger_limit_keeps_what_a_smaller_one_kept(digits_cache):
    small, large = digits(digits_cache, train_limit=50, test_limit=20), digits(digits_cache, train_limit=90, test_limit=60)
    assert as_set(small.train) < as_set(large.train) and as_set(small.test) < as_set(large.test)


def test_each_split_has_a_fingerprint_of_its_own(digits_cache):
    splits = [{}, {"train_limit": 50}, {"test_limit": 50}, {"validation": 50}]
    assert len({digits(digits_cache, **keys).fingerprint for keys in splits}) == len(splits)


def test_the_test_part_has_a_fingerprint_of_its_own_whatever_is_trained_on(digits_cache, folder, cache):
    def of(**keys):
        return sources.load(DataConfig(source="digits", **keys), digits_cache).test_fingerprint

    assert of() == of(train_limit=100) == of(validation=50)
    assert len({of(), of(test_limit=100), of(test_limit=99), load(folder, cache).test_fingerprint}) == 4


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"train_limit": 8, "validation": 1}, ["data.train_limit = 8", "there are 7 images"]),
        ({"train_limit": 9}, ["data.train_limit = 9", "there are 8 images"]),
        ({"test_limit": 5}, ["data.test_limit = 5", "there are 4 images"]),
        ({"validation": 7}, ["data.validation = 7", "there are 8 training images"]),
        ({"validation": 100}, ["data.validation = 100", "there are 8 training images"]),
    ],
)
def test_a_limit_above_what_is_there_is_refused(folder, cache, keys, parts):
    line = refusal(load, folder, cache, **keys)
    assert all(part in line for part in parts), line


def test_limits_may_take_all_that_is_there(folder, cache):
    found = load(folder, cache, validation=6, train_limit=2, test_limit=4)
    assert (len(found.validation), len(found.train), len(found.test)) == (6, 2, 4)


# --- folder: decoding -----------------------------------------------------------------------------------------------------


def test_a_folder_gives_its_images_with_their_classes(folder, cache):
    found = load(folder, cache)
    assert found.classes == ("bird", "cat")
    assert found.train.images.shape == (8, 32, 32, 3) and found.train.images.dtype == np.uint8
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4 and found.train.labels.dtype == np.int64
    for part in ("train", "test"):
        expected = [np.asarray(Image.open(file)) for file in sorted((folder / part).glob("*/*.png"))]
        assert np.array_equal(getattr(found, part).images, expected)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_a_folder_may_have_any_number_of_classes_from_two(tmp_path, cache, count):
    names = [f"class {number:02d}" for number in range(count)]
    found = load(write_folder(tmp_path / "set", names[::-1], train=2, test=1), cache)
    assert found.classes == tuple(names)
    assert found.test.labels.tolist() == list(range(count))


def test_a_jpeg_is_decoded(folder, cache):
    smooth = np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], 32, axis=1).repeat(3, axis=2)
    file = save(folder / "train" / "bird" / "0.jpeg", smooth)
    decoded = load(folder, cache).train.images[0]
    assert np.array_equal(decoded, np.asarray(Image.open(file)))
    assert np.abs(decoded.astype(int) - smooth).max() < 16


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "RGBA", "I;16"])
def test_a_png_of_any_mode_is_decoded_to_its_colours(folder, cache, mode):
    grey = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 32, axis=1)
    if mode == "P":
        image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (32, 8)), "P")
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
        expected = np.tile(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], dtype=np.uint8), (32, 8, 1))
    elif mode == "RGBA":
        expected = pixels(99)
        image = Image.fromarray(expected).convert("RGBA")
    elif mode == "I;16":
        image, expected = Image.fromarray(grey.astype(np.uint16) * 257), np.repeat(grey[..., None], 3, axis=2)
    else:
        image = Image.fromarray(grey).convert(mode)
        expected = np.repeat(np.asarray(image.convert("L"))[..., None], 3, axis=2)
    image.save(folder / "train" / "bird" / "0.png")
    with Image.open(folder / "train" / "bird" / "0.png") as stored:
        assert stored.mode == mode
    assert np.array_equal(load(folder, cache).train.images[0], expected)


def test_another_size_is_refused_with_the_file_and_its_size(folder, cache):
    file = save(folder / "test" / "cat" / "1.png", np.zeros((40, 48, 3), dtype=np.uint8))
    line = refusal(load, folder, cache)
    assert str(file) in line and "48x40" in line and "data.resize=true" in line
    assert not leftovers(cache)


def test_resize_scales_every_image(folder, cache):
    halves = np.zeros((64, 48, 3), dtype=np.uint8)
    halves[:, 24:] = (200, 100, 50)
    save(folder / "train" / "bird" / "0.png", halves)
    found = load(folder, cache, resize=True).train.images
    assert found.shape == (8, 32, 32, 3)
    assert (found[0, :, :12] == 0).all() and (found[0, :, 20:] == (200, 100, 50)).all()
    assert np.array_equal(found[1], np.asarray(Image.open(folder / "train" / "bird" / "1.png")))


def test_a_refused_size_is_not_remembered_once_resize_is_set(folder, cache):
    save(folder / "train" / "bird" / "0.png", np.zeros((40, 48, 3), dtype=np.uint8))
    refusal(load, folder, cache)
    assert len(load(folder, cache, resize=True).train) == 8
    refusal(load, folder, cache)


def test_hidden_files_and_folders_are_ignored(folder, cache):
    before = load(folder, cache)
    (folder / "train" / "bird" / ".DS_Store").write_bytes(b"\0\1")
    (folder / "train" / ".git").mkdir()
    (folder / "train" / ".git" / "config").write_text("x")
    (folder / "README.txt").write_text("photographs")
    after = load(folder, cache)
    assert after.classes == before.classes and same(after.train, before.train) and after.fingerprint == before.fingerprint


# --- folder: what is wrong with it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_part_is_refused(folder, cache, part):
    shutil.rmtree(folder / part)
    line = refusal(load, folder, cache)
    assert str(folder / part) in line and "train/<class>/" in line and "test/<class>/" in line
    assert not leftovers(cache)


def test_a_missing_folder_is_refused(tmp_path, cache):
    assert str(tmp_path / "nowhere") in refusal(load, tmp_path / "nowhere", cache)


def test_images_outside_class_folders_are_refused(tmp_path, cache):
    for part in ("train", "test"):
        save(tmp_path / "flat" / part / "0.png", pixels(0))
    line = refusal(load, tmp_path / "flat", cache)
    assert f"data.folder = {tmp_path / 'flat'}: image in no class folder: train/0.png, test/0.png: " in line


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_in_one_part_only_is_refused_by_name(folder, cache, part):
    save(folder / part / "dog" / "0.png", pixels(0))
    line = refusal(load, folder, cache)
    assert "class dog" in line and str(folder) in line
    assert not leftovers(cache)


def stored(form, seed=0):
    stream = io.BytesIO()
    Image.fromarray(pixels(seed)).save(stream, form)
    return stream.getvalue()


def bitmap_of_extent(extent):
    blob = bytearray(stored("BMP"))
    blob[18:26] = extent.to_bytes(4, "little") * 2
    return bytes(blob)


NO_IMAGES = {
    "text": b"not an image\nat all\n",
    "empty": b"",
    "half a PNG": stored("PNG")[:1500],
    "half a JPEG": stored("JPEG")[:700],
    "only a signature": stored("PNG")[:8],
    "a size beyond all memory": bitmap_of_extent(2**20),
}


@pytest.mark.parametrize("blob", NO_IMAGES.values(), ids=NO_IMAGES.keys())
def test_a_file_that_is_no_image_is_refused_by_name(folder, cache, blob):
    file = folder / "test" / "bird" / "1.png"
    good = file.read_bytes()
    file.write_bytes(blob)
    assert str(file) in refusal(load, folder, cache)
    assert not leftovers(cache)
    file.write_bytes(good)
    assert len(load(folder, cache).test) == 4


# --- cache ------------------------------------------------------------------------------------------------------------------


def test_a_second_load_does_not_decode(folder, cache, no_decoding):
    first = load(folder, cache)
    no_decoding()
    second = load(folder, cache)
    assert same(first.train, second.train) and same(first.test, second.test)
    assert (first.name, first.classes, first.fingerprint) == (second.name, second.classes, second.fingerprint)


def test_a_copy_of_a_folder_shares_its_images_and_has_its_own_name(folder, cache, no_decoding):
    first = load(folder, cache)
    copy = shutil.copytree(folder, folder.with_name("copied"))
    no_decoding()
    second = load(copy, cache)
    assert (first.name, second.name) == ("birds_and_cats", "copied")
    assert first.fingerprint == second.fingerprint and same(first.train, second.train)


@pytest.mark.parametrize(("given", "shown"), [(None, "birds_and_cats"), ("CIFAR-10 (JPEG)", "CIFAR-10 (JPEG)")])
def test_reports_call_a_folder_by_the_given_name_or_its_own(folder, cache, given, shown):
    load(folder, cache, name="another")
    assert load(folder, cache, name=given).name == shown
    assert load(f"{folder}/", cache, name=given).name == shown


def test_a_changed_file_of_the_same_size_is_noticed(folder, cache):
    file = folder / "train" / "bird" / "0.bmp"
    file.write_bytes(stored("BMP", seed=1))
    first, size, time = load(folder, cache), file.stat().st_size, file.stat().st_mtime_ns
    file.write_bytes(stored("BMP", seed=2))
    assert file.stat().st_size == size and file.stat().st_mtime_ns != time
    second = load(folder, cache)
    assert first.fingerprint != second.fingerprint
    assert np.array_equal(second.train.images[0], pixels(2))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train/bird/0.png").unlink(),
        lambda folder: save(folder / "test/cat/9.png", pixels(77)),
        lambda folder: (folder / "train/bird/0.png").rename(folder / "train/cat/00.png"),
        lambda folder: [save(folder / part / "new" / "0.png", pixels(66)) for part in ("train", "test")],
    ],
    ids=["removed", "added", "moved to another class", "a new class"],
)
def test_any_change_of_a_folder_is_noticed(folder, cache, change):
    before = load(folder, cache)
    change(folder)
    after, fresh = load(folder, cache), load(folder, cache / "fresh")
    assert after.fingerprint == fresh.fingerprint != before.fingerprint
    assert after.classes == fresh.classes and same(after.train, fresh.train) and same(after.test, fresh.test)


def flip_bit(blob, signature, offset):
    """The flags or the method of a zip member: what a damaged disk may as well hit."""
    position = blob.index(signature) + offset
    return blob[:position] + bytes([blob[position] ^ 1]) + blob[position + 1 :]


DAMAGES = {
    "empty": lambda blob: b"",
    "cut off": lambda blob: blob[: len(blob) // 2],
    "garbage": lambda blob: b"garbage " * 100,
    "zeros": lambda blob: bytes(len(blob)),
    "a pixel": lambda blob: blob[:1000] + bytes([blob[1000] ^ 255]) + blob[1001:],
    "member flags": lambda blob: flip_bit(blob, b"PK\1\2", 8),
    "member method": lambda blob: flip_bit(blob, b"PK\1\2", 10),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_cache_file_is_rebuilt(folder, cache, damage, no_decoding):
    before = load(folder, cache)
    (file,) = cache.rglob("*.npz")
    file.write_bytes(damage(file.read_bytes()))
    after = load(folder, cache)
    assert same(before.train, after.train) and same(before.test, after.test)
    no_decoding()
    assert same(before.train, load(folder, cache).train)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe"], ids=["empty", "garbage"])
def test_a_damaged_listing_is_rebuilt(folder, cache, damage):
    before = load(folder, cache)
    for file in cache.rglob("*"):
        if file.is_file() and file.suffix != ".npz":
            file.write_bytes(damage)
    after = load(folder, cache)
    assert same(before.train, after.train) and before.fingerprint == after.fingerprint


def test_a_full_disk_costs_no_run_and_leaves_nothing_half_written(folder, cache, monkeypatch, capfd):
    def full(stream, **_):
        stream.write(b"PK")
        raise OSError(28, "No space left on device")

    whole = load(folder, cache / "other")
    monkeypatch.setattr(np, "savez", full)
    assert load(folder, cache).fingerprint == whole.fingerprint
    said = capfd.readouterr().err
    assert "was not stored (No space left on device): the images are made for this run alone; make room there, or set REGLAB_CACHE" in said
    assert not leftovers(cache / "images")


def test_what_a_killed_process_left_half_written_goes_at_the_next_start_and_what_is_being_written_stays(folder, cache):
    load(folder, cache)
    killed, alive = (cache / "images" / f".digits-v1.npz.{number * 8}.tmp" for number in "01")
    killed.write_bytes(b"PK")
    with alive.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        load(folder, cache)
        assert (killed.exists(), alive.exists()) == (False, True)
    load(folder, cache)
    assert not alive.exists()


LOADER = """
import sys, time
from pathlib import Path
from reglab.config import DataConfig
from reglab.data import folder as folders, sources

folder, cache, log = map(Path, sys.argv[1:])
decode = folders.decode
def slow(blob, config):
    with log.open("a") as stream:
        stream.write(f"{hash(blob)}\\n")
    time.sleep(0.05)
    return decode(blob, config)
folders.decode = slow
print("ready", flush=True)
sys.stdin.readline()
print(sources.load(DataConfig(source="folder", folder=str(folder)), cache).fingerprint)
"""


def test_two_processes_at_once_decode_once_and_give_one_cache_file(folder, cache, tmp_path, no_decoding):
    command = [sys.executable, "-c", LOADER, folder, cache, tmp_path / "log"]
    root = str(Path(sources.__file__).parents[2])
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    fingerprints = [process.communicate(timeout=PATIENCE)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    decoded = (tmp_path / "log").read_text().splitlines()
    assert len(decoded) == len(set(decoded)) == 12
    assert len(list(cache.rglob("*.npz"))) == 1
    no_decoding()
    assert {*fingerprints, load(folder, cache).fingerprint} == {fingerprints[0]}


def test_two_threads_at_once_give_one_good_cache_file(folder, cache, monkeypatch, no_decoding):
    together, write_whole = threading.Barrier(2), store.atomic.write_whole

    def slowly(path, write):
        def write_and_wait(stream):
            write(stream)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(timeout=0.3)

        write_whole(path, write_and_wait)

    monkeypatch.setattr(store.atomic, "write_whole", slowly)
    found, failed = [], []

    def work():
        try:
            found.append(load(folder, cache).fingerprint)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(list(cache.rglob("*.npz"))) == 1 and not list(cache.rglob("*.tmp"))
    no_decoding()
    assert {*found, load(folder, cache).fingerprint} == {found[0]}
