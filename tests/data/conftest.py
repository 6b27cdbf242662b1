"""Folders of small images, and what a refused one says."""

import numpy as np
import pytest
from PIL import Image

from reglab.config import DataConfig
from reglab.data import sources
from reglab.errors import UserError


def _pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture
def write_set():
    """`write_set(root, classes=("bird", "cat"), train=4, test=2, seed=0)`: a folder of random images."""

    def write(root, classes=("bird", "cat"), train=4, test=2, seed=0):
        for name in classes:
            for part, count in (("train", train), ("test", test)):
                (root / part / name).mkdir(parents=True)
                for number in range(count):
                    Image.fromarray(_pixels(seed)).save(root / part / name / f"{number}.png")
                    seed += 1
        return root

    return write


@pytest.fixture
def load_set(tmp_path):
    """`load_set(folder, **keys)`: with a cache that all calls share."""
    return lambda folder, **keys: sources.load(DataConfig(source="folder", folder=str(folder), **keys), tmp_path / "cache")


@pytest.fixture
def refused(load_set):
    """`refused(folder, **keys)`: the one line that says why."""

    def refuse(folder, **keys):
        with pytest.raises(UserError) as caught:
            load_set(folder, **keys)
        line = str(caught.value)
        assert line and "\n" not in line and line.isprintable()
        return line

    return refuse
