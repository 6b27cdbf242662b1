"""Decoded image sets on disk: made once, by one process, and read by all."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from reglab import atomic, reading
from reglab.console import say
from reglab.data.images import Extent, ImageSet, Split
from reglab.data.waiting import Alive, alone
from reglab.errors import is_full, without_path
from reglab.settings import unwritable_cache

_LABEL_BYTES = 1024
"""Of an image's label, and the name of a class of its own."""

_HEAD_BYTES = 10**6


def cached(key: str, cache: Path, most: int, extent: Extent, what: str, make: Callable[[Alive], ImageSet]) -> ImageSet:
    """The set of at most so many images of this extent stored under `key`, or what `make` gives, then stored. One process makes it
    (`what`), the others wait for it.

    Where nothing can be stored, on a full disk, say, each process makes it for itself, and says so.
    """
    path = stored(key, cache)
    atomic.sweep(path.parent)
    if (found := read(path, most, extent)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, what) as alive:
            if (found := read(path, most, extent)) is None:
                found = make(alive)
                atomic.write_whole(path, lambda stream: _write(stream, found))
    except (OSError, NotImplementedError) as error:  # the latter of a file system without locks
        if found is None and not is_full(error):
            raise unwritable_cache(path.parent.parent, without_path(error)) from None
        mend = "make room there, or set REGLAB_CACHE to another folder"
        say(f"{path} was not stored ({without_path(error)}): the images are made for this run alone; {mend}")
    return found or make(lambda: None)


def stored(key: str, cache: Path) -> Path:
    """Return where the set of this key is kept, whether it is there or not."""
    return cache / "images" / f"{key}.npz"


def read(path: Path, most: int, extent: Extent) -> ImageSet | None:
    """The set in a file, of at most so many images of this extent; None where there is none, or anything else: it is made anew."""
    limit = most * (extent.side**2 * extent.channels + _LABEL_BYTES) + _HEAD_BYTES
    try:
        with reading.opened(path, limit, "remove it") as stream, np.load(stream, allow_pickle=False) as content:
            if any(member.compress_type != zipfile.ZIP_STORED for member in content.zip.infolist()):
                return None  # it was not written here, and unpacks to nobody knows how much
            return _whole(content, extent)
    except Exception:  # numpy and zipfile raise a dozen kinds for a damaged file
        return None


def _whole(content: Any, extent: Extent) -> ImageSet | None:
    """What is in it, where that is two parts of images with labels of two or more classes."""
    classes = tuple(map(str, content["classes"]))
    parts = [Split(content[f"{part}_images"], content[f"{part}_labels"]) for part in ("train", "test")]
    for part in parts:
        if part.images.dtype != np.uint8 or part.labels.dtype != np.int64 or part.images.shape != (len(part), extent.side, *extent):
            return None
        if part.labels.shape != (len(part),) or not len(part) or not 0 <= part.labels.min() <= part.labels.max() < len(classes):
            return None
    return ImageSet(str(content["name"]), classes, parts[0], parts[1], None, str(content["fingerprint"])) if len(classes) > 1 else None


def _write(stream: BinaryIO, images: ImageSet) -> None:
    np.savez(
        stream,
        name=np.str_(images.name),
        fingerprint=np.str_(images.fingerprint),
        classes=np.asarray(images.classes, dtype=np.str_),
        train_images=images.train.images,
        train_labels=images.train.labels,
        test_images=images.test.images,
        test_labels=images.test.labels,
    )
