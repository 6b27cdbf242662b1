"""Runs from one place, to look at and to report: `reglab.runs` and `reglab.build_report`."""

import html
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reglab.errors import ReglabError, UserError, excerpt
from reglab.report import stats
from reglab.report.manifest import MANIFEST, AnyRun, Manifest, sha256
from reglab.report.page.details import POINTS
from reglab.report.programs import roles
from reglab.report.programs.arms import Programs
from reglab.report.programs.roles import DO_WITHOUT, AskedRoles, Roles
from reglab.report.studies import own, study_file
from reglab.report.studies.design import Design
from reglab.report.studies.registration import Lock
from reglab.report.studies.study import Study
from reglab.tracking import fetch, turns
from reglab.tracking.program_run import ProgramRun
from reglab.tracking.record import RunRecord
from reglab.tracking.store import each_once
from reglab.tracking.turns import Turns

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, repr=False)
class Runs:
    """Runs of reglab (`RunRecord`), or of another program (`ProgramRun`), with what is what in those.

    It iterates over them, `frame()` is a table with a row for each, and a notebook shows its arms.
    """

    source: str
    found: tuple[AnyRun, ...]
    roles: Roles | None = None
    earlier: Manifest | None = None  # of the report that they were read from
    took: tuple[Turns, ...] = ()  # of arms that took turns
    places: "tuple[Runs, ...]" = ()  # where they are from several

    def __iter__(self) -> Iterator[AnyRun]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def records(self) -> list[RunRecord]:
        """Those of reglab."""
        return [run for run in self.found if isinstance(run, RunRecord)]

    @cached_property
    def programs(self) -> Programs:
        """Those of another program, as arms."""
        assert self.roles
        return Programs([run for run in self.found if isinstance(run, ProgramRun)], self.roles)

    @cached_property
    def said(self) -> tuple[str, ...]:
        """What a person must know of them, a line each: of another program's what was guessed of their keys, and which are copies; of
        reglab's how many have keys that are unknown here, so that they are in no comparison."""
        return self.programs.said if self.roles else _of_unknown_keys(self.records)

    @cached_property
    def study(self) -> Study:
        """Those of reglab, by what differs among them."""
        return Study.of(self.records, own.design(self.records), turns.as_runs(self.took))

    def frame(self) -> "pd.DataFrame":
        """A row for each run: what differs among them, all that each came to, and where it ran. Accuracies are fractions."""
        from reglab.report import tables  # pandas: most of a second, that a question does not wait for

        return self.programs.frame() if self.roles else tables.runs(self.records, self.study)

    def arms(self) -> "pd.DataFrame":
        """A row for each arm, as a report has it: means over runs with 95 % intervals, the best first."""
        if self.roles:
            from reglab.report.programs.report import ProgramReport  # which draws

            return ProgramReport(self.programs.runs, self.roles, self.source).arms_table()
        from reglab.report import tables

        return tables.arms(self.study.answers(self.study.design.questions[0]), self.study.target, own=self.study.own)

    def __repr__(self) -> str:
        return f"{len(self.found)} runs from {self.source}"

    def _repr_html_(self) -> str:
        guesses = "".join(f"<br>{html.escape(line)}" for line in self.said)
        return f"<p>{html.escape(repr(self))}{guesses}</p>{self.arms().to_html(index=False, border=0)}"


def _of_unknown_keys(records: Iterable[RunRecord]) -> tuple[str, ...]:
    faults = [fault for record in records if stats.counts(record) and (fault := stats.not_built(record))]
    if not faults:
        return ()
    they = "1 run has a configuration that is" if len(faults) == 1 else f"{len(faults)} runs have configurations that are"
    mend = "install the package of their technique, or that version"
    return (f"{they} not of this installation ({excerpt(faults[0])}), so nothing is compared by their settings: {mend}",)


