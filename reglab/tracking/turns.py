"""Epochs of training that arms took turns in, so that what each takes is of one machine at one time: `reglab study time` leaves them in
`turns.jsonl`, beside the runs of a study and in its report, a line for each arm of each session."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from reglab import reading
from reglab.atomic import write_whole
from reglab.config import FIELDS, flat
from reglab.errors import UserError
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Amount, Count, Name, Stored, Summary, Text

TURNS = "turns.jsonl"

MOST_ROUNDS = 1000
"""Of a session: the turns of a further one are numbered from the next thousand on."""

_MOST_BYTES = 10**8
_MOST_LINE_BYTES = 10**6


class Turns(Stored):
    """What an epoch took of one arm, round by round, in the session that began at a moment (UTC).

    `images` of the training images were trained on in a turn; `seconds` are those of all of them. `cpu_shares`: the part of a turn in
    which its threads were running, on a CPU; one that had less than its cores says little.
    """

    session: AwareDatetime
    label: Text
    identity: Name
    identity_version: int
    config: dict[str, object]
    environment: Environment
    images: Count
    seconds: Annotated[list[Amount], Field(min_length=1, max_length=MOST_ROUNDS)]
    cpu_shares: list[Amount | None]
    rounds: Count | None = Field(default=None, description="that the session was to have")

    @model_validator(mode="after")
    def _has_a_share_a_turn(self) -> Self:
        if len(self.cpu_shares) != len(self.seconds):
            raise ValueError("a turn has its seconds and its share of the CPU")
        return self

    @property
    def key(self) -> tuple[datetime, str]:
        """The session and the arm, of which there is one."""
        return self.session, self.identity

    @property
    def is_whole(self) -> bool:
        """Whether its session came to its last round."""
        return self.rounds is None or len(self.seconds) >= self.rounds


def as_runs(turns: Sequence[Turns]) -> list[RunRecord]:
    """Each turn as a run that tells what a training as long as its arm's takes, and nothing else. Turns of one round have one seed.

    Raises UserError for turns of a later version.
    """
    sessions = sorted({each.session for each in turns})
    return [run for each in turns for run in _as_runs(each, MOST_ROUNDS * sessions.index(each.session))]


def _as_runs(turns: Turns, first: int) -> Iterable[RunRecord]:
    epochs = flat(turns.config).get("train.epochs")
    epochs = epochs if isinstance(epochs, int) and epochs > 0 else FIELDS["train.epochs"].default
    fields = turns.model_dump(include={"label", "identity", "identity_version", "config", "environment"})
    for place, (seconds, share) in enumerate(zip(turns.seconds, turns.cpu_shares, strict=True), start=first):
        took = Summary(
            time_train_seconds=epochs * seconds, time_wall_seconds=epochs * seconds, time_cpu_share=share, parameters=0, epochs=epochs
        )
        yield RunRecord.stored(
            fields
            | {"run_id": f"{turns.identity}-turn-{place}", "sweep": "", "seed": place, "state": State.finished, "created": turns.session}
            | {"updated": turns.session, "summary": took.metrics()}
        )


def read(folder: Path) -> list[Turns]:
    """Those in a folder; none where it has none. Raises UserError for a damaged file."""
    path, mend = folder / TURNS, "remove it, and time the arms again"
    try:
        with reading.opened(path, _MOST_BYTES, mend) as stream:
            found = [Turns.model_validate(reading.parsed(line)) for line in reading.lines(stream, _MOST_LINE_BYTES, _MOST_BYTES)]
        as_runs(found)  # what can be none is damage, too
    except FileNotFoundError:
        return []
    except (ValueError, OSError):
        raise UserError(f"{path} is damaged: {mend}") from None
    return found


def write(folder: Path, turns: Iterable[Turns]) -> None:
    """Put them into a folder, in place of those that are there."""
    text = "".join(each.model_dump_json(exclude_none=True) + "\n" for each in turns)
    write_whole(folder / TURNS, lambda stream: stream.write(text.encode()))
