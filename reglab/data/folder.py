"""A folder of images, `train/<class>/*` and `test/<class>/*`: what it holds, its fingerprint, and its pixels.

Nothing that is there may go missing unsaid: what is not an image of a class is refused, all of it in one line.
"""

import hashlib
import os
import re
import stat
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from reglab import reading
from reglab.atomic import write_whole
from reglab.config import DataConfig
from reglab.data.decode import DECODING, Decoded, UnfitError, decode
from reglab.data.images import Extent, ImageSet, Split
from reglab.data.store import cached
from reglab.data.waiting import Alive
from reglab.errors import ReglabError, UserError, shown

PARTS = ("train", "test")

COLOURS = 3
"""Channels: grey images are drawn in colour, as they may stand beside others."""

_HASH = re.compile(rb"[0-9a-f]{64}")

_SHOWN = 10
"""Names of one fault and folder in a message; the rest is counted."""

_FAULTS = 20
"""Unfit files after which no more are looked for."""

_RACY_NANOSECONDS = 2 * 10**9
"""No file system's clock is coarser. A file that was changed so shortly before it was read may change again within one tick."""

_TOP_BIT = 2**15

MOST_BYTES = 64 * 10**6
"""Of an image's file: it is read whole, and as a photograph of the largest size that is scaled it is less."""


@dataclass(frozen=True)
class ImageFile:
    """`name`: below the folder, with slashes. `stat`: as it was when the folder was listed."""

    path: str
    name: str
    label: int
    stat: os.stat_result


@dataclass(frozen=True)
class Listing:
    """A folder that is laid out as it should be. `listed`: when, in nanoseconds of the clock that files are dated with."""

    folder: Path
    classes: tuple[str, ...]
    parts: dict[str, list[ImageFile]]
    listed: int

    @property
    def files(self) -> Iterator[ImageFile]:
        """In the order of the fingerprint: part by part, class by class."""
        for files in self.parts.values():
            yield from files


def load(config: DataConfig, cache: Path) -> ImageSet:
    """All images of the folder, from the cache where they are there. Raises UserError for what is not right with them."""
    listing = listed(config.path)
    content = fingerprint(listing, cache)
    drawn = config.resize, config.background, config.black, config.white
    key = hashlib.sha256(f"{content} {drawn}".encode()).hexdigest()[:32]
    extent = Extent(config.side, COLOURS)
    images, stem = sum(map(len, listing.parts.values())), f"folder-{key}-{config.side}-v{DECODING}"
    found = cached(stem, cache, images, extent, "decoding these images", lambda alive: _decoded(listing, content, config, alive))
    return replace(found, name=config.own_name)


# What is there


class Faults:
    """What would be left out, by kind and folder."""

    def __init__(self) -> None:
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, name: str) -> None:
        """Note that `name` would be left out, as one of this kind."""
        self._names[kind].append(shown(name))

    def __bool__(self) -> bool:
        return bool(self._names)

    def __str__(self) -> str:
        return "; ".join(f"{kind} {_some(names)}" for kind, names in self._names.items())


def _some(names: Sequence[str]) -> str:
    """All names, or the first of each folder with the number of the others."""
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[name.rpartition("/")[0]].append(name)
    groups = list(by_folder.values())
    parts = [", ".join(group[:_SHOWN]) + (f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else "") for group in groups[:_SHOWN]]
    rest = sum(map(len, groups[_SHOWN:]))
    return ", ".join(parts) + (f" and {rest} more in other folders" if rest else "")


def listed(folder: Path) -> Listing:
    """What the folder holds; hidden files and folders are none of it.

    Raises UserError where that is not the same two or more classes in both parts, with an image in each, and nothing else.
    """
    now, faults = time.time_ns(), Faults()
    found: dict[str, dict[str, list[ImageFile]]] = {}
    for part in PARTS:
        if not _is_folder(folder / part):
            text = f"there is no folder {shown(folder / part)}; images belong in train/<class>/ and test/<class>/"
            raise UserError(f"data.folder = {shown(folder)}: {text}")
        found[part] = _classes(folder, part, faults)
    names = sorted(found["train"].keys() | found["test"].keys(), key=os.fsencode)
    for name in names:
        missing = [part for part in PARTS if name not in found[part]]
        empty = [part for part in PARTS if name in found[part] and not found[part][name]]
        for part in missing:
            faults.add(f"{part}/ lacks class", name)
        for part in empty:
            faults.add(f"{part}/ has no image of class", name)
    if faults:
        raise UserError(
            f"data.folder = {shown(folder)}: {faults}: both parts need the same class folders, and those image files and nothing else; "
            "move or remove what is not"
        )
    if len(names) < 2:
        there = f"only one class, {shown(names[0])}" if names else f"no <class>/ folder with images in {shown(folder / 'train')}"
        raise UserError(f"data.folder = {shown(folder)}: {there}: give at least two, each as train/<class>/ and test/<class>/")
    labels = {name: label for label, name in enumerate(names)}
    parts = {part: [replace(file, label=labels[name]) for name in names for file in found[part][name]] for part in PARTS}
    return Listing(folder, tuple(map(shown, names)), parts, now)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise UserError(f"data.folder: {shown(path)} cannot be read ({error.strerror})") from None


