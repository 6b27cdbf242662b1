"""Where Unix sockets are: their paths are short, and the folder for temporary files need not be."""

import os
import tempfile
from collections.abc import Sequence

from reglab.errors import UserError

_PATH_BYTES = 103
"""Of a socket: 107 on Linux, 103 on macOS."""

LONGEST = _PATH_BYTES - len("/pymp-12345678/listener-12345678")
"""Bytes of a folder in which a socket fits, as multiprocessing names its own, which is the longest."""

OTHERS = ("/tmp", "/var/tmp")
"""Where to put them if the folder for temporary files has a longer path."""


def folder(others: Sequence[str] = OTHERS) -> str:
    """A folder for sockets: the one for temporary files where its path is short enough. Raises UserError where none is fit."""
    usual = tempfile.gettempdir()
    for path in (usual, *others):
        if len(os.fsencode(path)) <= LONGEST and os.access(path, os.W_OK | os.X_OK):
            return path
    raise UserError(
        f"TMPDIR = {usual}: too long a path for a Unix socket, and {' and '.join(others)} cannot be written: set TMPDIR to a "
        f"folder of at most {LONGEST} bytes"
    )
