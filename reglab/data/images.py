"""Labelled images in memory: what every source gives and every run trains on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

MOST_CHANNELS = 4
"""A pixel's are packed into one 32-bit element on the device."""


class Extent(NamedTuple):
    """Of an image: `side` × `side` pixels of so many `channels`."""

    side: int
    channels: int

    def __str__(self) -> str:
        return f"{self.side}×{self.side} pixels of {self.channels} channel{'' if self.channels == 1 else 's'}"


@dataclass(frozen=True)
class Split:
    """Some labelled images: uint8 `(N, side, side, channels)` and int64 `(N,)`."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def hashes(self) -> list[bytes]:
        """SHA-256 of each image's pixels: of all of CIFAR-10 in a fifth of a second."""
        return [hashlib.sha256(image).digest() for image in np.ascontiguousarray(self.images)]

    def take(self, index: np.ndarray) -> "Split":
        """Return the images at the positions `index` (M,), in its order."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class ImageSet:
    """A data source, split. `name` is what reports call it; `fingerprint` changes with any pixel, label or split.

    `test_fingerprint` is of the source and of which of its images the test part has, whatever is trained on: it is taken of the images
    in the source's own order (an archive's, an array's, that of the bytes of the names in a folder), and the test part has that order.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    validation: Split | None
    fingerprint: str
    test_fingerprint: str | None = None  # of a source that is not split yet

    @cached_property
    def pixel_fingerprint(self) -> str:
        """Of the pixels that are trained and tested on, whatever they were read from: of files, another decoder may make others."""
        return hashlib.sha256(b"".join(self.train.hashes + self.test.hashes)).hexdigest()[:12]

    @cached_property
    def leaked(self) -> int:
        """How many test images are training images, too, pixel by pixel."""
        trained_on = set(self.train.hashes)
        return sum(each in trained_on for each in self.test.hashes)

    @property
    def extent(self) -> Extent:
        """Of every image."""
        return Extent(*self.train.images.shape[2:])
