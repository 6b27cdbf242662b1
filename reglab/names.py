"""What a folder of runs may be called. Names come from the command line, from records, and from W&B: none of them is a path."""

import os

from reglab.errors import shown

LONGEST = 200
"""Bytes of a name: file systems take 255, and some of ours get an ending."""


def fault(name: str) -> str | None:
    """Why a folder cannot be called so, in words that follow the name and a colon; None where it can."""
    if shown(name) != name:
        return "it holds what is not printed, or is no UTF-8, so no record can hold it"
    if not name.strip() or name in (".", "..") or "/" in name:
        return "it is a path, or nothing, not the name of a folder"
    if len(os.fsencode(name)) > LONGEST:
        return f"it is longer than {LONGEST} bytes"
    return None
