"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write `path` through `write`, into a temporary file beside it that then takes its place.

    A reader sees the old file or the new one; a crash or a full disk leaves the old one. Creates the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(path: Path) -> Iterator[Path]:
    """What processes that were killed in the middle of writing `path` left beside it."""
    return path.parent.glob(f".{path.name}.*.tmp")
