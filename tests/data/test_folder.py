"""A folder of images: nothing in it goes missing unsaid, and its fingerprint is of what the files hold."""

import os
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reglab.config import DataConfig
from reglab.data import folder as folders
from reglab.data import sources
from reglab.data.folder import fingerprint, listed
from reglab.errors import MachineError, UserError


@pytest.fixture
def images(write_set, tmp_path):
    return write_set(tmp_path / "pets")


# --- what would go missing ------------------------------------------------------------------------------------------------------


def test_sub_folders_of_classes_are_refused_all_of_them(images, refused):
    for name in ("train/bird/a", "train/cat/b", "test/cat/c"):
        (images / name).mkdir()
    assert "folder in a class folder: train/bird/a, train/cat/b, test/cat/c" in refused(images)


def test_links_to_nothing_are_refused_all_of_them(images, refused):
    (images / "train/bird/8.png").symlink_to("nowhere.png")
    (images / "train/bird/9.png").symlink_to("9.png")  # to itself
    (images / "test/dog").symlink_to("nowhere")
    assert "link to nothing: train/bird/8.png, train/bird/9.png, test/dog" in refused(images)


def test_links_to_files_and_folders_are_followed(images, load_set):
    before = load_set(images)
    (images / "elsewhere").mkdir()
    for name in ("train/bird", "test/cat/1.png"):
        (images / name).rename(images / "elsewhere" / Path(name).name)
        (images / name).symlink_to(images / "elsewhere" / Path(name).name)
    assert load_set(images).fingerprint == before.fingerprint


def test_what_is_no_file_is_refused(images, refused):
    os.mkfifo(images / "train/bird/9.png")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(images / "test/cat/9.png"))
        assert "no file: train/bird/9.png, test/cat/9.png" in refused(images)


def test_empty_and_missing_classes_are_refused_all_of_them(images, refused):
    for name in ("train/dog", "train/eel", "test/eel", "train/fox", "test/gnu"):
        (images / name).mkdir()
    Image.new("RGB", (32, 32)).save(images / "train/fox/0.png")
    line = refused(images)
    assert "test/ lacks class dog, fox; train/ has no image of class dog, eel; test/ has no image of class eel, gnu; train/ lacks" in line


def test_an_emptied_class_is_refused(images, refused):
    shutil.rmtree(images / "test/bird")
    (images / "test/bird").mkdir()
    assert "test/ has no image of class bird" in refused(images)


def test_what_macos_leaves_is_refused_as_a_class(images, refused):
    for part in ("train", "test"):
        shutil.copytree(images / part / "bird", images / part / "__MACOSX")
    assert "left by macOS's archiver: train/__MACOSX, test/__MACOSX" in refused(images)


def test_images_beside_the_classes_are_refused_and_other_files_are_not(images, refused, load_set):
    (images / "train/labels.csv").write_text("0.png,bird")
    load_set(images)
    shutil.copy(images / "train/bird/0.png", images / "train/9.png")
    shutil.copy(images / "train/bird/0.png", images / "test/photo")
    assert "image in no class folder: train/9.png, test/photo" in refused(images)


def test_many_names_are_counted_folder_by_folder(images, refused):
    for number in range(15):
        (images / f"train/bird/more{number:02}").mkdir()
    (images / "test/cat/x").mkdir()
    assert "more08, train/bird/more09 and 5 more, test/cat/x" in refused(images)


def test_faults_of_all_kinds_are_in_one_line(images, refused):
    (images / "train/bird/a").mkdir()
    (images / "train/bird/8.png").symlink_to("nowhere.png")
    (images / "train/dog").mkdir()
    line = refused(images)
    assert all(part in line for part in ("folder in a class folder: train/bird/a", "link to nothing: train/bird/8.png", "lacks class dog"))


def test_a_folder_that_cannot_be_read_is_refused_by_name(images, refused, monkeypatch):
    scan = os.scandir

    def forbidden(path):
        if str(path).endswith("train/cat"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    assert "cannot be read (Permission denied): train/cat" in refused(images)


def test_a_file_that_cannot_be_read_is_refused_by_path(images, refused, monkeypatch):
    opened = os.open

    def forbidden(path, flags, *mode, **where):
        if Path(path).name == "2.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", forbidden)
    assert f"{images}/train/bird/2.png cannot be read (Permission denied)" in refused(images)


def test_files_that_are_no_images_are_refused_all_of_them(images, refused):
    for name in ("train/bird/1.png", "train/cat/notes.txt", "test/cat/0.png"):
        (images / name).write_text("no image")
    line = refused(images)
    assert all(f"{images}/{name} is not an image" in line for name in ("train/bird/1.png", "train/cat/notes.txt", "test/cat/0.png"))


