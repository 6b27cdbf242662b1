"""What a report was made of, and whether it still holds: its runs, its sweep files, its own files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import reglab
from reglab import reading
from reglab.atomic import write_whole
from reglab.errors import UserError
from reglab.report.programs.roles import Roles
from reglab.report.studies import study_file
from reglab.report.studies.design import Design
from reglab.tracking.program_run import ProgramRun
from reglab.tracking.record import RunRecord

STUDY = "study.yaml"
"""The study file by which the runs were judged, as it was."""

MANIFEST = "manifest.json"

_MOST_BYTES = 10**7
"""Of a manifest: a run takes two hundred."""

_MOST_FILE_BYTES = 10**9
"""Of any other file of a report."""

_SHOWN = 3
"""Names in a complaint; the rest is counted."""


class ReportedRun(BaseModel):
    """A run as the report has it."""

    model_config = ConfigDict(frozen=True)

    identity: str
    seed: int | None = None
    sweep: str = ""
    state: str
    updated: datetime | None = None
    commit: str | None = None


@dataclass(frozen=True)
class JudgedBy:
    """How runs are reported: by which study, by its name or its file, and how many seeds its sweeps plan; of none, against which arm; of
    another program, by which keys."""

    study: str | None = None
    baseline: str | None = None
    roles: Roles | None = None
    planned: Mapping[str, int] = field(default_factory=dict)


AnyRun = RunRecord | ProgramRun


class Manifest(BaseModel):
    """Stands beside the page. `sweeps` and `files` map names to SHA-256. `study` is the name or the file of the
    study by which the runs are judged, `baseline` the arm with which those of no study are compared, `roles` what is what in
    those of another program. `planned`: how many seeds each sweep of the study gives an arm, by which claims are decided."""

    model_config = ConfigDict(frozen=True)

    built: datetime
    reglab: str
    source: str
    study: str | None = None
    baseline: str | None = None
    roles: Roles | None = None
    planned: dict[str, int] = {}
    sweeps: dict[str, str]
    runs: dict[str, ReportedRun]
    files: dict[str, str]

    @classmethod
    def of(cls, records: Sequence[AnyRun], source: str, judged: JudgedBy, sweeps: Mapping[str, str], folder: Path) -> "Manifest":
        """Of the report in `folder`, which is whole but for its manifest."""
        return cls(
            built=datetime.now(UTC).replace(microsecond=0),
            reglab=reglab.__version__,
            source=source,
            study=judged.study,
            baseline=judged.baseline,
            roles=judged.roles,
            planned=dict(sorted(judged.planned.items())),
            sweeps=dict(sorted(sweeps.items())),
            runs={
                name: _reported(record)
                for name, record in sorted(((_name(record), record) for record in records), key=lambda pair: pair[0])
            },
            files={path.name: sha256(path) for path in sorted(folder.iterdir())},
        )

    def design(self, folder: Path) -> Design | None:
        """The study of the report in `folder` as it is now; where its file is out of reach, as it was. None of one that is of no study."""
        if self.study is None:
            return None
        there = Path(self.study)
        if not there.suffix or there.exists():
            return study_file.read(self.study)
        return study_file.read(folder / STUDY, with_sweeps=False).model_copy(update={"planned": self.planned})

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Raises UserError where there is none."""
        path, mend = folder / MANIFEST, "build the report again"
        try:
            return cls.model_validate(reading.parsed(reading.whole(path, _MOST_BYTES, mend)))
        except FileNotFoundError:
            raise UserError(f"{folder} is no report: it has no {MANIFEST}; `reglab report build` makes one") from None
        except ValueError as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}): {mend}") from None

    def write(self, folder: Path) -> None:
        """Write it into the report's `folder`."""
        text = self.model_dump_json(indent=1) + "\n"
        write_whole(folder / MANIFEST, lambda stream: stream.write(text.encode()))

    def has(self, path: Path) -> bool:
        """Whether it is a file of this report, as that wrote it."""
        return path.is_file() and not path.is_symlink() and self.files.get(path.name) == sha256(path)

    def altered(self, folder: Path) -> list[str]:
        """What is no longer as it was written, a line each."""
        there = {path.name: sha256(path) for path in folder.iterdir() if path.is_file() and path.name != MANIFEST}
        found = [(name, "is gone") for name in self.files if name not in there]
        found += [(name, "was changed after it was built") for name, digest in self.files.items() if there.get(name, digest) != digest]
        found += [(name, "is not part of the report") for name in there if name not in self.files]
        return [f"{name} {what}" for name, what in found]

    def outdated(self, sweeps: Mapping[str, str]) -> list[str]:
        """Which sweep files are other ones now; those that are not known here say nothing."""
        changed = [name for name, digest in self.sweeps.items() if sweeps.get(name, digest) != digest]
        return [f"the sweep file {name}.yaml has changed since its runs were reported" for name in changed]

    def behind(self, records: Sequence[AnyRun]) -> list[str]:
        """In what the runs are further than the report, a line for each kind of difference."""
        now = {_name(record): _reported(record) for record in records}
        new = [run_id for run_id in now if run_id not in self.runs]
        gone = [run_id for run_id in self.runs if run_id not in now]
        other = [run_id for run_id in now.keys() & self.runs.keys() if now[run_id] != self.runs[run_id]]
        kinds = (("new", new), ("gone", gone), ("changed", sorted(other)))
        return [f"{len(names)} {'run is' if len(names) == 1 else 'runs are'} {kind}: {_some(names)}" for kind, names in kinds if names]


def sha256(path: Path) -> str:
    """Of a file's bytes, hexadecimal. Raises UserError for one that is larger than any of a report, or cannot be read."""
    with reading.opened(path, _MOST_FILE_BYTES, "remove it") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _name(record: AnyRun) -> str:
    return record.id if isinstance(record, ProgramRun) else record.run_id


def _reported(record: AnyRun) -> ReportedRun:
    if isinstance(record, ProgramRun):
        return ReportedRun(identity=record.digest, state=record.state)
    commit = record.environment.commit if record.environment else None
    return ReportedRun(
        identity=record.identity, seed=record.seed, sweep=record.sweep, state=record.state, updated=record.updated, commit=commit
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
