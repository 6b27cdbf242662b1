"""What was claimed before the first run is kept, and what has changed since is shown."""

import re
from datetime import UTC, datetime, timedelta

import pytest

import reglab
from reglab.errors import UserError
from reglab.report.check import faults
from reglab.report.collection import judged
from reglab.report.studies.registration import LOCK, Lock, Version, changes, register, registered
from reglab.report.studies.study_file import PUBLISHED, read
from reglab.tracking.store import write_run

STUDY = """\
title: Decay
factors: {decay: weight_decay.rate}
claims:
  - text: It gains half a point.
    difference: {of: test/accuracy, between: {decay: 0.1}, and: {decay: 0}, at_least: 0.5}
"""


@pytest.fixture
def study(tmp_path):
    """Writes the study file, with one text in place of another, and reads it."""

    def make(old="", new=""):
        assert old in STUDY
        (tmp_path / "decay.yaml").write_text(STUDY.replace(old, new, 1))
        return read(tmp_path / "decay.yaml")

    return make


@pytest.fixture
def runs(tmp_path, make_record):
    folder = tmp_path / "runs" / "decay"
    for decay in (0.0, 0.1):
        record = make_record(config={"optimizer": {"name": "adamw", "weight_decay": decay}}, sweep="decay")
        write_run(folder / "decay" / record.run_id, record.model_copy(update={"created": datetime.now(UTC) + timedelta(minutes=1)}))
    return folder


def words(page):
    found = re.search(r'id="registered">(.*?)</p>(\s*<ul.*?</ul>)?', page.read_text(), re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found.group()).replace("\N{NO-BREAK SPACE}", " ").split()) if found else None


def test_a_folder_that_goes_on_from_a_report_has_what_was_claimed_before_its_runs(study, tmp_path, make_record):
    design, report, folder = study(), tmp_path / "report", tmp_path / "runs"
    register(report, design, looks=(3, 5))
    began = make_record().model_copy(update={"created": datetime.now(UTC) + timedelta(seconds=5)})
    assert register(folder, design, looks=(3, 5), source=str(report)) is None
    assert (folder / LOCK).read_bytes() == (report / LOCK).read_bytes()
    assert "before the first run began" in registered(Lock.read(folder), design, [began]).said
    changed = study("0.5", "0.6")
    said = register(tmp_path / "later", changed, source=str(report))
    assert said.startswith("the study file has changed since") and len(Lock.read(tmp_path / "later").versions) == 2
    other = tmp_path / "other.yaml"
    other.write_text(STUDY)
    assert "as it is now" in register(tmp_path / "of_another", read(other), source=str(report))
    assert len(Lock.read(tmp_path / "of_another").versions) == 1


def test_claims_that_stood_before_the_first_run_are_told_to(study, tmp_path, make_record):
    design = study()
    assert register(tmp_path / "runs", design) == f"{tmp_path}/runs/{LOCK} keeps the study file as it is now"
    kept = (tmp_path / "runs" / LOCK).read_bytes()
    assert register(tmp_path / "runs", design) is None
    assert (tmp_path / "runs" / LOCK).read_bytes() == kept
    later = make_record().model_copy(update={"created": datetime.now(UTC) + timedelta(seconds=5)})
    found = registered(Lock.read(tmp_path / "runs"), design, [later])
    assert found.said.endswith("before the first run began. Nothing in the study file has changed since.")


def test_turns_that_were_taken_before_the_claims_are_told(study, tmp_path, make_record, make_turns):
    design = study()
    register(tmp_path / "runs", design)
    lock, later = Lock.read(tmp_path / "runs"), make_turns().model_copy(update={"session": datetime.now(UTC) + timedelta(seconds=5)})
    before = [make_turns(), make_turns({"batchnorm": {"layers": 2}})]
    assert " 1 session of turns was taken before that." in registered(lock, design, [], [*before, later]).said
    assert "turns" not in registered(lock, design, [], [later]).said


