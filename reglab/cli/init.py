"""`reglab init`: what comes with reglab, as files of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from reglab.console import say, tell
from reglab.errors import UserError


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to; the current folder by default.")] = Path(),
) -> None:
    """Put the published study's sweeps, an example of a study and the files for cloud machines into a folder, to run and to edit. What
    is there already stays as it is."""
    from reglab import shipped

    files = shipped.files()
    written = sum(_put(source, folder / name) for name, source in files.items())
    before = f"; {len(files) - written} were there before" if written < len(files) else ""
    tell(f"{folder}: {written} files written in sweeps/, docs/ and cloud/{before}")


def _put(source: Path, path: Path) -> bool:
    """Whether it was not there yet, and is now."""
    from reglab.atomic import write_whole

    content = source.read_bytes()
    try:
        if not path.exists():
            write_whole(path, lambda stream: stream.write(content))
            return True
        if path.read_bytes() != content:
            say(f"{path} differs from the one that comes with reglab, and stays as it is")
        return False
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): name another folder, reglab init FOLDER") from None