def runs(
    source: str | Path | Sequence[str | Path],
    *,
    metric: str | None = None,
    goal: str | None = None,
    seed_key: str | None = None,
    time_key: str | None = None,
    group_by: Sequence[str] | None = None,
) -> Runs:
    """The runs in a folder (`runs/<sweep>`, a report), a project (`wandb://entity/project[/sweep]`), or a table (`runs.csv`).

    Several places of runs of reglab are taken together, a run that is in two of them once. The keys say what is what in runs of another
    program: the metric and whether to `maximize` or `minimize` it, the seed, the time, and the settings by which runs are one arm or
    another. What is not said is guessed, and `roles.guessed` says how; with any of them given, runs of reglab in a project are taken by
    their keys, too. Raises `UserError` where there is none, and where a guess could be two things.
    """
    places = [source] if isinstance(source, str | Path) else source
    return read(
        [str(place) for place in places], AskedRoles(metric, goal, seed_key, time_key, None if group_by is None else tuple(group_by))
    )


def read(sources: Sequence[str], asked: AskedRoles, progress: Progress | None = None) -> Runs:
    """As `runs`; `progress` is told how many of a place's runs are here, of how many."""
    found = [_in_one_place(source, asked, progress) for source in sources]
    return found[0] if len(found) == 1 else _together(found)


def _together(places: Sequence[Runs]) -> Runs:
    """Raises UserError where any are of another program, or two are reports on other studies."""
    if of_others := [place.source for place in places if place.roles]:
        raise UserError(f"--from {of_others[0]} holds runs of another program: such runs are reported from one place, by their own keys")
    reports = [place.earlier for place in places if place.earlier]
    if len({(report.study, report.baseline) for report in reports}) > 1:
        raise UserError(f"--from {', '.join(place.source for place in places)}: these reports judge their runs by different studies")
    records = each_once(record for place in places for record in place.records)
    source = ", ".join(place.source for place in places)
    took = tuple(fetch.turns_of([place.source for place in places]))
    return Runs(source, tuple(records), None, reports[0] if reports else None, took, tuple(places))


def _in_one_place(source: str, asked: AskedRoles, progress: Progress | None) -> Runs:
    earlier = _earlier(source)
    found = fetch.programs(source, all_of_them=asked.says_something)
    if found is not None:
        known = earlier.roles if earlier and not asked.says_something else None
        return Runs(source, tuple(found), known or roles.read(found, asked), earlier)
    if asked.says_something:
        raise of_known_keys(source)
    records, took = fetch.fetch(source, progress=progress), tuple(fetch.turns_of([source]))
    if others := [record for record in records if record.program is not None]:
        _log.warning("left out: %d runs of another program, such as `%s`", len(others), others[0].program)
    return Runs(source, tuple(record for record in records if record.program is None), None, earlier, took)


def of_known_keys(source: str) -> UserError:
    """The error of keys that were named for runs of reglab."""
    return UserError(f"--from {source} holds runs of reglab, whose metric, seed and settings are known: leave those options out")


def _earlier(source: str) -> Manifest | None:
    """That of a report."""
    folder = Path(source)
    return Manifest.read(folder) if source and "://" not in source and (folder / MANIFEST).is_file() else None


def of_either(source: str, of_programs: AskedRoles, is_keyed: bool = False, progress: Progress | None = None) -> Runs:
    """The runs in one place, by keys that hold for runs of another program only: those of reglab's are known. `is_keyed`: a person named
    a key, and runs of reglab in a project are taken by their keys, too."""
    earlier = _earlier(source)
    if earlier and earlier.roles and not is_keyed:  # a report on them says what is what, but for the metric
        factors = tuple(key for key in earlier.roles.factors if key != of_programs.metric)
        of_programs = replace(of_programs, seed=earlier.roles.seed or DO_WITHOUT, group_by=factors)
    found = fetch.programs(source, all_of_them=is_keyed)
    if found is not None:
        return Runs(source, tuple(found), roles.read(found, of_programs))
    return _in_one_place(source, AskedRoles(seed=of_programs.seed, group_by=of_programs.group_by), progress)


@dataclass(frozen=True)
class Built:
    """A report that was built: `page` is its page, `design` the study by which its runs were judged, where they were by one."""

    page: Path
    design: Design | None

    def __fspath__(self) -> str:
        return str(self.page)

    def __str__(self) -> str:
        return str(self.page)

    def _repr_html_(self) -> str:
        return f'<p>Report: <a href="{html.escape(str(self.page), quote=True)}">{html.escape(str(self.page))}</a></p>'


