"""Image sets: decoded once into uint8 arrays, cached by content, split the same way for every seed."""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from PIL import Image
from rich.console import Console
from rich.progress import track

from reglab.atomic import write_whole
from reglab.config import DataConfig
from reglab.errors import UserError, first_line

SIDE = 32
"""Height and width of every image, in pixels."""

_CACHE_FORMAT = 1
"""Part of every cache key: raise it when decoding changes."""

_HASH = re.compile(rb"[0-9a-f]{64}")

_SPLIT_SEED = 20170802
"""Orders the images for the limits and the validation part; fixed, so that no split depends on a run's seed."""


@dataclass(frozen=True)
class Part:
    """Some labelled images: uint8 `(N, 32, 32, 3)` and int64 `(N,)`."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Part":
        return Part(self.images[index], self.labels[index])


@dataclass(frozen=True)
class ImageSet:
    """A data source, split. `name` is what reports call it; `fingerprint` changes with any pixel, label or split."""

    name: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    validation: Part | None
    fingerprint: str


def load(config: DataConfig, cache: Path) -> ImageSet:
    """The configured images, from the cache where they are there.

    Raises UserError for a folder that is not laid out as needed, a file that is not an image or has another size, a
    failed download, and limits larger than the source.
    """
    if config.source == "cifar10":
        full = _cifar10(cache)
    elif config.source == "folder":
        full = _folder(Path(str(config.folder)).expanduser(), config, cache)
    else:
        full = _digits(cache)
    return _split(full, config)


def cifar10_is_here(cache: Path) -> bool:
    """Whether CIFAR-10 is in the cache, decoded or as it was downloaded."""
    return _stored("cifar10", cache).exists() or (cache / "downloads" / "cifar-10-python.tar.gz").exists()


def _split(full: ImageSet, config: DataConfig) -> ImageSet:
    """Holds out the validation part, then applies the limits, each in one fixed random order."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(full.train))
    held_out, rest = order[: config.validation], order[config.validation :]
    if config.validation and len(rest) < 2:
        raise UserError(f"data.validation = {config.validation}: there are {len(full.train)} training images; leave some to train on")
    for key, limit, there in (("train_limit", config.train_limit, len(rest)), ("test_limit", config.test_limit, len(full.test))):
        if limit is not None and limit > there:
            raise UserError(f"data.{key} = {limit}: there are {there} images; give at most that, or null for all")
    test_order = np.random.default_rng(_SPLIT_SEED).permutation(len(full.test))[: config.test_limit]
    split = (config.validation, config.train_limit, config.test_limit)
    return replace(
        full,
        train=full.train.take(np.sort(rest[: config.train_limit])),
        test=full.test.take(np.sort(test_order)),
        validation=full.train.take(np.sort(held_out)) if config.validation else None,
        fingerprint=hashlib.sha256(f"{full.fingerprint} {split}".encode()).hexdigest()[:12],
    )


def _cifar10(cache: Path) -> ImageSet:
    root = cache / "downloads"

    def decode() -> ImageSet:
        import torchvision  # seconds to import, and needed the first time only

        dataset = torchvision.datasets.CIFAR10
        with _filling(cache):
            root.mkdir(parents=True, exist_ok=True)
        try:
            train, test = dataset(root, train=True, download=True), dataset(root, train=False)
        except (OSError, HTTPException, RuntimeError) as error:  # no network, a portal in the way, a wrong checksum
            raise UserError(
                f"CIFAR-10 could not be downloaded ({_one_line(error)}): connect to a network, put {dataset.filename} into {root}, "
                "or choose data.source=digits, or data.source=folder with data.folder"
            ) from None
        parts = [Part(np.ascontiguousarray(part.data), np.asarray(part.targets, dtype=np.int64)) for part in (train, test)]
        return ImageSet("CIFAR-10", tuple(train.classes), parts[0], parts[1], None, dataset.tgz_md5)

    return _cached("cifar10", cache, decode)


def _digits(cache: Path) -> ImageSet:
    """scikit-learn's 1,797 handwritten digits, 8x8 at 16 grey levels, enlarged to 32x32x3; every fifth of a class is a test image."""

    def decode() -> ImageSet:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
        images = np.stack([np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in grey])
        images = np.repeat(images[..., None], 3, axis=3)
        labels = bunch.target.astype(np.int64)
        rank = np.zeros(len(labels), dtype=np.int64)  # of each image within its class
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        whole, is_test = Part(images, labels), rank % 5 == 4
        fingerprint = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        classes = tuple(str(name) for name in bunch.target_names)
        return ImageSet("digits", classes, whole.take(~is_test), whole.take(is_test), None, fingerprint)

    return _cached("digits", cache, decode)


