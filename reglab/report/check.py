"""Whether a report still says what its runs say: told by its manifest, its runs where they can be read, and its own records."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from reglab.report.build import Report
from reglab.report.manifest import STUDY, AnyRun, Manifest, sha256
from reglab.report.programs.report import ProgramReport
from reglab.report.studies.registration import Lock
from reglab.report.studies.study import Study
from reglab.tracking import program_run, turns
from reglab.tracking.store import ARCHIVE, read_archive
from reglab.tracking.turns import Turns


def faults(folder: Path, sweeps: Mapping[str, str], runs: Sequence[AnyRun] | None, took: Sequence[Turns] | None = None) -> list[str]:
    """What is wrong with the report in `folder`, a line each; empty where all is well.

    `sweeps` are the hashes of the sweep files as they are now; `runs` and `took` the records and the turns that it was built from as they
    are now, or None where they cannot be read. Raises UserError for a folder that is no report.
    """
    manifest = Manifest.read(folder)
    found = manifest.altered(folder)
    if found:  # what was altered is not worth comparing
        return [f"altered: {line}" for line in found]
    found += [f"stale: {line}" for line in manifest.outdated(sweeps)]
    found += [f"stale: {line}" for line in manifest.behind(runs)] if runs is not None else []
    if manifest.roles:
        programs = program_run.read_archive(folder / program_run.ARCHIVE)
        return found + _stale(manifest, ProgramReport(programs, manifest.roles, manifest.source, manifest.baseline))
    mine = turns.read(folder)
    found += ["stale: arms took turns since, or other ones"] * (took is not None and _by_key(took) != _by_key(mine))
    report = Report(read_archive(folder / ARCHIVE), manifest.design(folder), manifest.baseline, Lock.read(folder), mine)
    return found + _stale(manifest, report) + [f"mixed: {line}" for line in _mixed(report.study)]


def _by_key(took: Sequence[Turns]) -> dict[tuple[datetime, str], Turns]:
    return {each.key: each for each in took}


def _stale(manifest: Manifest, report: Report | ProgramReport) -> list[str]:
    """Tables that this version of reglab makes otherwise from the same records."""
    with tempfile.TemporaryDirectory(prefix="reglab-") as scratch:
        report.write_tables(Path(scratch))
        # Not the records and turns: the same ones are compressed otherwise on another machine, or said otherwise by another version.
        made = [path for path in sorted(Path(scratch).iterdir()) if path.name not in (ARCHIVE, program_run.ARCHIVE, turns.TURNS)]
        differing = [path.name for path in made if manifest.files.get(path.name) != sha256(path)]
    why = {STUDY: "is not as its study file is now"}
    return [
        f"stale: {name} {why.get(name, 'comes out otherwise with this version of reglab')}: build the report again" for name in differing
    ]


def _mixed(study: Study) -> list[str]:
    """What runs that are reported together must not differ in."""
    found = [f"{key} is {' in some runs, '.join(map(str, values))} in others" for key, values in study.differing.items()]
    return found + [f"not all runs saw the same images: {' / '.join(sorted(seen))}" for seen in study.images() if len(seen) > 1]
