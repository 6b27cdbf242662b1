import gzip
import json
import os

import pytest

from reglab.errors import UserError
from reglab.tracking import store
from reglab.tracking.record import SCHEMA_VERSION, Epoch, RunRecord, State, Summary
from reglab.tracking.store import LocalRun, mark_crashed, read_run, read_runs
from tests.unprinted import UNPRINTED


def row(number, **changes):
    fields = {
        "train_loss": 1.0 / number,
        "train_accuracy": 0.25,
        "lr": 1e-3,
        "time_train_seconds": 2.5 * number,
        "time_wall_seconds": 3.5 * number,
        "throughput_images_per_second": 100.0,
    }
    return Epoch(epoch=number, **fields | changes)


@pytest.fixture
def record():
    return RunRecord(run_id="a-s0", sweep="final", label="BN 2 · dropout 3 at 0.2", identity="a", seed=0, config={"train": {"epochs": 3}})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "final" / "a-s0"


@pytest.fixture
def ended(folder, record):
    """A run of two epochs in `folder`, and the record it ended with."""
    run = LocalRun(folder)
    run.started(record)
    rows = [row(1), row(2, test_accuracy=0.5)]
    for each in rows:
        run.epoch(each)
    summary = Summary(test_accuracy=0.5, time_train_seconds=5.0, time_wall_seconds=7.0, parameters=10, epochs=2)
    last = record.changed(state=State.finished, summary=summary, history=rows)
    run.ended(last)
    return last


def test_a_run_is_read_as_it_was_written(folder, ended):
    assert read_run(folder) == ended


def test_a_run_can_be_read_at_any_moment(folder, record):
    run = LocalRun(folder)
    assert read_run(folder) is None
    run.started(record)
    assert (read_run(folder).state, read_run(folder).history) == (State.running, [])
    run.epoch(row(1))
    assert [each.epoch for each in read_run(folder).history] == [1]
    run.epoch(row(2))
    assert [each.epoch for each in read_run(folder).history] == [1, 2]


def test_a_run_that_goes_on_keeps_the_epochs_it_resumes_behind_and_no_other(folder, record, ended):
    LocalRun(folder).started(record.changed(history=[row(1)]))
    LocalRun(folder).epoch(row(2, train_loss=0.125))
    assert [each.train_loss for each in read_run(folder).history] == [1.0, 0.125]


def test_a_history_whose_last_line_is_cut_short_is_read_without_it(folder, ended):
    path = folder / store.HISTORY
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [each.epoch for each in read_run(folder).history] == [1]


def test_a_crash_before_the_first_epoch_leaves_a_readable_run(folder, record):
    LocalRun(folder).started(record)
    (folder / store.HISTORY).unlink()
    assert read_run(folder).history == []


DAMAGES = {
    "empty": b"",
    "cut_short": b'{"schema_version": 1, "run_id": "a',
    "a_list": b"[]",
    "null": b"null",
    "bytes": b"\xff\xfe\x00\x80\x99",
    "zeros": b"\0" * 100,
    "version_is_text": b'{"schema_version": "two"}',
    "nothing_required": b'{"schema_version": 1}',
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_named_in_one_line_that_says_what_to_do(folder, ended, content):
    (folder / store.RECORD).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_run(folder)
    assert str(caught.value) == f"{folder / store.RECORD} is damaged: remove the folder {folder} to run it again"


@pytest.mark.parametrize("content", [b"\xff\xfe\x80\n", b'{"epoch": 1}\n', b"[1, 2]\n"], ids=["bytes", "a_field_missing", "a_list"])
def test_a_damaged_history_is_told_in_one_line(folder, ended, content):
    (folder / store.HISTORY).write_bytes(content)
    with pytest.raises(UserError, match=f"remove the folder {folder} to run it again$"):
        read_run(folder)


def test_a_record_of_a_later_version_is_refused(folder, ended):
    path = folder / store.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(UserError) as caught:
        read_run(folder)
    assert str(caught.value) == f"{path} was written by a later reglab (schema {SCHEMA_VERSION + 1}): update reglab to read it"


def test_files_can_be_read_by_others(folder, record):
    before = os.umask(0o022)
    try:
        run = LocalRun(folder)
        run.started(record)
        run.epoch(row(1))
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"run.json": 0o644, "history.jsonl": 0o644}


def test_every_line_of_a_history_is_json_that_any_reader_accepts(folder, record):
    """Python's own writer would put NaN, which is none: a loss that overflows in an evaluation."""
    LocalRun(folder).started(record)
    LocalRun(folder).epoch(row(1, test_loss=float("nan"), val_loss=float("inf")))
    (line,) = (folder / store.HISTORY).read_text().splitlines()
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read_run(folder).history[0].epoch == 1


def test_a_sweep_s_runs_are_read_oldest_first(tmp_path, record):
    for number, name in enumerate(["c", "a", "b"]):
        created = record.created.replace(year=2030 + number)
        LocalRun(tmp_path / "final" / name).started(record.model_copy(update={"run_id": name, "created": created}))
    (tmp_path / "final" / "not-a-run").mkdir()
    assert [each.run_id for each in read_runs(tmp_path / "final")] == ["c", "a", "b"]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_runs_is_told(tmp_path, name):
    with pytest.raises(UserError, match="holds no run"):
        read_runs(tmp_path / name)


@pytest.mark.parametrize("state", State)
def test_only_a_run_that_says_it_is_running_is_marked_as_crashed(folder, record, state):
    LocalRun(folder).started(record)
    LocalRun(folder).epoch(row(1))
    store.write_record(folder, record.changed(state=state))
    mark_crashed(folder)
    assert read_run(folder).state == (State.crashed if state == State.running else state)
    assert len(read_run(folder).history) == 1


def test_where_nothing_ran_nothing_is_marked(folder):
    mark_crashed(folder)
    assert not folder.exists()


@pytest.mark.parametrize(("text", "written"), UNPRINTED.items(), ids=lambda text: ascii(text)[1:12])
def test_what_is_not_printed_is_written_out_when_a_record_is_read(folder, ended, text, written):
    """A terminal obeyed it, and the library that draws figures died of it."""
    path = folder / store.RECORD
    stored = json.loads(path.read_text())
    hostile = {"label": text, "reason": text, "sweep": text, "config": {"data": {"name": text, text: [text, {"a": text}]}}}
    path.write_text(json.dumps(stored | hostile))
    found = read_run(folder)
    assert (found.label, found.reason, found.sweep) == (written, written, written)
    assert found.config == {"data": {"name": written, written: [written, {"a": written}]}}
    archive = folder / "records.jsonl.gz"
    archive.write_bytes(gzip.compress(path.read_bytes().replace(b"\n", b"")))
    assert store.read_archive(archive)[0].label == written


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "", "a/b", "a" * 300, "\x1b" * 60, 5, None])
def test_a_run_whose_name_is_a_path_is_no_run(folder, ended, name):
    path = folder / store.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": name}))
    with pytest.raises(UserError, match=r"run.json is damaged: remove the folder"):
        read_run(folder)
