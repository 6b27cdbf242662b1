"""Decoded image sets on disk: made once, by one process, and read by all."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from reglab import atomic
from reglab.data.images import ImageSet, Part
from reglab.data.waiting import Alive, alone
from reglab.errors import first_line, is_full
from reglab.processes.streams import say
from reglab.settings import unwritable_cache


def cached(key: str, cache: Path, what: str, make: Callable[[Alive], ImageSet]) -> ImageSet:
    """The set stored under `key`, or what `make` gives, then stored. One process makes it (`what`), the others wait for it.

    Where nothing can be stored, on a full disk, say, each process makes it for itself, and says so.
    """
    path = stored(key, cache)
    atomic.sweep(path.parent)
    if (found := read(path)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, what) as alive:
            if (found := read(path)) is None:
                found = make(alive)
                atomic.write_whole(path, lambda stream: _write(stream, found))
    except (OSError, NotImplementedError) as error:  # the latter of a file system without locks
        why = getattr(error, "strerror", None) or first_line(error)
        if found is None and not is_full(error):
            raise unwritable_cache(path.parent.parent, why) from None
        say(f"{path} was not stored ({why}): the images are made for this run alone")
    return found or make(lambda: None)


def stored(key: str, cache: Path) -> Path:
    return cache / "images" / f"{key}.npz"


def read(path: Path) -> ImageSet | None:
    """None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as content:
            parts = [Part(content[f"{part}_images"], content[f"{part}_labels"]) for part in ("train", "test")]
            name, fingerprint = str(content["name"]), str(content["fingerprint"])
            return ImageSet(name, tuple(map(str, content["classes"])), parts[0], parts[1], None, fingerprint)
    except FileNotFoundError:
        return None
    except Exception:  # numpy and zipfile raise a dozen kinds for a damaged file: it is made again and replaced
        return None


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
