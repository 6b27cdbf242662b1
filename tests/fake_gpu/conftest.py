"""What the checks on the fake GPU stand on. They are collected where it is: in the processes that `test_fake_gpu.py` starts."""

import numpy as np
import pytest

from reglab.config import RunConfig, with_overrides
from reglab.data.sources import ImageSet, Split
from tests.conftest import on_gpu
from tests.fake_gpu import fake

collect_ignore = [] if fake.is_here() else ["checks"]


def noise(count: int) -> Split:
    chance = np.random.default_rng(0)
    return Split(chance.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), chance.integers(0, 10, count))


@pytest.fixture(scope="session")
def noise_images():
    """Three batches of 64, the last of 22, and an evaluation's."""
    return ImageSet("noise", tuple("abcdefghij"), noise(150), noise(64), None, "noise")


@pytest.fixture
def gpu_run(noise_images):
    """A run on the fake GPU, of a narrow network: `gpu_run("batchnorm.layers=3", images)`."""

    def make(words="", images=noise_images, **sections):
        usual = {"model": {"width": 4}, "train": {"batch_size": 64, "epochs": 2}}
        laid = {name: {**usual.get(name, {}), **sections.get(name, {})} for name in usual.keys() | sections.keys()}
        return on_gpu(RunConfig.parse(with_overrides(laid, words.split())), images)

    return make


@pytest.fixture
def log(tmp_path):
    """`with log() as said:`; what the device was asked for meanwhile is in `said` afterwards."""
    return lambda: fake.Log(tmp_path)
