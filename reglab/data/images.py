"""Labelled images in memory: what every source gives and every run trains on."""

from dataclasses import dataclass

import numpy as np

SIDE = 32
"""Height and width of every image, in pixels."""


@dataclass(frozen=True)
class Part:
    """Some labelled images: uint8 `(N, 32, 32, 3)` and int64 `(N,)`."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Part":
        """Return the images at the positions `index` (M,), in its order."""
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
