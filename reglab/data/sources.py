"""Image sets: decoded once into uint8 arrays, cached by content, split the same way for every seed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from reglab.config import DataConfig
from reglab.data import arrays, folder, published
from reglab.data.images import Extent, ImageSet, Split
from reglab.data.store import cached
from reglab.data.waiting import Alive
from reglab.errors import UserError

_DIGITS, _DIGIT = 1_797, Extent(32, 3)

_SPLIT_SEED = 20170802
"""Orders the images for the limits and the validation part; fixed, so that no split depends on a run's seed."""


def load(config: DataConfig, cache: Path) -> ImageSet:
    """The configured images, from the cache where they are there. A signal's handler may raise to end it at any moment.

    Raises UserError for a folder that is not laid out as needed, files that are no images of it, arrays that are none, a failed
    download, limits larger than the source or that leave one class to train on, and a cache that cannot be written.
    """
    if config.source in published.PUBLISHED:
        full = published.load(config.source, cache)
    elif config.source == "folder":
        full = folder.load(config, cache)
    elif config.source == "npz":
        full = arrays.of_file(config)
    elif config.source == "digits":
        full = _digits(cache)
    else:
        full = arrays.of_function(config)
    return _split(full, config)


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
    train = full.train.take(np.sort(rest[: config.train_limit]))
    if len(np.unique(train.labels)) < 2:
        key, value = ("validation", config.validation) if config.train_limit is None else ("train_limit", config.train_limit)
        raise UserError(f"data.{key} = {value}: it leaves one class to train on, {full.classes[train.labels[0]]}; leave more")
    return replace(
        full,
        train=train,
        test=full.test.take(np.sort(test_order)),
        validation=full.train.take(np.sort(held_out)) if config.validation else None,
        fingerprint=hashlib.sha256(f"{full.fingerprint} {split}".encode()).hexdigest()[:12],
        test_fingerprint=hashlib.sha256(f"{full.fingerprint} test {config.test_limit}".encode()).hexdigest()[:12],
    )


def _digits(cache: Path) -> ImageSet:
    """scikit-learn's 1,797 handwritten digits, 8x8 at 16 grey levels, enlarged to 32x32x3; every fifth of a class is a test image."""

    def decode(alive: Alive) -> ImageSet:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
        images = np.stack(
            [np.asarray(Image.fromarray(image).resize((_DIGIT.side, _DIGIT.side), Image.Resampling.BICUBIC)) for image in grey]
        )
        images = np.repeat(images[..., None], _DIGIT.channels, axis=3)
        labels = bunch.target.astype(np.int64)
        rank = np.zeros(len(labels), dtype=np.int64)  # of each image within its class
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        whole, is_test = Split(images, labels), rank % 5 == 4
        fingerprint = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        classes = tuple(str(name) for name in bunch.target_names)
        return ImageSet("digits", classes, whole.take(~is_test), whole.take(is_test), None, fingerprint)

    return cached("digits-v1", cache, _DIGITS, _DIGIT, "decoding the digits", decode)
