"""What was asked before: a file of one line an answer, from which the level of each question and of each of its looks follows.

A family of questions has one probability of a wrong verdict, which its questions share in the order in which they were first asked (1/2,
1/6, 1/12, …), and each spends its share over the looks at more and more seeds. Runs that were seen and are gone, or say otherwise now, make
a question another one: an answer cannot be asked for with ever other runs until it is the one that is wanted.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from reglab import reading
from reglab.errors import MachineError, UserError, excerpt
from reglab.statistics.families import share_of

FAMILY = "all"

_MOST_BYTES = 10**9
_MOST_LINE = 10**7
_PATIENCE = 60.0
"""Seconds that another process may take for its answer."""


class Answer(BaseModel):
    """One line. `question`: its number in the family; `asks` is what it asks, however it is worded; `at`: the level of this look, None
    where it was none; `runs`: what was compared, a short hash of each run with its result.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    family: str = Field(max_length=255)
    level: float = Field(gt=0, lt=1)
    question: int = Field(ge=1)
    asks: tuple[str | float, ...]
    text: str
    most_seeds: int = Field(ge=2)
    asked: datetime = Field(default_factory=lambda: datetime.now(UTC))
    seeds: int = Field(ge=0)
    at: float | None = None
    verdict: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class QuestionStanding:
    """A question among all. `looks` are those that were taken, `alpha` what it may err in all; `before`: how often it was asked."""

    number: int
    alpha: float
    most_seeds: int
    before: int
    looks: Sequence[Answer]
    is_anew: bool  # asked before of runs that are gone, or say otherwise now


class QuestionLedger:
    """The answers in a file, while no other process answers from it."""

    def __init__(self, path: Path, answers: Sequence[Answer]):
        self.path, self.answers = path, answers

    def standing(
        self, family: str, level: float, asks: tuple[str | float, ...], runs: Sequence[str], most_seeds: int | None
    ) -> QuestionStanding:
        """Raises UserError for a level that is not the family's, and for a plan that is not the question's."""
        there = [each for each in self.answers if each.family == family]
        if there and there[0].level != level:
            raise UserError(
                f"--level {level:g}: {self.path} keeps the questions of {family} at {there[0].level:g} in all: ask at that, or in another "
                "--family"
            )
        same = [each for each in there if each.asks == asks]
        seen = frozenset(runs)
        each_of = [[each for each in same if each.question == number] for number in sorted({each.question for each in same}, reverse=True)]
        mine = next((answers for answers in each_of if all(seen.issuperset(each.runs) for each in answers)), [])
        if mine:
            if most_seeds not in (None, mine[0].most_seeds):
                raise UserError(
                    f"--most-seeds {most_seeds}: this question was asked with a plan of {mine[0].most_seeds} seeds, and keeps it"
                )
            number, most, is_anew = mine[0].question, mine[0].most_seeds, False
        else:
            number, most, is_anew = 1 + max((each.question for each in there), default=0), most_seeds or 0, bool(same)
        looks = [each for each in mine if each.at is not None]
        first_of_each = {each.seeds: each for each in reversed(looks)}
        return QuestionStanding(
            number, level * share_of(number), most, len(same), sorted(first_of_each.values(), key=lambda each: each.seeds), is_anew
        )

    def keep(self, answer: Answer) -> None:
        """Raises UserError where it cannot be written: an answer that is not kept would be one too many."""
        try:
            with self.path.open("ab") as stream:
                stream.write(answer.model_dump_json().encode() + b"\n")
        except OSError as error:
            raise _unwritable(self.path, error) from None


@contextmanager
def opened(path: Path) -> Iterator[QuestionLedger]:
    """The ledger in a file, made where there is none, and held against other processes.

    Raises UserError for one that cannot be read or written, and MachineError where another process holds it for too long.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise MachineError(f"{path}: another process has been answering from it for {_PATIENCE:g} s: ask again") from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        try:
            path.open("ab").close()
        except OSError as error:
            raise _unwritable(path, error) from None
        yield QuestionLedger(path, list(_answers(path)))
    finally:
        lock.release()


def _answers(path: Path) -> Iterator[Answer]:
    with reading.opened(path, _MOST_BYTES, "move it away, or name another with --ledger") as stream:
        for number, line in enumerate(reading.lines(stream, _MOST_LINE, _MOST_BYTES), start=1):
            try:
                yield Answer.model_validate(json.loads(line))
            except (ValueError, RecursionError):
                raise UserError(
                    f"{path}:{number}: no answer of `reglab judge`: remove that line if a full disk cut it off, or name another ledger"
                ) from None


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: the ledger cannot be written ({excerpt(error.strerror or type(error).__name__)}): an answer that it does not keep could "
        "be asked for until it is the one that is wanted; name a file with --ledger"
    )