def build_report(runs: Runs | str | Path, out: str | Path, study: str | Path | Design | None = None, baseline: str | None = None) -> Built:
    """Write the report on some runs into the folder `out`, in place of an earlier one.

    `study` is a study file, or the name of one that comes with reglab; without one, runs are judged by the study of the report that
    they were read from, or by the published one where all are its sweeps', else reported by what differs among them, with the arm that
    has the `key=value` words of `baseline`. Raises `UserError` where none of them has finished.
    """
    from reglab.report import build  # which draws: half a second, that nothing else here waits for

    found = runs if isinstance(runs, Runs) else read([str(runs)], AskedRoles())
    by = judged(found, study_file.read(study) if isinstance(study, str | Path) else study, baseline)
    if found.roles:
        return Built(build.build_programs(_with_curves(found), Path(out), by.source, found.roles, by.baseline), None)
    lock = _lock(found) if by.design else None
    page = build.build(found.records, Path(out), by.source, by.sweeps, by.design, by.baseline, lock, found.took)
    return Built(page, by.design)


def _with_curves(found: Runs) -> list[ProgramRun]:
    """Runs of another program with the curves of what they are told by, where their source has them."""
    assert found.roles
    metric = found.roles.metric
    try:
        curves = fetch.curves(found.source, metric, POINTS)
    except ReglabError as error:
        _log.warning("the page is without curves: %s", error)
        curves = {}
    return [run.model_copy(update={"curves": {metric: curves[run.id]}}) if run.id in curves else run for run in found.programs.runs]


def _registered(found: Runs) -> Design | None:
    """The study that `study run` wrote down beside the runs, where its file is there as it was."""
    lock = _lock(found)
    last = lock.versions[-1] if lock else None
    if last is None:
        return None
    if not Path(last.study).suffix:  # one that comes with reglab
        return study_file.read(last.study)
    if Path(last.study).is_file() and Path(last.study).read_text(encoding="utf-8") == last.text:
        return study_file.read(last.study)
    _log.warning("note: the runs are of the study %s, which is not here as it was: --study FILE judges its claims", last.study)
    return None


def _lock(found: Runs) -> Lock | None:
    """What was claimed before the runs began; None where that was not the same in all the places that they are from."""
    places = [place.source for place in found.places or (found,) if place.found]  # turns are of no claim
    locks = {None if "://" in place else Lock.read(Path(place)) for place in places}
    return locks.pop() if len(locks) == 1 else None


@dataclass(frozen=True)
class Judged:
    """By what runs are reported: of a report that is built again, as it has it. `sweeps`: the hashes of its sweep files."""

    source: str
    sweeps: dict[str, str]
    design: Design | None
    baseline: str | None


def judged(found: Runs, design: Design | None = None, baseline: str | None = None) -> Judged:
    """By what these runs are reported. Raises UserError for a baseline beside a study, and for a study of another program's runs."""
    source, hashes = found.source, dict[str, str]()
    if earlier := found.earlier:  # a report that is built again tells of the same runs and sweeps, by the same study
        report = next(place.source for place in found.places or (found,) if place.earlier)
        design, baseline = design or earlier.design(Path(report)), baseline or earlier.baseline
        if found.places:
            hashes = sweep_hashes(design) | earlier.sweeps
        else:
            source, hashes = earlier.source, earlier.sweeps
    if found.roles:
        if design:
            raise UserError("--study: these runs are of another program, and a study file speaks of the keys of reglab's: leave it out")
        return Judged(source, hashes, None, baseline)
    design = design or _registered(found) or study_file.of(found.records)
    if design and baseline:
        raise UserError("--baseline is for runs of no study: a study file says against what each question compares (`against:`)")
    return Judged(source, hashes or sweep_hashes(design), design, baseline)


def sweep_hashes(design: Design | None) -> dict[str, str]:
    """SHA-256 of the sweep files of a study that are within reach, by their stems."""
    return {file.stem: sha256(file) for file in design.files if file.exists()} if design else {}
