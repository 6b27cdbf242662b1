import pytest

from reglab.errors import UserError
from reglab.tracking.fetch import fetch
from reglab.tracking.store import write_run


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


def test_a_folder_of_sweeps_is_refused_with_a_sweep_to_take(study, tmp_path):
    write_run(tmp_path / "final" / study[0].run_id, study[0])
    with pytest.raises(UserError, match=r"holds several sweeps: give one, such as .*final"):
        fetch(str(tmp_path))