def _classes(folder: Path, part: str, faults: Faults) -> dict[str, list[ImageFile]]:
    classes: dict[str, list[ImageFile]] = {}
    for entry, status in _entries(folder / part, part, faults):
        name = f"{part}/{entry.name}"
        if stat.S_ISDIR(status.st_mode):
            if entry.name == "__MACOSX":
                faults.add("left by macOS's archiver:", name)
            else:
                classes[entry.name] = list(_images(folder / name, name, faults))
        elif stat.S_ISREG(status.st_mode) and _is_image(entry.path):
            faults.add("image in no class folder:", name)
    return classes


def _images(folder: Path, name: str, faults: Faults) -> Iterator[ImageFile]:
    for entry, status in _entries(folder, name, faults):
        below = f"{name}/{entry.name}"
        if stat.S_ISREG(status.st_mode):
            yield ImageFile(entry.path, below, -1, status)
        else:
            faults.add("folder in a class folder:" if stat.S_ISDIR(status.st_mode) else "no file:", below)


def _entries(folder: Path, name: str, faults: Faults) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """What is in a folder and not hidden, sorted by the bytes of its names, with links followed; links to nothing are faults."""
    try:
        with os.scandir(folder) as entries:
            there = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        faults.add(f"cannot be read ({error.strerror}):", name)
        return
    for entry in there:
        try:
            yield entry, entry.stat()
        except OSError as error:
            kind = "link to nothing:" if entry.is_symlink() else f"cannot be read ({error.strerror}):"
            faults.add(kind, f"{name}/{entry.name}")


def _is_image(path: str) -> bool:
    try:
        with Image.open(path):
            return True
    except Exception:
        return False


# Its fingerprint


def fingerprint(listing: Listing, cache: Path) -> str:
    """SHA-256 of the classes and of every file's name and bytes.

    Reading many files takes seconds, listing them a fraction. So what was read before is not read again where every file has the
    size, inode and times of then: among them the time of the last change of any kind, which nobody can set. Of files that were
    changed just before they were listed that says nothing, and they are read every time.
    """
    known = cache / "images" / f"listing-{_states(listing)}"
    with suppress(OSError, ReglabError):  # there is none, or another user's, or something else of its name
        if _HASH.fullmatch(stored := reading.whole(known, 64, "remove it")):
            return stored.decode()
    content = Content(listing)
    for file in listing.files:
        content.add(file, _bytes(file))
    if max(file.stat.st_ctime_ns for file in listing.files) + _RACY_NANOSECONDS < listing.listed:
        with suppress(OSError):  # they are read again the next time
            write_whole(known, lambda stream: stream.write(content.hexdigest().encode()))
    return content.hexdigest()


class Content:
    """The fingerprint of a folder's content, file by file in the order of its listing."""

    def __init__(self, listing: Listing):
        self._hash = hashlib.sha256("\0".join(listing.classes).encode())

    def add(self, file: ImageFile, blob: bytes) -> None:
        """Take in the next file, by its name and its bytes."""
        self._hash.update(os.fsencode(file.name) + b"\0" + hashlib.sha256(blob).digest())

    def hexdigest(self) -> str:
        """Return the fingerprint of what was taken in: SHA-256 in hexadecimal."""
        return self._hash.hexdigest()


def _states(listing: Listing) -> str:
    """Hash of all that a file system tells of the files without reading them."""
    states = hashlib.sha256(os.fsencode(os.path.realpath(listing.folder)) + b"\0" + "\0".join(listing.classes).encode())
    for file in listing.files:
        status = file.stat
        numbers = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        states.update(os.fsencode(file.name) + f"\0{numbers}\0".encode())
    return states.hexdigest()[:32]


def _bytes(file: ImageFile) -> bytes:
    try:
        return reading.whole(Path(file.path), MOST_BYTES, "mend or remove it")
    except FileNotFoundError:
        raise UserError(f"{shown(file.path)} cannot be read, for it is gone: run this again when all files are there") from None


# Its pixels


