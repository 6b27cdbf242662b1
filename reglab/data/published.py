"""CIFAR-10 as its authors publish it: the archive's address, its checksums, and the pickled arrays in it.

torchvision knows the same, and is not asked: each of its versions wants one version of torch, so that to install it could replace the
torch that a machine brings.
"""

import hashlib
import pickle
import shutil
import stat
import tarfile
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from reglab.atomic import write_whole

MOST_BYTES = 2 * 10**8
"""The archive is 170 MB, and each file in it 31 MB: what is larger is not compared with its checksum, nor fetched."""


def may_be_whole(path: Path) -> bool:
    """Whether it is a file of a size that can be right: to compare a pipe or a device with a checksum would never end."""
    try:
        about = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size <= MOST_BYTES


def is_whole(path: Path, md5: str) -> bool:
    """Whether the file is there, and has this checksum."""
    if not may_be_whole(path):
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest() == md5


class CIFAR10:
    """One part of it, from `root`. Raises RuntimeError where that has it neither unpacked nor, if `unpack`, as the archive.

    `data`: (N, 32, 32, 3), uint8. `targets`: N numbers of `classes`.
    """

    url: ClassVar = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename: ClassVar = "cifar-10-python.tar.gz"
    tgz_md5: ClassVar = "c58f30108f718f92721af3b95e74349a"
    base_folder: ClassVar = "cifar-10-batches-py"
    files: ClassVar = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(self, root: Path, train: bool, unpack: bool = False):
        folder = root / self.base_folder
        if unpack and not self._is_in(folder):
            self._unpack(root)
        if not self._is_in(folder):
            raise RuntimeError(f"{folder} does not hold CIFAR-10, or not all of it")
        batches = [_load(folder / name) for name in self.files if name.startswith("data" if train else "test")]
        self.data = np.vstack([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.targets = [label for batch in batches for label in batch["labels"]]
        self.classes: list[str] = _load(folder / "batches.meta")["label_names"]

    def _is_in(self, folder: Path) -> bool:
        return all(is_whole(folder / name, md5) for name, md5 in self.files.items())

    def _unpack(self, root: Path) -> None:
        with tarfile.open(root / self.filename) as archive:
            for name in self.files:
                packed = archive.extractfile(f"{self.base_folder}/{name}")
                assert packed, "a file"
                write_whole(root / self.base_folder / name, partial(shutil.copyfileobj, packed))


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return pickle.load(stream, encoding="latin1")  # of a right checksum, so it is what its authors wrote, with Python 2
