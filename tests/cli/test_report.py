"""Which runs a report is compared with."""

from pathlib import Path

import pytest

from reglab.report.build import build
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import write_run


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


@pytest.mark.parametrize("place", ["runs/final", "elsewhere/final", "here/own/final", "here/reports/beside"])
def test_runs_are_looked_at_where_runs_and_reports_are_and_nowhere_else(report, reglab, make_record, tmp_path, capsys, place):
    """The manifest may be another's, and name any folder of this machine."""
    folder = report(str(tmp_path / place), make_record(seed=7))
    found = place != "elsewhere/final"
    assert reglab("report", "check", folder) == int(found)
    said = capsys.readouterr().out
    assert ("1 run is new" in said) == found
    assert ("its runs are out of reach, --from compares with them" in said) != found
    assert reglab("report", "check", folder, "--from", tmp_path / place) == 1


def test_runs_of_another_program_without_a_number_make_no_report(reglab, tmp_path, capsys):
    other = RunRecord(run_id="x", sweep="s", label="x", identity="x", seed=0, config={}, program="python x.py", state=State.finished)
    write_run(tmp_path / "runs" / "x", other)
    assert reglab("report", "build", "--from", tmp_path / "runs", "--out", tmp_path / "report") == 2
    assert "no key is a metric by its name: say which with --metric" in capsys.readouterr().err