def test_a_plan_of_looks_is_kept_with_the_study_and_the_first_one_stands(study, runs):
    design = study()
    register(runs, design)
    assert Lock.read(runs).planned(design).looks == ()
    said = register(runs, design, (3, 5, 8))
    assert said == f"{runs / LOCK} keeps the plan of looks, at 3, 5, 8 seeds an arm; 2 runs were there before"
    assert register(runs, design, (2, 20)) is None
    assert Lock.read(runs).planned(design).looks == (3, 5, 8)
    register(runs, study("at_least: 0.5", "at_least: 0.3"), (4,))
    assert Lock.read(runs).planned(design).looks == (3, 5, 8)


def test_a_plan_that_was_made_after_results_is_told_with_its_date(study, runs, make_record):
    design = study()
    register(runs, design)
    for version in (2, 1):
        later = make_record().model_copy(update={"created": datetime.now(UTC) + timedelta(seconds=-5 * (version - 1) + 1)})
        if version == 1:
            register(runs, design, (3, 5))
        said = registered(Lock.read(runs), design, [later]).said
        assert ("The plan of looks was written down on" in said) == (version == 1)


def test_a_plan_that_the_study_file_has_is_not_kept_twice(study, tmp_path):
    design = study("title:", "looks: [3, 6]\ntitle:")
    register(tmp_path / "runs", design, (3, 5, 8))
    assert Lock.read(tmp_path / "runs").versions[0].looks == ()
    assert Lock.read(tmp_path / "runs").planned(design).looks == (3, 6)


def test_a_report_is_judged_by_the_plan_of_its_lock(study, runs, tmp_path, make_record):
    design = study()
    for decay in (0.0, 0.1):
        record = make_record(seed=1, config={"optimizer": {"name": "adamw", "weight_decay": decay}}, sweep="decay")
        write_run(runs / record.run_id, record)
    register(runs, design, (3, 5))
    reglab.build_report(str(runs), tmp_path / "report", study=design.path)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert faults(tmp_path / "report", {}, None) == []
    assert "Looks at 3 and 5 seeds an arm: none could be taken yet." in page.replace("\N{NO-BREAK SPACE}", " ")


def test_a_study_file_that_changes_is_kept_behind_the_first_and_never_in_its_place(study, runs, tmp_path):
    register(runs, study())
    said = register(runs, study("at_least: 0.5", "at_least: 0.3"))
    assert said.startswith("the study file has changed since ")
    first, second = Lock.read(runs).versions
    assert (first.text, second.text) == (STUDY, STUDY.replace("0.5", "0.3"))
    assert len(second.runs) == 2


def test_the_page_shows_what_has_changed_and_keeps_the_lock(study, runs, tmp_path):
    (runs / LOCK).unlink(missing_ok=True)
    Lock(versions=(Version(written=datetime(2026, 1, 1, tzinfo=UTC), study="decay.yaml", text=STUDY),)).write(runs)
    design = study("at_least: 0.5", "at_least: 0.3")
    page = reglab.build_report(runs, tmp_path / "report", study=design).page
    said = words(page)
    assert "These claims were written down on 2026-01-01 00:00 UTC, before the first run began." in said
    assert "claim “It gains half a point.”: difference.at_least was 0.5, is 0.3" in said
    assert (page.parent / LOCK).read_bytes() == (runs / LOCK).read_bytes()
    again = reglab.build_report(page.parent, page.parent).page  # from itself
    assert words(again) == said


def test_runs_that_were_there_before_are_counted(study, runs, tmp_path):
    design = study()
    assert register(runs, design).endswith("; 2 runs were there before")
    said = words(reglab.build_report(runs, tmp_path / "report", study=design).page)
    assert said.startswith('id="registered">') or "2 of 2 runs were there before these claims were written down" in said


