"""Where checkpoints are kept: on this machine, or where other machines find them (a shared folder, gs://, s3://), through fsspec."""

import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reglab import reading
from reglab.atomic import leftovers, write_whole
from reglab.errors import ReglabError, UserError, first_line, machine_fault
from reglab.extras import how
from reglab.settings import settings

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_MOST_BYTES = 10**11

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"

_BESIDE = ("taken-*", "before*", "damaged")
"""Ends of names of what belongs to a file."""

_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}
"""The extra of this package that brings the file system of an address."""


class File:
    """One file at an address: a path, or `gs://bucket/…`, `s3://bucket/…` or whatever else fsspec reads."""

    def __init__(self, address: str | Path):
        self.address = str(address) if "://" in str(address) else str(Path(address).expanduser())

    def __str__(self) -> str:
        return self.address

    @property
    def _path(self) -> Path | None:
        """Where it is on this machine."""
        return None if "://" in self.address else Path(self.address)

    def _remote(self, address: str | None = None) -> "tuple[AbstractFileSystem, str]":
        import fsspec

        try:
            found: tuple[AbstractFileSystem, str] = fsspec.core.url_to_fs(address or self.address)
        except ImportError:
            scheme = self.address.partition("://")[0]
            extra = how(_EXTRAS[scheme]) if scheme in _EXTRAS else "install its fsspec package"
            raise UserError(f"{self.address}: this machine lacks the library for {scheme}:// ({extra})") from None
        except ValueError as error:  # a scheme that nobody knows
            raise UserError(f"{self.address}: {error}; give a folder, gs://bucket/… or s3://bucket/…") from None
        return found

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Each store has kinds of errors of its own: all but those that say what is there become a ReglabError."""
        try:
            yield
        except (ReglabError, FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            if self._path:
                fault = machine_fault(error)
                raise fault or UserError(f"{self.address} cannot be read ({first_line(error)}): mend or remove it") from None
            raise ReglabError(f"{self.address} cannot be read ({error})") from None

    def read(self) -> bytes | None:
        """Its bytes, or None where it is not there. Raises ReglabError where its store cannot be asked."""
        try:
            with self._asking():
                if self._path:
                    return reading.whole(self._path, _MOST_BYTES, "remove it")
                fs, path = self._remote()
                content: bytes = fs.cat_file(path)
                return content
        except FileNotFoundError:
            return None

    def write(self, write: Callable[[BinaryIO], object], keep: bool = False) -> None:
        """Replace it, whole or not at all, by what `write` puts into the stream. `keep`: on this machine, what it was stays as `before`."""
        if self._path:
            write_whole(self._path, write, Path(f"{self._path}.before") if keep else None)
            return
        stream = io.BytesIO()
        write(stream)
        fs, path = self._remote()
        fs.pipe_file(path, stream.getvalue())  # an object is there when its upload is complete

    @property
    def before(self) -> "File | None":
        """Where `write` keeps what it replaces; none in a store, which looks after its bytes itself."""
        return File(f"{self.address}.before") if self._path else None

    def set_aside(self) -> None:
        """Rename it on this machine, so that nothing takes it for whole; `remove` removes that, too."""
        if self._path:
            self._path.replace(f"{self._path}.damaged")

    def copy(self, to: "File") -> bool:
        """Put its bytes at `to`, whole or not at all; false where it is not there. Raises ReglabError where its store cannot be asked."""
        if (content := self.read()) is None:
            return False
        to.write(lambda stream: stream.write(content))
        return True

    def remove(self) -> None:
        """Remove it, with the claims on it, the one before, a damaged and half-written ones; no error where it is not there."""
        if self._path:
            beside = [found for kind in _BESIDE for found in self._path.parent.glob(f"{self._path.name}.{kind}")]
            for found in (self._path, *beside, *leftovers(self._path)):
                found.unlink(missing_ok=True)
            return
        fs, path = self._remote()
        for name in [path, *fs.glob(f"{path}.taken-*")]:
            if fs.exists(name):
                fs.rm_file(name)

    def modified(self) -> datetime | None:
        """When it was last written; None where it is not there. Raises ReglabError where its store cannot be asked."""
        try:
            with self._asking():
                if self._path:
                    return datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
                fs, path = self._remote()
                fs.invalidate_cache()
                when: datetime = fs.modified(path)
                return when
        except FileNotFoundError:
            return None

    def claim(self) -> bool:
        """Take it, as it is now, for this process: true for the first that asks, on whatever machine; false for all others.

        What is written anew can be taken anew. False, too, where it is not there. Raises ReglabError where its store cannot be asked.
        """
        if (modified := self.modified()) is None:
            return False
        address = f"{self.address}.taken-{modified:%Y%m%dT%H%M%S.%f}"
        try:
            with self._asking():
                if self._path:
                    os.close(os.open(address, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                else:
                    fs, path = self._remote(address)
                    fs.pipe_file(path, b"", mode="create")
        except FileExistsError:
            return False
        return True


def checkpoint(folder: Path) -> File:
    """Where the run in `folder` (`runs/<sweep>/<run id>`) leaves its checkpoint: there, or under the same names in REGLAB_CHECKPOINTS."""
    return _kept(folder / CHECKPOINT, f"{folder.parent.name}/{folder.name}/{CHECKPOINT}")


def remove_left_over(folder: Path) -> None:
    """Remove the checkpoint in the folder of a run whose record has its end: it was killed before it could, while W&B heard of that, say.

    One in another store stays: a machine that has no such record may go on from it. One that cannot be removed costs room, and no run.
    """
    own = folder / CHECKPOINT
    with suppress(OSError):
        if own.exists() or own.with_name(f"{own.name}.before").exists():
            File(own).remove()


def weights(folder: Path) -> File:
    """Where the run in `folder` keeps its weights, if it does: beside its record, or, where machines share checkpoints, beside those."""
    return _kept(folder / WEIGHTS, f"{folder.parent.name}/{folder.name}/{WEIGHTS}")


def probe(sweep: Path) -> File:
    """A file to write, and to remove again, where the runs of the sweep's folder leave checkpoints: its name is this process's own."""
    name = f".probe-{socket.gethostname()}-{os.getpid()}"
    return _kept(sweep / name, f"{sweep.name}/{name}")


def _kept(here: Path, there: str) -> File:
    shared = settings().checkpoints
    return File(f"{shared.rstrip('/')}/{there}" if shared else here)
