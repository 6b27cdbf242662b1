"""Published sets of images: their archives, downloaded whole or not at all, and what is in them."""

import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from reglab.atomic import naming
from reglab.data.images import Extent, ImageSet, Split
from reglab.data.store import cached, read, stored
from reglab.data.waiting import Alive, in_background
from reglab.errors import UserError, first_line, machine_fault

SILENCE_SECONDS = 30.0
"""How long a server or a proxy may say nothing."""

_MOST_BYTES = 2 * 10**8
"""The largest file is 182 MB: what is larger is not compared with its checksum, nor fetched."""

_CHUNK = 2**16


class Archive(NamedTuple):
    """A file as it is published: `path` is where it lies below the folder of downloads."""

    url: str
    path: str
    md5: str


@dataclass(frozen=True)
class Published:
    """A set that torchvision knows: the addresses, the checksums and the layout of its files are torchvision's.

    `dataset` is a class of `torchvision.datasets`; `archives` says of it what is fetched, `opened` has the part of it that is meant by
    whether it is the training part, unpacked if need be, and `arrays` gives that part's images, as `extent` has them, and labels.
    `folder`: into which it unpacks, where only its own files may be.
    """

    title: str
    dataset: str
    count: int
    extent: Extent
    archives: Callable[[Any], Sequence[Archive]]
    opened: Callable[[Any, Path, bool, bool], Any]
    arrays: Callable[[Any], tuple[np.ndarray, Any]]
    classes: Callable[[Any], Sequence[str]]
    folder: Callable[[Any], str] | None = None


def _cifar(title: str, dataset: str) -> Published:
    return Published(
        title,
        dataset,
        60_000,
        Extent(32, 3),
        archives=lambda known: [Archive(known.url, known.filename, known.tgz_md5)],
        opened=lambda known, root, train, download: known(root, train=train, download=download),
        arrays=lambda part: (part.data, part.targets),
        classes=lambda part: part.classes,
        folder=lambda known: known.base_folder,
    )


PUBLISHED = {
    "cifar10": _cifar("CIFAR-10", "CIFAR10"),
    "cifar100": _cifar("CIFAR-100", "CIFAR100"),
    "svhn": Published(
        "SVHN",
        "SVHN",
        99_289,
        Extent(32, 3),
        archives=lambda known: [Archive(*known.split_list[part][:3]) for part in ("train", "test")],
        opened=lambda known, root, train, download: known(root, split="train" if train else "test", download=download),
        arrays=lambda part: (part.data.transpose(0, 2, 3, 1), part.labels),
        classes=lambda part: "0123456789",
    ),
    "fashion_mnist": Published(
        "Fashion-MNIST",
        "FashionMNIST",
        70_000,
        Extent(28, 1),
        archives=lambda known: [Archive(f"{known.mirrors[0]}{name}", f"{known.__name__}/raw/{name}", md5) for name, md5 in known.resources],
        opened=lambda known, root, train, download: known(root, train=train, download=download),
        arrays=lambda part: (part.data.numpy()[..., None], part.targets),
        classes=lambda part: part.classes,
    ),
}
"""By what `data.source` calls them."""


def load(source: str, cache: Path) -> ImageSet:
    """Both parts. Raises UserError where they are neither here nor within reach."""
    known = PUBLISHED[source]
    what = f"downloading or unpacking {known.title}"
    return cached(_key(source), cache, known.count, known.extent, what, lambda alive: _unpacked(known, cache / "downloads", alive))


def _key(source: str) -> str:
    return f"{source}-v1"


def is_here(source: str, cache: Path) -> bool:
    """Whether it is in the cache, decoded or as it was downloaded, and whole. Raises UserError for a damaged archive."""
    known = PUBLISHED[source]
    if read(stored(_key(source), cache), known.count, known.extent) is not None:
        return True
    for archive in known.archives(_dataset(known)):
        path = cache / "downloads" / archive.path
        if not path.exists():
            return False
        if not _is_whole(path, archive.md5):
            raise UserError(f"{path} is damaged or not whole: remove it, or replace it by the one of MD5 {archive.md5}")
    return True


def _dataset(known: Published) -> Any:
    import torchvision  # seconds to import, and needed the first time only

    return getattr(torchvision.datasets, known.dataset)


def _unpacked(known: Published, root: Path, alive: Alive) -> ImageSet:
    dataset = _dataset(known)
    root.mkdir(parents=True, exist_ok=True)
    archives = known.archives(dataset)
    missing = [each for each in archives if not ((root / each.path).exists() and _is_whole(root / each.path, each.md5))]
    try:
        if missing and not _is_unpacked(known, dataset, root):
            for each in missing:
                (root / each.path).parent.mkdir(parents=True, exist_ok=True)
                download(each.url, root / each.path, each.md5, alive)
        train, test = (known.opened(dataset, root, is_train, True) for is_train in (True, False))
    except (OSError, HTTPException, RuntimeError) as error:  # no network, a portal in the way, a wrong checksum
        if fault := machine_fault(error):
            raise fault from None
        folder = (root / missing[0].path).parent if missing else root
        names = " and ".join(Path(each.path).name for each in missing or archives)
        damaged = " in place of the damaged one" if any((root / each.path).exists() for each in missing or archives) else ""
        raise UserError(
            f"{known.title} could not be downloaded ({first_line(error)}): connect to a network, put {names} into {folder}{damaged}, "
            "or choose data.source=digits, or data.source=folder with data.folder"
        ) from None
    parts = []
    for part in (train, test):
        images, labels = known.arrays(part)
        parts.append(Split(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64)))
    fingerprint = " ".join(each.md5 for each in archives)
    return ImageSet(known.title, tuple(known.classes(train)), parts[0], parts[1], None, fingerprint)


def _is_unpacked(known: Published, dataset: Any, root: Path) -> bool:
    if known.folder:
        folder = root / known.folder(dataset)
        if folder.exists() and not all(map(_may_be_whole, folder.iterdir())):
            raise UserError(f"{folder} is not as {known.title} unpacks: remove it")
    try:
        for is_train in (True, False):
            known.opened(dataset, root, is_train, False)
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
