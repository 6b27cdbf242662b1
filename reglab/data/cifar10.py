"""CIFAR-10: its archive, downloaded whole or not at all, and its images."""

import stat
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from reglab.atomic import naming
from reglab.data.images import Extent, ImageSet, Part
from reglab.data.store import cached, read, stored
from reglab.data.waiting import Alive, in_background
from reglab.errors import UserError, first_line, machine_fault

SILENCE_SECONDS = 30.0
"""How long a server or a proxy may say nothing."""

_KEY = "cifar10-v1"
_IMAGES, _EXTENT = 60_000, Extent(32, 3)
_MOST_BYTES = 2 * 10**8
"""The archive is 170 MB, and each file in it 31 MB: what is larger is not compared with its checksum, nor fetched."""

_CHUNK = 2**16


def load(cache: Path) -> ImageSet:
    """Both parts. Raises UserError where they are neither here nor within reach."""
    return cached(_KEY, cache, _IMAGES, _EXTENT, "downloading or unpacking CIFAR-10", lambda alive: _unpacked(cache / "downloads", alive))


def is_here(cache: Path) -> bool:
    """Whether it is in the cache, decoded or as it was downloaded, and whole. Raises UserError for a damaged archive."""
    if read(stored(_KEY, cache), _IMAGES, _EXTENT) is not None:
        return True
    from torchvision.datasets import CIFAR10

    archive = cache / "downloads" / CIFAR10.filename
    if not archive.exists():
        return False
    if not _is_whole(archive, CIFAR10.tgz_md5):
        raise UserError(f"{archive} is damaged or not whole: remove it, or replace it by the one of MD5 {CIFAR10.tgz_md5}")
    return True


def _unpacked(root: Path, alive: Alive) -> ImageSet:
    import torchvision  # seconds to import, and needed the first time only

    dataset = torchvision.datasets.CIFAR10
    root.mkdir(parents=True, exist_ok=True)
    archive = root / dataset.filename
    try:
        if not (archive.exists() and _is_whole(archive, dataset.tgz_md5)) and not _is_unpacked(dataset, root):
            download(dataset.url, archive, dataset.tgz_md5, alive)
        train, test = dataset(root, train=True, download=True), dataset(root, train=False)
    except (OSError, HTTPException, RuntimeError) as error:  # no network, a portal in the way, a wrong checksum
        if fault := machine_fault(error):
            raise fault from None
        damaged = " in place of the damaged one" if archive.exists() else ""
        raise UserError(
            f"CIFAR-10 could not be downloaded ({first_line(error)}): connect to a network, put {dataset.filename} into {root}{damaged}, "
            "or choose data.source=digits, or data.source=folder with data.folder"
        ) from None
    parts = [Part(np.ascontiguousarray(part.data), np.asarray(part.targets, dtype=np.int64)) for part in (train, test)]
    return ImageSet("CIFAR-10", tuple(train.classes), parts[0], parts[1], None, dataset.tgz_md5)


def _is_unpacked(dataset: Any, root: Path) -> bool:
    folder = root / dataset.base_folder
    if folder.exists() and not all(map(_may_be_whole, folder.iterdir())):
        raise UserError(f"{folder} is not as CIFAR-10 unpacks: remove it")
    try:
        dataset(root, train=True)
    except RuntimeError:
        return False
    return True


def _is_whole(archive: Path, md5: str) -> bool:
    import torchvision.datasets.utils

    return _may_be_whole(archive) and torchvision.datasets.utils.check_integrity(archive, md5)


def _may_be_whole(file: Path) -> bool:
    """Whether it is a file of a size that can be right: to compare a pipe or a device with a checksum would never end."""
    try:
        about = file.stat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size <= _MOST_BYTES


def download(url: str, path: Path, md5: str, alive: Alive) -> None:
    """Fetch `url` to `path`, which is there whole or not at all.

    What has come so far lies in `<path>.part`, and a later call goes on behind it. Raises OSError or HTTPException where the server
    cannot be reached, breaks off, says nothing for `SILENCE_SECONDS`, or sends something of another checksum.
    """
    part, host = path.with_name(f"{path.name}.part"), urlsplit(url).hostname

    def line() -> str:
        here = part.stat().st_size if part.exists() else 0
        return f"downloading {path.name} from {host}: {here / 1e6:,.1f} MB are here"

    resumed = part.exists()
    in_background(lambda given_up: _fetch(url, part, given_up), alive, line)
    if resumed and not _is_whole(part, md5):  # the rest of another file
        part.unlink()
        in_background(lambda given_up: _fetch(url, part, given_up), alive, line)
    if not _is_whole(part, md5):
        part.unlink()
        raise OSError(f"what {host} sent is corrupted: its MD5 is not {md5}")
    part.replace(path)


def _fetch(url: str, part: Path, given_up: threading.Event) -> None:
    """Append to `part` what the server has beyond it, or begin again where it does not serve a part of a file."""
    here = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "reglab"} | ({"Range": f"bytes={here}-"} if here else {}))
    opener = urllib.request.build_opener()  # by the proxies of now; urlopen keeps those of its first call
    try:
        with opener.open(request, timeout=SILENCE_SECONDS) as response:
            with naming(part), part.open("ab") as stream:
                if response.status != 206:
                    stream.truncate(0)
                while (chunk := response.read1(_CHUNK)) and not given_up.is_set():
                    if stream.write(chunk) and stream.tell() > _MOST_BYTES:
                        stream.truncate(0)
                        raise OSError(f"{urlsplit(url).hostname} sends more than the file has")
            if response.length and not given_up.is_set():
                raise ConnectionError(f"the server broke off {response.length / 1e6:,.1f} MB early; the same command goes on from there")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing lies beyond it
            raise
    except (TimeoutError, urllib.error.URLError) as error:
        if not isinstance(getattr(error, "reason", error), TimeoutError):
            raise
        where = urlsplit(url)
        proxy = None if urllib.request.proxy_bypass(where.netloc) else urllib.request.getproxies().get(where.scheme)
        raise TimeoutError(f"{proxy or where.hostname} said nothing for {SILENCE_SECONDS:g} seconds") from None
