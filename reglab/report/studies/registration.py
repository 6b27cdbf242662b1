"""Pre-registration: the study file as it was before its runs began, kept beside them, and what has changed in it since.

`reglab study run` writes `study.lock` into the folder of its runs. What stands there stays: a study file that has changed is added behind
it, with its date and the runs that were there by then. A lock and the dates of runs are files of one machine: they keep an honest person
honest, and prove nothing against one who edits them.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from reglab import reading, yaml_files
from reglab.atomic import write_whole
from reglab.errors import UserError, excerpt
from reglab.report.studies.columns import written
from reglab.report.studies.design import Design
from reglab.tracking.record import RunRecord
from reglab.tracking.store import run_folders
from reglab.tracking.turns import Turns

LOCK = "study.lock"

_MOST_BYTES = 10**8
_MOST_CHANGES = 40


class Version(BaseModel):
    """A study file as it was at a moment, and the ids of the runs that were there.

    `looks`: the plan by which its runs were to be looked at, where the file says none.
    """

    model_config = ConfigDict(frozen=True)

    written: datetime
    study: str
    text: str
    runs: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()


class Lock(BaseModel):
    """The versions of a study file, the first one first."""

    model_config = ConfigDict(frozen=True)

    versions: tuple[Version, ...]

    @classmethod
    def read(cls, folder: Path) -> "Lock | None":
        """That of the runs, or the report, in a folder; None where there is none. Raises UserError for a damaged one."""
        path, mend = folder / LOCK, "move it away; without it nothing tells what was claimed before the first run"
        try:
            found = cls.model_validate(reading.parsed(reading.whole(path, _MOST_BYTES, mend)))
        except FileNotFoundError:
            return None
        except ValueError:
            raise UserError(f"{path} is damaged: {mend}") from None
        if not found.versions:
            raise UserError(f"{path} is damaged: {mend}")
        return found

    def planned(self, design: Design) -> Design:
        """The study with the plan of looks that was written down first, where its file says none."""
        looks = next((version.looks for version in self.versions if version.looks), ())
        return design if design.looks or not looks else design.model_copy(update={"looks": looks})

    def write(self, folder: Path) -> None:
        """Write it into the `folder` of the runs."""
        text = self.model_dump_json(indent=1) + "\n"
        write_whole(folder / LOCK, lambda stream: stream.write(text.encode()))


def lock_of(folder: Path, design: Design, source: str | None = None) -> Lock | None:
    """That of the runs in a folder; where it has none yet, that of the same study in the folder or report whose runs are taken (`source`):
    what was claimed before them. Raises UserError for a damaged one."""
    if lock := Lock.read(folder):
        return lock
    earlier = Lock.read(Path(source)) if source and Path(source).is_dir() else None
    return earlier if earlier and earlier.versions[0].study == design.name else None


def register(folder: Path, design: Design, looks: Sequence[int] = (), source: str | None = None) -> str | None:
    """Keep the study file beside the runs in a folder, unless it stands there as it is; what a person should know of that.

    `looks`: the plan of a study whose file says none, and whose runs are to be looked at again and again. `source`: as `lock_of` has it.
    """
    assert design.path
    text, lock = design.path.read_text(encoding="utf-8"), lock_of(folder, design, source)
    is_planned = not looks or bool((lock.planned(design) if lock else design).looks)
    if lock and lock.versions[-1].text == text and is_planned:
        if not (folder / LOCK).exists():  # it is that of elsewhere
            folder.mkdir(parents=True, exist_ok=True)
            lock.write(folder)
        return None
    there = tuple(sorted({path.name for path in run_folders(folder)}))
    version = Version(
        written=datetime.now(UTC).replace(microsecond=0), study=design.name, text=text, runs=there, looks=() if is_planned else tuple(looks)
    )
    folder.mkdir(parents=True, exist_ok=True)
    Lock(versions=(*(lock.versions if lock else ()), version)).write(folder)
    if lock is None:
        return f"{folder / LOCK} keeps the study file as it is now" + (f"; {len(there)} runs were there before" if there else "")
    if lock.versions[-1].text == text:
        return f"{folder / LOCK} keeps the plan of looks, at {', '.join(map(str, looks))} seeds an arm; {len(there)} runs were there before"
    since = f"{lock.versions[0].written:%Y-%m-%d %H:%M} UTC"
    return f"the study file has changed since {since}: {folder / LOCK} keeps both, and the report will show what has changed"


@dataclass(frozen=True)
class Registered:
    """Whether the claims stood before the first run, in a sentence, and what has changed since, a line each."""

    said: str
    changes: Sequence[str]


def registered(lock: Lock | None, design: Design, records: Iterable[RunRecord], took: Iterable[Turns] = ()) -> Registered | None:
    """What is to be told of the claims of a study; None where nothing is: of none, and of the published one without a lock. `took`: the
    turns in which its arms were timed."""
    if not design.claims:
        return None
    if lock is None:
        said = f"Nothing tells whether these claims stood before the first run: no {LOCK} lies beside the runs."
        return None if design.is_shipped else Registered(f"{said} `reglab study run` writes one.", [])
    first, began = lock.versions[0], {record.run_id: record.created for record in records}
    before = sum(run_id in first.runs or created < first.written for run_id, created in began.items())
    when = f"{first.written:%Y-%m-%d %H:%M} UTC"
    if before:
        said = f"{before} of {len(began)} runs were there before these claims were written down, on {when}: they may have been seen first."
    else:
        said = f"These claims were written down on {when}, before the first run began."
    if sessions := len({each.session for each in took if each.session < first.written}):
        said += f" {sessions} session{'s' * (sessions > 1)} of turns {'were' if sessions > 1 else 'was'} taken before that."
    planned = next((version for version in lock.versions if version.looks), first)
    if planned is not first:
        there = sum(created < planned.written for created in began.values())
        since = f"{planned.written:%Y-%m-%d %H:%M} UTC"
        said += f" The plan of looks was written down on {since}, with {there} runs there, which may have been seen first."
    assert design.path
    now = design.path.read_text(encoding="utf-8")
    if first.text == now:
        return Registered(f"{said} Nothing in the study file has changed since.", [])
    found = list(changes(_plain(first.text), _plain(now)))
    if not found:
        return Registered(f"{said} The study file has changed since in words that decide nothing, such as comments.", [])
    dates = ", ".join(
        f"{version.written:%Y-%m-%d %H:%M} UTC with {sum(began[run_id] < version.written for run_id in began)} runs there"
        for version in lock.versions[1:]
    )
    more = [f"and {len(found) - _MOST_CHANGES} more"] if len(found) > _MOST_CHANGES else []
    return Registered(
        f"{said} The study file has changed since ({dates or 'after the last call of `reglab study run`'}):",
        [*found[:_MOST_CHANGES], *more],
    )


def _plain(text: str) -> Any:
    found = yaml_files.parsed(text, Path(LOCK)).plain()
    return found if isinstance(found, dict) else {}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two study files, a line each: claims first, by their texts, then everything else by its path."""
    old, new = _by_text(before), _by_text(now)
    yield from (f"claim taken out: {excerpt(text)}" for text in old for _ in range(len(old[text]) - len(new.get(text, ()))))
    yield from (f"claim added: {excerpt(text)}" for text in new for _ in range(len(new[text]) - len(old.get(text, ()))))
    for text in old:
        for number, was, is_now in _pairs(old[text], new.get(text, [])):
            of_several = f" {number}" if len(old[text]) > 1 or len(new[text]) > 1 else ""
            yield from (f"claim{of_several} “{excerpt(text)}”: {line}" for line in _differences(was, is_now))
    rest_before, rest_now = ({key: value for key, value in study.items() if key != "claims"} for study in (before, now))
    yield from _differences(rest_before, rest_now)


