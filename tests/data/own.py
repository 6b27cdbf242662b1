"""Images as a user might bring them, for tests: reached by name, such as `tests.data.own:grey`."""

import numpy as np
import torch

NAMES = ("train_images", "train_labels", "test_images", "test_labels")


def noise(count, side, channels=None, seed=0):
    """Images of three classes and their labels."""
    draws = np.random.default_rng(seed)
    return draws.integers(0, 256, (count, side, side) + ((channels,) if channels else ()), dtype=np.uint8), np.arange(count) % 3


def grey():
    """28×28, and no names."""
    return noise(12, 28), noise(6, 28, seed=1)


def named():
    """The same, with names."""
    return *grey(), ["a", "b", "c"]


def half():
    """One part only."""
    return noise(12, 28)[:1], 3


def floats():
    """Levels from 0 to 1."""
    (images, labels), test = grey()
    return (images / 255, labels), test


def none():
    """Nothing."""


def failing():
    """It cannot be read."""
    raise OSError("the disk is away")


def wanting_gradients():
    """Tensors that numpy does not take."""
    (images, labels), test = grey()
    return (torch.from_numpy(images).float().requires_grad_(), labels), test


def of_no_names():
    """Their place is there, and empty."""
    return *grey(), None


def of_a_number():
    """How many classes there are, where their names belong."""
    return *grey(), 3