def test_without_a_lock_it_is_said_that_nothing_tells(study, runs, tmp_path):
    said = words(reglab.build_report(runs, tmp_path / "report", study=study()).page)
    assert "Nothing tells whether these claims stood before the first run: no study.lock lies beside the runs." in said
    assert registered(None, read(PUBLISHED), []) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("It gains half a point.", "It gains.", ["claim taken out: It gains half a point.", "claim added: It gains."]),
        ("{decay: weight", "{rate: optimizer.lr, decay: weight", ["factors.rate is new: optimizer.lr"]),
        ("title: Decay", "title: Decays", ["title was Decay, is Decays"]),
        ("and: {decay: 0}", "and: {decay: [0, 1]}", ["claim “It gains half a point.”: difference.and.decay was 0, is [0, 1]"]),
    ],
)
def test_changes_are_told_for_a_person(old, new, said):
    import yaml

    assert list(changes(yaml.safe_load(STUDY), yaml.safe_load(STUDY.replace(old, new, 1)))) == said


TWINS = """
  - {text: It is so., threshold: {of: gap, between: {decay: 0}, at_least: 1}}
  - {text: Another., threshold: {of: gap, between: {decay: 0}, at_least: 5}}
  - {text: It is so., threshold: {of: gap, between: {decay: 0}, at_least: 2}}
"""

LONG = ", ".join(map(str, range(100)))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (TWINS, TWINS.replace("at_least: 1", "at_least: 0"), ["claim 1 “It is so.”: threshold.at_least was 1, is 0"]),
        (TWINS, TWINS.replace("at_least: 2", "at_least: 3"), ["claim 3 “It is so.”: threshold.at_least was 2, is 3"]),
        (TWINS, "\n".join(TWINS.splitlines()[::-1]), []),  # moved
        (TWINS, "\n".join(TWINS.splitlines()[:-1]), ["claim taken out: It is so."]),
        (TWINS, "\n".join([*TWINS.splitlines(), TWINS.splitlines()[-1].replace("2", "3")]), ["claim added: It is so."]),
        (
            f"  - {{text: a, at: [{LONG}]}}",
            f"  - {{text: a, at: [{LONG.replace(' 50,', ' 51,')}]}}",
            ["claim “a”: at was … 48, 49, 50, 51, 52"],
        ),
        ("  - {text: a, x: 1}", "  - {text: a, x: true}", ["claim “a”: x was 1, is true"]),
        ("  - {text: a, against: {}}", "  - {text: a}", ["claim “a”: against was {}, and is gone"]),
        ("  - {text: a, x: {1: b, '1': c}}", "  - {text: a, x: {1: d, '1': c}}", ["claim “a”: x.1 was b, is d"]),
    ],
)
def test_no_change_of_a_claim_is_missed_and_what_has_moved_has_not_changed(before, now, said):
    import yaml

    found = list(changes(*(yaml.safe_load(f"claims:\n{claims}\n") for claims in (before, now))))
    assert len(found) == len(said) and all(line.startswith(start) for line, start in zip(found, said, strict=True)), found


def test_a_comment_changes_nothing(study, make_record, tmp_path):
    register(tmp_path / "runs", study())
    found = registered(Lock.read(tmp_path / "runs"), study("title", "# a comment\ntitle"), [])
    assert "in words that decide nothing" in found.said
    assert found.changes == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"versions": []}', '{"versions": [1]}'])
def test_a_damaged_lock_is_refused_in_a_line_and_stays(study, tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(UserError, match=r"study\.lock is damaged: move it away"):
        register(tmp_path, study())
    assert (tmp_path / LOCK).read_text() == content


def test_runs_beside_a_lock_are_judged_by_its_study_where_that_is_as_it_was(study, runs, tmp_path, caplog):
    design = study()
    register(runs, design)
    found = reglab.runs(runs)
    assert judged(found).design.name == design.name
    study("half a point", "a point")
    assert judged(found).design is None
    assert "note: the runs are of the study" in caplog.text
