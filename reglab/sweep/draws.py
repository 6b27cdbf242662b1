"""The cells of a sweep here: each a run that its search has drawn, and the file that keeps what was drawn."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reglab import reading
from reglab.atomic import write_whole
from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.sweep.spec import SweepSpec
from reglab.tracking.record import RunRecord, State

DRAWS = "sweep.json"
_MEND = "remove it; runs that have finished stay"
_MOST_BYTES = 16 * 10**6


@dataclass(eq=False)
class DrawnCell:
    """One run that the search asked for, and what it came to so far."""

    run_id: str
    values: dict[str, Any]
    label: str
    epochs: int
    seed: int
    config: RunConfig | None = None
    identity: str = ""
    """As it was when the cell was named: code of the user's may be another one now."""
    record: RunRecord | None = None
    lost: bool = False
    """Whether it was cut off and its checkpoint is not there: it starts anew."""

    @classmethod
    def of(cls, spec: SweepSpec, values: dict[str, Any], number: int) -> "DrawnCell":
        """A cell of valid values is named after what it does; one that cannot be built, after its place in the sweep."""
        try:
            asked = spec.asked(values)
        except UserError:
            return cls(f"unbuildable-{number}", values, "cannot be built", 0, 0)
        epochs = asked.config.train.epochs if asked.config else 0  # another program's are its own affair
        return cls(asked.run_id, values, asked.label, epochs, asked.seed, asked.config, asked.identity)

    @property
    def state(self) -> State:
        """How its run stands; `pending` where none has begun."""
        return self.record.state if self.record else State.pending

    @property
    def epochs_done(self) -> int:
        """How many epochs its run has to go on from."""
        return self.record.steps_done if self.record and not self.lost else 0

    @property
    def has_begun(self) -> bool:
        """Whether it goes on from where it was cut off."""
        return self.record is not None and not self.state.ended and not self.lost


class Drawn(NamedTuple):
    """What a search has drawn, and whether it found out by itself that there is no more, whatever its `run_cap`."""

    values: list[dict[str, Any]]
    is_over: bool = False


def drawn(root: Path, spec: SweepSpec) -> Drawn:
    """What this sweep has drawn as its folder tells, which is `root` or in it; nothing where none does."""
    for path in (root / DRAWS, *sorted(root.glob(f"*/{DRAWS}"))):
        with suppress(OSError, UserError):  # one that is damaged is an error where the sweep is run
            asked, draws = _read(path)
            if asked == spec.fingerprint(whatever_seeds=True):
                return draws
    return Drawn([])


def _read(path: Path) -> tuple[str, Drawn]:
    """What the sweep of a folder asks for, and what it has drawn. Raises UserError for a damaged one, FileNotFoundError for none."""
    try:
        stored = reading.parsed(reading.whole(path, _MOST_BYTES, _MEND))
        asked, draws = stored["spec"], stored["draws"]
        if not isinstance(asked, str) or not isinstance(draws, list) or not all(isinstance(values, dict) for values in draws):
            raise ValueError("what a sweep asks for is a text, and each draw a mapping")
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {_MEND}") from None
    return asked, Drawn(draws, stored.get("over") is True)


def read_draws(folder: Path, spec: SweepSpec) -> list[dict[str, Any]] | None:
    """What this sweep has drawn in its folder; None where that was not kept. Raises UserError where the folder holds another sweep."""
    try:
        asked, drawn = _read(folder / DRAWS)
    except FileNotFoundError:
        return None
    if asked != spec.fingerprint(whatever_seeds=True):
        raise UserError(f"{folder} holds another sweep than this one: give a --name of its own, or remove the folder")
    return drawn.values


def write_draws(folder: Path, spec: SweepSpec, drawn: Drawn) -> None:
    """Keep what this sweep has drawn, in order."""
    stored = {"spec": spec.fingerprint(whatever_seeds=True), "draws": drawn.values}
    text = json.dumps(stored | ({"over": True} if drawn.is_over else {}), indent=1)
    write_whole(folder / DRAWS, lambda stream: stream.write(text.encode()))