def test_no_more_are_looked_for_after_many_files_that_are_no_images(write_set, tmp_path, refused, monkeypatch):
    images = write_set(tmp_path / "many", train=30)
    for file in images.glob("train/*/*"):
        file.write_text("no image")
    assert "(and perhaps more)" in refused(images)


@pytest.mark.parametrize("name", ["train", "test"])
def test_one_class_is_refused(tmp_path, write_set, refused, name):
    assert "only one class, bird: give at least two" in refused(write_set(tmp_path / "one", classes=("bird",)))


def test_a_limit_that_leaves_one_class_is_refused(tmp_path, write_set, load_set):
    images = write_set(tmp_path / "uneven", classes=("bird", "cat"), train=1)
    for number in range(1, 40):
        Image.fromarray(np.full((32, 32, 3), number, dtype=np.uint8)).save(images / f"train/bird/{number}.png")
    with pytest.raises(UserError, match=r"data.train_limit = 2: it leaves one class to train on, bird"):
        load_set(images, train_limit=2)


# --- what only all images together tell ---------------------------------------------------------------------------------------------


def paint(images, make):
    """Each image anew, by the number of its class and of the image."""
    for part in ("train", "test"):
        for label, name in enumerate(("bird", "cat")):
            for number, file in enumerate(sorted((images / part / name).iterdir())):
                file.unlink()
                make(label, number).save(file.with_suffix(".tiff"))


def test_classes_that_all_look_alike_are_refused_with_the_background(images, refused, load_set):
    def white_stroke(label, number):
        image = np.full((32, 32, 4), 255, dtype=np.uint8)
        image[..., 3] = 0
        image[number : 8 + label, 4:8, 3] = 255
        return Image.fromarray(image)

    paint(images, white_stroke)
    assert "all images of the classes bird and cat are one and the same picture over data.background=white: choose another" in refused(
        images
    )
    assert len(load_set(images, background="black").train) == 8


def test_opaque_classes_that_all_look_alike_are_refused(images, refused):
    paint(images, lambda label, number: Image.new("RGB", (32, 32), "red"))
    assert "bird and cat are one and the same picture" in refused(images)


@pytest.mark.parametrize(
    ("kind", "high", "said"),
    [
        (np.float32, 1, "hold 0 to 1 "),
        (np.int32, 255, "hold 0 to 255 "),
        (np.int32, 2**30, "hold 0 to 1.07374e+09 "),
        (np.uint16, 4095, "data.white=4095 if that is bright, data.white=65535 if they are dark images of 16 bits"),
    ],
)
def test_a_range_that_nothing_tells_is_refused_with_what_was_found(images, refused, load_set, kind, high, said):
    paint(images, lambda label, number: Image.fromarray((np.arange(1024).reshape(32, 32) * (high / 1023) * (label + 1) / 2).astype(kind)))
    assert said in refused(images)
    levels = load_set(images, white=high).train.images
    assert levels.max() == 255 and len(np.unique(levels)) > 200


def test_sixteen_bits_are_full_if_any_image_uses_them(images, load_set):
    paint(images, lambda label, number: Image.fromarray(np.full((32, 32), 60_000 * label + 100 * number, dtype=np.uint16)))
    assert set(np.unique(load_set(images).train.images)) == {0, 1, 234, 235}


def test_a_stated_range_that_no_image_needs_is_refused(images, refused):
    assert "data.white = 4095: no image" in refused(images, white=4095)


# --- its fingerprint -----------------------------------------------------------------------------------------------------------


def test_the_fingerprint_of_plain_images_never_changes(tmp_path, load_set):
    """Records hold it. Where decoding changes, only that of images that are decoded otherwise may."""
    for part, name, number in [(part, name, number) for part in ("train", "test") for name in ("cat", "dog") for number in (0, 1)]:
        file = tmp_path / "set" / part / name / f"{number}.ppm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"P6 32 32 255\n" + bytes([number, len(part), len(name) + ord(name[0])]) * 1024)
    assert load_set(tmp_path / "set").fingerprint == "96b21e255d4a"


def test_a_treatment_that_was_needed_belongs_to_the_fingerprint(images, load_set):
    plain = [load_set(images, background=ground).fingerprint for ground in ("white", "black")]
    assert plain[0] == plain[1]
    half = np.full((32, 32, 4), 100, dtype=np.uint8)
    Image.fromarray(half).save(images / "train/bird/0.png")
    content = fingerprint(listed(images), images / "cache")
    found = {load_set(images, background=ground).fingerprint for ground in ("white", "grey", "black")}
    assert len(found) == 3 and sources._split(load_set(images), DataConfig()).fingerprint not in found
    assert content == fingerprint(listed(images), images / "other cache")


def swap(one, other):
    one.rename(one.with_suffix(".tmp"))
    other.rename(one)
    one.with_suffix(".tmp").rename(other)