_Claim = tuple[int, Mapping[str, Any]]
"""Its number in its file, and what stands there."""


def _by_text(study: Mapping[str, Any]) -> dict[str, list[_Claim]]:
    claims, found = study.get("claims"), dict[str, list[_Claim]]()
    for number, claim in enumerate(claims if isinstance(claims, list) else (), start=1):
        if isinstance(claim, dict):
            found.setdefault(str(claim.get("text")), []).append((number, claim))
    return found


def _pairs(old: Sequence[_Claim], new: Sequence[_Claim]) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """The claims of one text that have changed, each with what it is now, and its number now: those that stand elsewhere as they are have
    not, and the others go by their order."""
    there, changed = list(new), []
    for _, claim in old:
        same = next((each for each in there if not any(_differences(claim, each[1]))), None)
        if same:
            there.remove(same)
        else:
            changed.append(claim)
    yield from ((number, was, is_now) for was, (number, is_now) in zip(changed, there, strict=False))


def _differences(before: Any, now: Any) -> Iterator[str]:
    old, new = dict(_by_path(before)), dict(_by_path(now))
    for path in dict.fromkeys((*old, *new)):
        place = ".".join(map(str, path)).replace(". ", " ")
        if path not in new:
            yield f"{place} was {excerpt(old[path])}, and is gone"
        elif path not in old:
            yield f"{place} is new: {excerpt(new[path])}"
        elif old[path] != new[path]:
            was, is_now = _apart(old[path], new[path])
            yield f"{place} was {was}, is {is_now}"


def _by_path(value: Any, path: tuple[Hashable, ...] = ()) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    """Every value in some, whole, as it is written, by the keys that lead to it; of a list a number behind a space."""
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _by_path(entry, (*path, key))
    elif isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        for number, entry in enumerate(value, start=1):
            yield from _by_path(entry, (*path, f" {number}"))
    elif path:
        yield path, value if isinstance(value, str) else str(value) if isinstance(value, list | dict) else written(value)


def _apart(old: str, new: str) -> tuple[str, str]:
    """Two long texts in short, from where they begin to differ if they look alike before."""
    if excerpt(old) == excerpt(new):
        alike = next((place for place, (was, is_now) in enumerate(zip(old, new, strict=False)) if was != is_now), min(len(old), len(new)))
        old, new = (f"…{text[max(0, alike - _BEFORE) :]}" for text in (old, new))
    return excerpt(old), excerpt(new)


_BEFORE = 10
"""Characters that are shown before those that differ."""
