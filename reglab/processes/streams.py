"""Standard error that outlives its reader: what a command says on the way is never worth the work that it does."""

import io
import os
import sys
from pathlib import Path


class _Unbreakable(io.TextIOWrapper):
    """Text that goes nowhere once it cannot be written: the terminal is closed, Ctrl-C ended the pipe's reader, the disk is full."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """What is still in the buffer must go somewhere: Python writes it at the exit, and changes the exit code where it cannot."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()


def outlive_their_reader() -> None:
    """Standard error of this process is unbreakable from here on; standard output shows a `?` for what its encoding lacks."""
    if sys.stderr is None:  # it was closed from the start
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    else:
        sys.stderr = _Unbreakable(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
