"""The sweep file of a round, which a machine runs as any other, and W&B registers."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from reglab.atomic import write_whole
from reglab.report import stats
from reglab.settling.rounds import Course, Wanted
from reglab.sweep.spec import read
from reglab.tracking.store import runs_within

_FOLDER = "round_"


def text_of(number: int, runs: Sequence[Wanted], study: str) -> str:
    """A grid over the key `cell`, whose values are the runs of a round, the most telling first."""
    config = {
        "name": f"{_FOLDER}{number}",
        "description": f"Round {number} of {study}",
        "method": "grid",
        "metric": {"name": "test/accuracy", "goal": "maximize"},
        "command": ["reglab", "train"],
        "parameters": {"cell": {"values": [wanted.arm.cell(wanted.seed) for wanted in runs]}},
    }
    return f"# Round {number} of {study}: what its claims ask for, the most telling run first.\n" + yaml.safe_dump(
        config, sort_keys=False, width=10**6, allow_unicode=True
    )


def latest(folder: Path, course: Course) -> tuple[int, Path | None]:
    """The number of the last round that was begun in the folder of a study, 0 before the first; and its file, where it is one of this very
    course: other words on the command line make other arms."""
    numbers = [int(text) for path in folder.glob(f"{_FOLDER}*.yaml") if (text := path.stem.removeprefix(_FOLDER)).isdecimal()]
    if not numbers:
        return 0, None
    path = folder / f"{_FOLDER}{max(numbers)}.yaml"
    arms = {stats.arm_of(asked.config) for _, asked in read(path).cells if asked.config}
    return max(numbers), path if arms <= course.asked else None


def is_within(file: Path, folder: Path, runs: Sequence[Wanted]) -> bool:
    """Whether all that a round has left, of the file in the folder of its study, is among the runs that are asked for now."""
    wanted = {(each.arm.name, each.seed) for each in runs}
    ended = {(stats.arm(record), record.seed) for record in runs_within(folder / file.stem) if record.state.ended}
    cells = {(stats.arm_of(asked.config), asked.seed) for _, asked in read(file).cells if asked.config}
    return cells - ended <= wanted


def write(folder: Path, number: int, runs: Sequence[Wanted], study: str) -> Path:
    """Write the file of a round into the folder of its study."""
    path = folder / f"{_FOLDER}{number}.yaml"
    text = text_of(number, runs, study).encode()
    write_whole(path, lambda stream: stream.write(text))
    return path