def _folder(folder: Path, config: DataConfig, cache: Path) -> ImageSet:
    listing = {part: _list_part(folder, part) for part in ("train", "test")}
    classes = sorted(listing["train"])
    if odd := sorted(listing["train"].keys() ^ listing["test"].keys()):
        raise UserError(f"{folder}: class {odd[0]} is in one of train/ and test/ only; both need the same class folders")
    files = [file for part in listing.values() for name in classes for file in part[name]]
    content = _content_hash(classes, files, folder, cache)

    def decode() -> ImageSet:
        parts = []
        for part, by_class in listing.items():
            pairs = [(file, label) for label, name in enumerate(classes) for file in by_class[name]]
            images = np.empty((len(pairs), SIDE, SIDE, 3), dtype=np.uint8)
            shown = track(pairs, f"decoding {part}", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
            for row, (file, _) in enumerate(shown):
                images[row] = _decode_file(file, config.resize)
            parts.append(Part(images, np.asarray([label for _, label in pairs], dtype=np.int64)))
        return ImageSet(folder.name, tuple(classes), parts[0], parts[1], None, content)

    cached = _cached(f"folder-{content}{'-resized' if config.resize else ''}", cache, decode)
    return replace(cached, name=config.folder_name)


def _list_part(folder: Path, part: str) -> dict[str, list[Path]]:
    """The files of `<folder>/<part>/<class>/`, sorted, by class."""
    root = folder / part
    if not root.is_dir():
        raise UserError(f"data.folder = {folder}: there is no folder {root}; images belong in train/<class>/ and test/<class>/")
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    listing = {
        name: sorted(Path(entry.path) for entry in os.scandir(root / name) if entry.is_file() and not entry.name.startswith("."))
        for name in classes
    }
    if not any(listing.values()):
        raise UserError(f"data.folder = {folder}: {root} holds no <class>/ folder with images")
    return listing


def _decode_file(file: Path, resize: bool) -> np.ndarray:
    try:
        with Image.open(file) as image:
            if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip instead of scale
                rgb = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
            else:
                rgb = image.convert("RGB")
    except Exception as error:  # Pillow raises a dozen kinds for a damaged file
        raise UserError(f"{file} is not an image that can be read ({_one_line(error)}): mend or remove it") from None
    if rgb.size != (SIDE, SIDE):
        if not resize:
            raise UserError(f"{file} is {rgb.width}x{rgb.height}, not {SIDE}x{SIDE}: set data.resize=true to scale every image")
        rgb = rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def _content_hash(classes: list[str], files: list[Path], folder: Path, cache: Path) -> str:
    """Hash of the classes and of every file's name and bytes.

    Reading 60,000 files takes seconds, listing them a fraction: as git does, files whose size and time of change are
    those of an earlier call are taken to be unchanged.
    """
    names = "\0".join(classes)
    listed = hashlib.sha256(f"{folder.resolve()}\0{names}\0".encode())
    for file in files:
        stat = file.stat()
        listed.update(f"{file.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    known = cache / "images" / f"listing-{listed.hexdigest()[:32]}"
    if known.exists() and _HASH.fullmatch(stored := known.read_bytes()):
        return stored.decode()
    content = hashlib.sha256(names.encode())
    for file in files:
        content.update(f"{file.relative_to(folder)}\0".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    with _filling(cache):
        write_whole(known, lambda stream: stream.write(content.hexdigest().encode()))
    return content.hexdigest()


def _stored(key: str, cache: Path) -> Path:
    return cache / "images" / f"{key}-v{_CACHE_FORMAT}.npz"


def _cached(key: str, cache: Path, decode: Callable[[], ImageSet]) -> ImageSet:
    """The set stored under `key`, or what `decode` gives, then stored. One process decodes, the others wait for it."""
    path = _stored(key, cache)
    if (found := _read(path)) is not None:
        return found
    lock = FileLock(f"{path}.lock")
    with _filling(cache):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        if (found := _read(path)) is None:
            found = decode()
            with _filling(cache):
                write_whole(path, lambda stream: _write(stream, found))
    finally:
        lock.release()
    return found


@contextmanager
def _filling(cache: Path) -> Iterator[None]:
    """Around what is written to the cache: one that takes nothing (read-only, full, no folder) is a UserError."""
    try:
        yield
    except OSError as error:
        fault = f"the cache {cache} cannot be written ({error.strerror or first_line(error)})"
        raise UserError(f"{fault}: set REGLAB_CACHE to a folder that can, with room for the decoded images") from None


def _read(path: Path) -> ImageSet | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            parts = [Part(stored[f"{part}_images"], stored[f"{part}_labels"]) for part in ("train", "test")]
            name, fingerprint = str(stored["name"]), str(stored["fingerprint"])
            return ImageSet(name, tuple(map(str, stored["classes"])), parts[0], parts[1], None, fingerprint)
    except FileNotFoundError:
        return None
    except Exception:  # numpy and zipfile raise a dozen kinds for a damaged file: it is decoded again and replaced
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