def aged(images):
    """As if it had been there for a day: what an archive unpacks has one time, and sizes may be the same."""
    for file in [*images.rglob("*")]:
        os.utime(file, (time.time() - 86_400,) * 2)


def rewritten(images):
    one, other = images / "train/bird/0.bmp", images / "train/cat/0.bmp"
    blobs = one.read_bytes(), other.read_bytes()
    one.write_bytes(blobs[1])
    other.write_bytes(blobs[0])


SWAPS = {
    "renamed": lambda images: swap(images / "train/bird/0.bmp", images / "train/cat/0.bmp"),
    "rewritten in place": rewritten,
    "whole classes": lambda images: swap(images / "train/bird", images / "train/cat"),
}


@pytest.mark.parametrize("change", SWAPS.values(), ids=SWAPS)
@pytest.mark.parametrize("settled", [True, False])
def test_files_of_one_size_and_time_that_change_places_are_noticed(images, load_set, monkeypatch, change, settled):
    for file in sorted(images.rglob("*.png")):
        Image.open(file).save(file.with_suffix(".bmp"))
        file.unlink()
    aged(images)
    if settled:  # so that the shortcut is taken
        monkeypatch.setattr(folders, "_RACY_NANOSECONDS", -(10**12))
    before = load_set(images)
    change(images)
    aged(images)
    after = load_set(images)
    assert after.fingerprint != before.fingerprint
    assert not np.array_equal(after.train.images, before.train.images)


@pytest.mark.parametrize("settled", [True, False])
def test_files_are_read_again_only_where_they_may_have_changed(images, load_set, monkeypatch, settled):
    monkeypatch.setattr(folders, "_RACY_NANOSECONDS", -(10**12) if settled else 10**12)
    load_set(images)
    read, bytes_of = [], folders._bytes
    monkeypatch.setattr(folders, "_bytes", lambda file: read.append(file) or bytes_of(file))
    load_set(images)
    assert len(read) == (0 if settled else 12)


def test_files_that_change_between_reading_and_decoding_are_refused(images, refused, load_set, monkeypatch):
    decode = folders._decoded

    def late(*arguments):
        Image.new("RGB", (32, 32), "blue").save(images / "test/cat/1.png")
        return decode(*arguments)

    monkeypatch.setattr(folders, "_decoded", late)
    assert "files changed while they were read" in refused(images)
    monkeypatch.undo()
    assert (load_set(images).test.images[-1] == (0, 0, 255)).all()


def test_an_image_that_its_disk_does_not_give_is_told_by_its_name_and_not_blamed_on_the_cache(images, load_set, monkeypatch):
    decode = folders._decoded

    def failing(*arguments):
        (images / "test/cat/1.png").unlink()
        (images / "test/cat/1.png").symlink_to("/proc/self/mem")  # opens, and fails to be read as a bad disk does
        return decode(*arguments)

    monkeypatch.setattr(folders, "_decoded", failing)
    with pytest.raises(MachineError, match=f"^{images}/test/cat/1.png: its disk does not answer"):
        load_set(images)


def test_a_listing_that_cannot_be_read_costs_no_run(images, load_set, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_RACY_NANOSECONDS", -(10**12))
    before, opened = load_set(images), os.open
    assert list((tmp_path / "cache/images").glob("listing-*"))

    def forbidden(path, flags, *mode, **where):
        if Path(path).name.startswith("listing-"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", forbidden)
    assert load_set(images).fingerprint == before.fingerprint


@pytest.mark.parametrize("where", ["file", "class", "folder"])
def test_names_that_are_no_utf8_work(images, load_set, where):
    odd = os.fsdecode(b"caf\xe9")
    if where == "file":
        (images / "train/bird/0.png").rename(images / "train/bird" / f"{odd}.png")
    elif where == "class":
        for part in ("train", "test"):
            (images / part / "bird").rename(images / part / odd)
    else:
        (images / "train").rename(images / odd)
        (images / "train").symlink_to(images / odd)
    found = load_set(images)
    assert len(found.train) == 8 and found.fingerprint == load_set(images).fingerprint
    assert all(name.isprintable() for name in found.classes)
    if where == "class":
        assert found.classes == ("caf\\xe9", "cat")


def test_a_fault_of_a_name_that_is_no_utf8_is_told_by_its_path(images, refused):
    (images / "train/bird" / os.fsdecode(b"\xe9.png")).write_text("no image")
    assert f"{images}/train/bird/\\xe9.png is not an image" in refused(images)


def test_an_old_decoding_is_never_used_again(images, load_set, tmp_path):
    before = load_set(images)
    (stored,) = (tmp_path / "cache/images").glob("folder-*.npz")
    assert stored.name.endswith(f"-v{folders.DECODING}.npz") and folders.DECODING > 1
    assert before.fingerprint
