"""Which runs a report is compared with."""

from pathlib import Path

import pytest

from reglab.errors import UserError
from reglab.report.build import build
from reglab.report.collection import runs
from reglab.report.manifest import JudgedBy, Manifest
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import ARCHIVE, write_archive, write_run


@pytest.fixture
def report(study, tmp_path, monkeypatch):
    """Builds a report in the working folder, from runs of which there is one more since; its manifest names them so."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def make(source, more):
        for record in (*study, more):
            write_run(Path(source) / record.run_id, record)
        return build(study, Path("reports/final"), source, {}).parent

    return make


@pytest.mark.parametrize(
    "place",
    [
        "runs/final",
        *(pytest.param(place, marks=pytest.mark.slow) for place in ("elsewhere/final", "here/own/final", "here/reports/beside")),
    ],
)
def test_runs_are_looked_at_where_runs_and_reports_are_and_nowhere_else(report, reglab, make_record, tmp_path, capsys, place):
    """The manifest may be another's, and name any folder of this machine."""
    folder = report(str(tmp_path / place), make_record(seed=7))
    found = place != "elsewhere/final"
    assert reglab("report", "check", folder) == int(found)
    said = capsys.readouterr().out
    assert ("1 run is new" in said) == found
    assert ("its runs are out of reach, --from compares with them" in said) != found
    assert reglab("report", "check", folder, "--from", tmp_path / place) == 1


def test_runs_of_several_places_are_reported_together_each_once(report, reglab, make_record, tmp_path, capsys):
    """Of a report and of the runs that came since: by the report's study, though of its sweeps the new ones are not."""
    folder = report(str(tmp_path / "here" / "runs"), make_record(seed=7))
    write_run(tmp_path / "since" / "a", make_record(seed=8, sweep="other"))
    assert reglab("report", "build", "--from", folder, "--from", "runs", "--from", tmp_path / "since", "--out", "all") == 0
    both, before = Manifest.read(Path("all")), Manifest.read(folder)
    assert both.runs.keys() - before.runs.keys() == {make_record(seed=seed).run_id for seed in (7, 8)}
    assert both.source == f"{folder}, runs, {tmp_path / 'since'}"
    assert "stale" not in capsys.readouterr().out
    assert reglab("report", "check", "all", "--from", "runs", "--from", tmp_path / "since") == 0
    assert reglab("report", "check", "all", "--from", "runs") == 1
    assert "1 run is gone" in capsys.readouterr().out


def test_what_is_not_of_one_kind_is_not_taken_together(study, tmp_path):
    reports = [tmp_path / name for name in ("one", "other")]
    for folder, by in zip(reports, ("four_regularizers", None), strict=True):
        folder.mkdir()
        write_archive(folder / ARCHIVE, study)
        Manifest.of(study, "runs", JudgedBy(by), {}, folder).write(folder)
    (tmp_path / "other.csv").write_text("lr,seed,accuracy\n0.1,0,0.5\n0.1,1,0.6\n")
    with pytest.raises(UserError, match="judge their runs by different studies"):
        runs(reports)
    with pytest.raises(UserError, match=r"other\.csv holds runs of another program"):
        runs([reports[0], tmp_path / "other.csv"])
    assert len(runs([reports[0], reports[0]])) == len(study)


def test_runs_of_another_program_without_a_number_make_no_report(reglab, tmp_path, capsys):
    other = RunRecord(run_id="x", sweep="s", label="x", identity="x", seed=0, config={}, program="python x.py", state=State.finished)
    write_run(tmp_path / "runs" / "x", other)
    assert reglab("report", "build", "--from", tmp_path / "runs", "--out", tmp_path / "report") == 2
    assert "no key is a metric by its name: say which with --metric" in capsys.readouterr().err
