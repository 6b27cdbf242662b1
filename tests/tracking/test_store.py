import gzip
import json
import os

import pytest

from reglab.errors import MachineError, UserError
from reglab.tracking import store
from reglab.tracking.record import SCHEMA_VERSION, RunRecord, State
from reglab.tracking.results import Epoch, Summary
from reglab.tracking.store import (
    ARCHIVE,
    HISTORY,
    LocalRun,
    mark_crashed,
    read_archive,
    read_run,
    read_runs,
    version,
    write_archive,
    write_record,
    write_run,
)
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


def lines(*numbers, **changes):
    rows = [row(number, test_accuracy=0.5, **changes) for number in numbers]
    return b"".join(each.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n" for each in rows)


HISTORIES = {
    "empty": (b"", "has 0 whole rows of 2 epochs"),
    "cut": (lines(1), "has 1 whole rows of 2 epochs"),
    "cut_within_a_row": (lines(1, 2)[:-20], "has 1 whole rows of 2 epochs"),
    "bytes": (b"\xff\xfe\x80\n", "has 0 whole rows of 2 epochs"),
    "zeros_at_the_end": (lines(1) + b"\0" * 300, "has 1 whole rows of 2 epochs"),
    "a_field_missing": (b'{"epoch": 1}\n', "has 0 whole rows of 2 epochs"),
    "a_list": (b"[1, 2]\n", "has 0 whole rows of 2 epochs"),
    "not_a_number": (lines(1, 2).replace(b"0.25", b"NaN", 1), "has 0 whole rows of 2 epochs"),
    "twice": (lines(1, 1, 2), "has epochs twice or out of order"),
    "out_of_order": (lines(2, 1), "has epochs twice or out of order"),
    "of_another_run": (lines(1) + lines(2).replace(b"0.5,", b"0.75,"), "ends with other accuracies than the run"),
    "more": (lines(1, 2, 3), "has 3 whole rows of 2 epochs"),
}


@pytest.mark.parametrize(("content", "fault"), HISTORIES.values(), ids=HISTORIES)
def test_a_history_that_is_not_the_summary_s_is_named_with_how_to_get_it_back(folder, ended, content, fault):
    (folder / store.HISTORY).write_bytes(content)
    found = read_run(folder)
    assert found.damage.startswith(f"{folder / store.HISTORY} {fault}; the summary in run.json stands: ")
    assert "--from wandb://ENTITY/PROJECT" in found.damage
    assert "\n" not in found.damage
    assert (found.state, found.summary) == (ended.state, ended.summary)


def test_a_history_that_is_gone_is_named_too_and_of_a_run_that_goes_on_nothing_is_missed(folder, ended):
    (folder / store.HISTORY).unlink()
    assert "has 0 whole rows of 2 epochs" in read_run(folder).damage
    store.write_record(folder, ended.changed(state=State.crashed, summary=None))
    assert read_run(folder).damage is None


def test_a_run_that_came_without_its_epochs_lacks_none(folder, ended):
    store.write_run(folder, ended.changed(history=[], without_history=True))
    assert read_run(folder).damage is None


def test_what_is_damaged_is_said_and_the_other_runs_are_read(tmp_path, folder, ended, caplog):
    for name in ("b", "c"):
        store.write_run(tmp_path / "final" / name, ended.model_copy(update={"run_id": name}))
    (tmp_path / "final" / "b" / store.RECORD).write_bytes(b"{")
    (tmp_path / "final" / "c" / store.HISTORY).unlink()
    assert {each.run_id for each in read_runs(tmp_path / "final", history=False)} == {"a-s0", "c"}
    assert [line.split(":")[0] for line in caplog.messages] == ["left out", "note"]
    assert str(tmp_path / "final" / "b" / store.RECORD) in caplog.text


def test_a_damaged_record_is_set_aside_and_kept(folder, ended, caplog):
    for number in ("", "-2"):
        (folder / store.RECORD).write_bytes(b"{")
        assert store.set_aside(folder) is None
        assert (folder / f"run.json.damaged{number}").read_bytes() == b"{"
        assert not (folder / store.RECORD).exists()
    assert f"{folder / store.RECORD} was damaged: it is run.json.damaged-2 now" in caplog.text
    store.write_run(folder, ended)
    assert store.set_aside(folder) == ended


def test_a_record_that_the_disk_does_not_give_is_not_damaged(folder, ended):
    (folder / store.RECORD).unlink()
    (folder / store.RECORD).symlink_to(tmp := folder / store.HISTORY / "below")
    with pytest.raises(MachineError, match="a part of its path is no folder"):
        store.set_aside(folder)
    assert not tmp.exists()


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


HALVES = [text for text in UNPRINTED if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)]
"""No UTF-8 holds them, so no run wrote them."""


@pytest.mark.parametrize("text", HALVES, ids=ascii)
def test_half_a_character_in_a_record_is_damage(folder, ended, text):
    path = folder / store.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label": text}))
    with pytest.raises(UserError, match="is damaged"):
        read_run(folder)