def _decoded(listing: Listing, content: str, config: DataConfig, alive: Alive) -> ImageSet:
    """Raises UserError, naming the files, for images that cannot be drawn, or whose numbers could mean two things."""
    again, seen, parts = Content(listing), _Seen(), []
    for part, files in listing.parts.items():
        images = np.empty((len(files), config.side, config.side, COLOURS), dtype=np.uint8)
        bar = track(files, f"decoding {part}", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        for row, file in enumerate(bar):
            alive()
            blob = _bytes(file)
            again.add(file, blob)
            try:
                decoded = decode(blob, config)
            except UnfitError as unfit:
                seen.unfit(file, unfit)
                continue
            images[row] = decoded.pixels
            seen.add(file, decoded)
        parts.append(Split(images, np.asarray([file.label for file in files], dtype=np.int64)))
    seen.check(listing, config)
    if again.hexdigest() != content:
        raise UserError(
            f"data.folder = {shown(listing.folder)}: files changed while they were read; run this again when they are all there"
        )
    if config.side != DataConfig().side:
        seen.treatments.add(f"side {config.side}")
    return ImageSet(listing.folder.name, listing.classes, parts[0], parts[1], None, _with_treatments(content, seen.treatments))


def _with_treatments(content: str, treatments: Iterable[str]) -> str:
    """The fingerprint of images as they were drawn: that of the content where nothing had to be done to them."""
    done = sorted(treatments)
    return hashlib.sha256(" ".join([content, f"v{DECODING}", *done]).encode()).hexdigest() if done else content


class _Seen:
    """What has come of the images so far, for what only all of them together tell."""

    def __init__(self) -> None:
        self.treatments: set[str] = set()
        self._unfit: defaultdict[str, list[str]] = defaultdict(list)
        self._first: dict[int, bytes] = {}  # picture of each class, as long as all are that one
        self._varied: set[int] = set()
        self._ranges: dict[bool, tuple[float, float, str]] = {}  # by whether 65535 is white there: least, largest, a file

    def unfit(self, file: ImageFile, unfit: UnfitError) -> None:
        self._unfit[unfit.advice].append(f"{shown(file.path)} {unfit.fault}")
        if sum(map(len, self._unfit.values())) == _FAULTS:
            self._refuse_unfit(" (and perhaps more)")

    def add(self, file: ImageFile, decoded: Decoded) -> None:
        self.treatments |= decoded.treatments
        if (depth := decoded.depth) is not None:
            low, high, path = self._ranges.get(depth.sixteen_bits, (depth.low, depth.high, file.path))
            self._ranges[depth.sixteen_bits] = min(low, depth.low), max(high, depth.high), path
        if file.label not in self._varied:
            picture = decoded.pixels.tobytes()
            if self._first.setdefault(file.label, picture) != picture:
                self._varied.add(file.label)
                del self._first[file.label]

    def check(self, listing: Listing, config: DataConfig) -> None:
        if self._unfit:
            self._refuse_unfit("")
        self._check_ranges(listing.folder, config)
        alike: defaultdict[bytes, list[str]] = defaultdict(list)
        for label, picture in self._first.items():
            alike[picture].append(listing.classes[label])
        for names in alike.values():
            if len(names) > 1:
                fault = f"all images of the classes {' and '.join(names)} are one and the same picture"
                if any(treatment.startswith("background") for treatment in self.treatments):
                    fault += f" over data.background={config.background}: choose another that what is drawn stands out from"
                raise UserError(f"data.folder = {shown(listing.folder)}: {fault}")

    def _refuse_unfit(self, more: str) -> None:
        raise UserError("; ".join(f"{', '.join(faults)}{more}: {advice}" for advice, faults in self._unfit.items()))

    def _check_ranges(self, folder: Path, config: DataConfig) -> None:
        """Numbers whose white nothing tells are refused: they could be dark images, or bright ones of fewer bits."""
        if config.white is not None:
            if not self._ranges:
                raise UserError(f"data.white = {config.white:g}: no image of {shown(folder)} is deeper than 8 bits; leave it out")
            return
        for sixteen_bits, (low, high, path) in self._ranges.items():
            if sixteen_bits and high >= _TOP_BIT:
                continue
            if sixteen_bits:
                near = 2 ** max(int(high).bit_length(), 1) - 1
                choice = f"data.white={near} if that is bright, data.white={2**16 - 1} if they are dark images of 16 bits"
            else:
                choice = "data.white=NUMBER, and data.black=NUMBER where that is not 0"
            raise UserError(
                f"data.folder = {shown(folder)}: its images deeper than 8 bits hold {low:g} to {high:g} (such as {shown(path)}), and "
                f"nothing tells which number is white: state it, {choice}"
            )
