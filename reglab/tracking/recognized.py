"""The note on runs that began under an earlier version of identities, which is said once on a machine."""

from collections.abc import Iterable
from contextlib import suppress

from reglab.console import say

_RECOGNIZED = ".recognized"
"""The file below REGLAB_RUNS with the runs of which that was said."""


def say_recognized(run_ids: Iterable[str]) -> None:
    """A note, the first time that these runs, which began under an earlier version of identities, are met on this machine."""
    from reglab.settings import settings

    if not (met := frozenset(run_ids)):
        return
    told, known = settings().runs / _RECOGNIZED, frozenset[str]()
    with suppress(OSError):  # then it is said again
        known = frozenset(told.read_text(encoding="utf-8", errors="replace").split())
    if new := sorted(met - known):
        say(f"note: runs of an earlier version of reglab, recognized by their configurations: {len(new)}; they keep their names")
        with suppress(OSError):  # then it is said again
            told.parent.mkdir(parents=True, exist_ok=True)
            with told.open("a", encoding="utf-8") as stream:
                stream.write("".join(f"{name}\n" for name in new))