WHOLE = {text: written for text, written in UNPRINTED.items() if text not in HALVES}


@pytest.mark.parametrize(("text", "written"), WHOLE.items(), ids=lambda text: ascii(text)[1:12])
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


def test_a_run_of_another_program_is_stored_and_read_back_as_it_was(tmp_path):
    rows = [{"loss": 1.0, "_step": 0}, {"loss": None, "word": "ü", "ok": True}]
    record = RunRecord(
        run_id="x", sweep="s", label="x", identity="x", seed=0, config={"a": {"b": 1}}, program="p", logged={"loss": 0.5}, rows=rows
    )
    write_run(tmp_path / "x", record)
    assert read_run(tmp_path / "x") == record
    LocalRun(tmp_path / "x").logged([{"loss": float("nan")}, {"loss": 2}])
    assert read_run(tmp_path / "x").rows == [*rows, {"loss": None}, {"loss": 2}]
    with (tmp_path / "x" / HISTORY).open("a") as stream:
        stream.write('{"loss": ')  # a crash
    assert len(read_run(tmp_path / "x").rows) == 4
    assert read_run(tmp_path / "x", history=False).rows is None
    write_archive(tmp_path / ARCHIVE, [record])
    assert read_archive(tmp_path / ARCHIVE) == [record]


ROWS_LOST = {
    "within": (b'{"loss": 2}\nodd\n{"loss": 1}\n', 1),
    "zeros": (b'{"loss": 2}\n' + b"\0" * 300 + b"\n", 1),
    "too_long": (b'{"loss": 2}\n{"loss": 1}\n{"word": "' + b"a" * 10**6 + b'"}\n', 2),
}


@pytest.mark.parametrize("state", [State.finished, State.running, State.crashed])
@pytest.mark.parametrize(("content", "whole"), ROWS_LOST.values(), ids=ROWS_LOST)
def test_rows_of_another_program_that_are_lost_behind_a_damaged_line_are_told(folder, content, whole, state):
    write_run(folder, of_a_program(state))
    (folder / HISTORY).write_bytes(content)
    found = read_run(folder)
    assert len(found.rows) == whole
    assert found.damage.startswith(f"{folder / HISTORY} has {whole} whole rows, and what was logged after them is lost")
    assert ("the summary in run.json stands" in found.damage) == (state == State.finished)


@pytest.mark.parametrize("content", [b'{"loss": 2}\n{"lo', None])
def test_of_another_program_s_run_a_cut_history_is_damage_only_at_its_end(folder, content):
    for state, is_damage in ((State.crashed, False), (State.finished, True)):
        write_run(folder, of_a_program(state))
        (folder / HISTORY).unlink() if content is None else (folder / HISTORY).write_bytes(content)
        assert bool(read_run(folder).damage) == is_damage


def of_a_program(state):
    told = {"config": {}, "program": "p", "logged": {"loss": 1}, "rows": []}
    return RunRecord(run_id="x", sweep="s", label="x", identity="x", seed=0, state=state, **told)


def test_a_version_changes_with_record_and_history(tmp_path):
    record = RunRecord(run_id="x", sweep="s", label="x", identity="x", seed=0, config={}, program="p", rows=[])
    seen = [version(tmp_path)]
    write_run(tmp_path, record)
    seen.append(version(tmp_path))
    LocalRun(tmp_path).logged([{"loss": 1}])
    seen.append(version(tmp_path))
    write_record(tmp_path, record)
    seen.append(version(tmp_path))
    assert len(set(seen)) == 4
    assert version(tmp_path) == seen[-1]


def test_the_end_of_the_log_of_a_run_that_did_not_finish_is_read_and_archived(tmp_path, record):
    failed = record.model_copy(update={"state": State.failed, "summary": None, "reason": "exit code 1"})
    for name, each in (("failed", failed), ("whole", record.changed(state=State.finished))):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        store.write_run(folder, each.model_copy(update={"run_id": name}))
        (folder / store.LOG).write_text("".join(f"step {number}\n" for number in range(50)) + "\x1b[31mCUDA error\n")
    by_name = {each.run_id: each for each in store.read_runs(tmp_path / "runs")}
    assert by_name["whole"].log is None
    assert len(by_name["failed"].log) == 20
    assert by_name["failed"].log[-2:] == ["step 49", "\\x1b[31mCUDA error"]
    store.write_archive(tmp_path / "archive", by_name.values())
    assert {each.run_id: each.log for each in store.read_archive(tmp_path / "archive")} == {
        each.run_id: each.log for each in by_name.values()
    }
    store.write_record(tmp_path, by_name["failed"])
    assert "CUDA error" not in (tmp_path / store.RECORD).read_text()  # it stands in the log


def test_a_log_that_is_a_link_is_not_read(tmp_path, record):
    (tmp_path / "secret").write_text("a password")
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    store.write_run(folder, record.model_copy(update={"state": State.failed, "summary": None}))
    (folder / store.LOG).symlink_to(tmp_path / "secret")
    assert store.read_runs(tmp_path / "runs")[0].log is None
