import pytest

from reglab.errors import UserError
from reglab.tracking import turns
from reglab.tracking.fetch import bring_turns, fetch
from reglab.tracking.record import State
from reglab.tracking.store import ARCHIVE, write_archive, write_run


def test_the_records_of_a_sweep_come_oldest_first(study, tmp_path):
    for record in study[:3]:
        write_run(tmp_path / "final" / record.run_id, record)
    assert fetch(str(tmp_path / "final")) == sorted(study[:3], key=lambda record: record.created)


def test_a_look_without_epochs_leaves_the_rest_whole(study, tmp_path):
    write_run(tmp_path / "final" / study[0].run_id, study[0])
    assert fetch(str(tmp_path / "final"), history=False) == [study[0].model_copy(update={"history": []})]


@pytest.mark.parametrize(("source", "said"), [("nowhere", "no such folder"), (".", "holds no run")])
def test_a_source_without_runs_is_refused(tmp_path, source, said):
    with pytest.raises(UserError, match=said):
        fetch(str(tmp_path / source))


def test_a_study_s_sweeps_are_read_together_and_what_they_share_once(study, tmp_path):
    for sweep, records in {"final": study[:3], "augmentation": study[2:5]}.items():
        for record in records:
            write_run(tmp_path / "study" / sweep / record.run_id, record)
    for source in (tmp_path / "study", tmp_path):
        assert fetch(str(source)) == sorted(study[:5], key=lambda record: record.created)


def test_a_report_s_own_records_are_read_with_their_epochs_and_without(study, tmp_path):
    write_archive(tmp_path / ARCHIVE, study)
    assert any(record.history for record in study)
    assert fetch(str(tmp_path)) == study
    assert fetch(str(tmp_path), history=False) == [record.model_copy(update={"history": []}) for record in study]


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"records.jsonl.gz is damaged"):
        fetch(str(tmp_path))


def test_of_a_run_that_two_sweeps_have_the_finished_one_counts(study, tmp_path):
    write_run(tmp_path / "batchnorm" / study[0].run_id, study[0])
    write_run(tmp_path / "final" / study[0].run_id, study[0].changed(state=State.crashed))
    assert fetch(str(tmp_path)) == [study[0]]


def test_turns_come_along_with_the_runs_that_are_taken(make_turns, tmp_path):
    mine, theirs, later = make_turns(), make_turns({"batchnorm": {"layers": 2}}), make_turns(session=1)
    for folder, took in (("mine", [mine]), ("theirs", [mine, theirs, later])):
        (tmp_path / folder).mkdir()
        turns.write(tmp_path / folder, took)
    bring_turns(tmp_path / "mine", str(tmp_path / "theirs"))
    assert turns.read(tmp_path / "mine") == [mine, theirs, later]
