"""Local runs go up through W&B's real client to a server on this machine."""

from datetime import timedelta

import pytest
from wandb.errors import CommError

from reglab.config import IDENTITY_VERSION
from reglab.errors import UserError
from reglab.tracking import wandb_run
from reglab.tracking.client import PROJECT
from reglab.tracking.fetch import fetch
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import LocalRun, read_runs
from reglab.tracking.sync import read, sync
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_run import WandbRun
from tests.loopback.faults import Fault
from tests.loopback.state import ENTITY
from tests.tracking.test_wandb_project import ENDS, record, row

HERE = Project(ENTITY, PROJECT)


def quiet(done, total):
    pass


@pytest.fixture
def store(tmp_path):
    """Runs that ended in every way, in the local store only."""
    folder = tmp_path / "runs" / "final"
    for seed, (state, (changes, rows)) in enumerate(ENDS.items()):
        begun = record(seed)
        local = LocalRun(folder / begun.run_id)
        local.started(begun.changed(history=rows))
        local.ended(begun.changed(state=state, **changes))
    return folder


def test_what_ran_offline_goes_up_whole_in_its_sweep_s_group_and_once(wandb_server, store):
    first = sync(read([store]).records, HERE, quiet)
    assert (first.sent, first.there, first.failed) == (len(ENDS), 0, ())
    runs = wandb_server.world.project(PROJECT).runs
    assert {run.group for run in runs.values()} == {"final"}
    assert [record.model_copy(update={"url": None}) for record in fetch(f"{HERE}/final")] == read_runs(store)
    before = wandb_server.count("UpsertBucket")
    again = sync(read([store]).records, HERE, quiet)
    assert (again.sent, again.there) == (0, len(ENDS))
    assert wandb_server.count("UpsertBucket") == before
    assert len(runs) == len(ENDS)


def test_a_run_whose_client_lost_its_server_is_completed(wandb_server, store, tmp_path):
    """Two of three epochs came through, and no end."""
    whole = next(each for each in read([store]).records if each.state == State.finished)
    lost = WandbRun(tmp_path / "lost")
    lost.started(whole.changed(history=[]))
    for each in whole.history[:2]:
        lost.epoch(each)
    lost._run.finish(exit_code=1)
    assert sync([whole], HERE, quiet).sent == 1
    (there,) = wandb_server.world.project(PROJECT).runs.values()
    assert [line["epoch"] for line in there.history] == [1, 2, 3]
    assert there.state == "finished"
    (read_back,) = fetch(str(HERE))
    assert read_back.model_copy(update={"url": None}) == whole


def test_a_run_whose_client_was_killed_between_its_summary_and_its_end_is_completed(wandb_server, store):
    """W&B takes it for crashed, and reports from there would, too."""
    whole = next(each for each in read([store]).records if each.state == State.finished)
    sync([whole], HERE, quiet)
    (there,) = wandb_server.world.project(PROJECT).runs.values()
    there.state = "crashed"
    assert sync([whole], HERE, quiet).sent == 1
    assert there.state == "finished"
    (read_back,) = fetch(str(HERE))
    assert read_back.model_copy(update={"url": None}) == whole


def before(record):
    """As an earlier version had it, and named it."""
    return record.changed(identity="0123456789ab", identity_version=0, run_id=f"0123456789ab-s{record.seed}", updated=record.updated)


def test_a_run_that_an_earlier_version_sent_in_part_is_completed_under_its_name(wandb_server, store, tmp_path):
    whole = before(next(each for each in read([store]).records if each.state == State.finished))
    lost = WandbRun(tmp_path / "lost")
    lost.started(whole.changed(history=[]))
    lost.epoch(whole.history[0])
    lost._run.finish(exit_code=1)
    now = RunRecord.stored(whole.metrics())
    assert now.identity != whole.identity
    assert sync([now], HERE, quiet).sent == 1
    (there,) = wandb_server.world.project(PROJECT).runs.values()
    assert (there.name, there.values["identity"], there.values["identity_version"]) == (whole.run_id, now.identity, IDENTITY_VERSION)
    assert [line["epoch"] for line in there.history] == [1, 2, 3]


def test_runs_of_an_earlier_version_at_w_and_b_are_recognized(wandb_server, store, tmp_path):
    for each in read([store]).records:
        run = WandbRun(tmp_path / "w")
        run.started(before(each))
        run.ended(before(each))
    for run in wandb_server.world.project(PROJECT).runs.values():
        del run.config["identity_version"]
    here, there = read([store]).records, fetch(str(HERE))
    assert [each.identity for each in there] == [each.identity for each in here]
    assert {each.formerly for each in there} == {"0123456789ab"}
    assert [each.identity for each in fetch(str(HERE))] == [each.identity for each in here]  # out of the cache


def test_runs_that_go_on_are_left_alone(wandb_server, store, tmp_path):
    here, there = record(7), record(8)
    LocalRun(tmp_path / "runs" / "final" / here.run_id).started(here)
    elsewhere = WandbRun(tmp_path / "elsewhere")
    elsewhere.started(there)
    stale = there.changed(state=State.preempted, history=[row(1)])
    outcome = sync([here, stale], HERE, quiet)
    assert (outcome.sent, outcome.there, outcome.going_on) == (0, 0, 2)
    elsewhere.ended(there.changed(state=State.finished))
    assert sync([stale.changed(state=State.crashed)], HERE, quiet).there == 1  # its end, though it was told earlier


def test_a_later_end_at_w_and_b_is_not_undone_by_an_earlier_one_here(wandb_server, tmp_path):
    begun = record(3)
    preempted = begun.changed(state=State.preempted, history=[row(1)])
    run = WandbRun(tmp_path / "elsewhere")
    run.started(begun)
    for number in (1, 2):
        run.epoch(row(number))
    run.ended(begun.changed(state=State.finished))
    assert sync([preempted], HERE, quiet).there == 1
    (there,) = wandb_server.world.project(PROJECT).runs.values()
    assert there.summary["state"] == "finished"


def test_faults_of_the_server_are_overcome(wandb_server, store):
    for kind, fault in (("UpsertBucket", Fault.error_500), ("file_stream", Fault.cut), ("file_stream", Fault.refuse)):
        wandb_server.faults.plan(kind, fault)
    assert sync(read([store]).records, HERE, quiet).failed == ()
    assert wandb_server.faults.left() == 0


def test_what_does_not_get_through_is_named(wandb_server, store, monkeypatch):
    monkeypatch.setattr("reglab.tracking.sync.WandbRun.ended", lambda self, record: self._run.finish(exit_code=0))
    outcome = sync(read([store]).records, HERE, quiet)
    assert [said for _, said in outcome.failed] == [None] * len(ENDS)


def test_one_run_that_w_and_b_refuses_keeps_no_other_back(wandb_server, store, monkeypatch):
    refused = read([store]).records[0].run_id
    replay = WandbRun.replay

    def replays(self, record):
        if record.run_id == refused:
            raise CommError("permission denied")
        replay(self, record)

    monkeypatch.setattr(WandbRun, "replay", replays)
    outcome = sync(read([store]).records, HERE, quiet)
    assert outcome.sent == len(ENDS) - 1
    assert [(record.run_id, said) for record, said in outcome.failed] == [(refused, "permission denied")]


@pytest.mark.slow
def test_a_run_that_was_deleted_at_w_and_b_stays_here_and_goes_up_under_a_new_id_on_request(wandb_server, store, monkeypatch):
    """W&B gives the name of a deleted run to no other, and its client tries that for minutes."""
    monkeypatch.setattr(wandb_run, "BEGIN_SECONDS", 2.0)
    whole = next(each for each in read([store]).records if each.state == State.finished)
    assert sync([whole], HERE, quiet).sent == 1
    project = wandb_server.world.project(PROJECT)
    project.delete(whole.run_id)
    outcome = sync([whole], HERE, quiet)
    assert (outcome.sent, outcome.failed, outcome.deleted) == (0, (), (whole,))
    assert not project.runs
    outcome = sync([whole], HERE, quiet, as_new=True)
    assert (outcome.sent, outcome.failed, outcome.deleted) == (1, (), ())
    (name,) = project.runs
    assert name.startswith(f"{whole.run_id}-20")
    assert [line["epoch"] for line in project.runs[name].history] == [1, 2, 3]
    for as_new in (False, True):
        assert sync([whole], HERE, quiet, as_new).there == 1
    project.delete(name)
    assert sync([whole], HERE, quiet, as_new=True).sent == 1
    (third,) = project.runs
    assert third not in (name, whole.run_id)
    (read_back,) = fetch(str(HERE))
    assert read_back.model_copy(update={"url": None, "wandb_id": None}) == whole
    assert read_back.wandb_id == third


def trained_anew(record, **changes):
    """Another training of a run, with other results."""
    later = record.created + timedelta(seconds=1)
    return record.changed(created=later, history=[row(1, train_loss=9.0)], **changes)


def losses(run):
    return [line["train/loss"] for line in run.history]


def test_another_training_of_a_run_goes_up_under_an_id_of_its_own_and_no_page_shows_epochs_of_two(wandb_server, store):
    """As of two machines, or of one whose records were removed."""
    whole = next(each for each in read([store]).records if each.state == State.finished)
    other = trained_anew(whole)
    assert sync([whole], HERE, quiet).sent == 1
    assert (sync([other], HERE, quiet).sent, sync([other], HERE, quiet).there, sync([whole], HERE, quiet).there) == (1, 1, 1)
    runs = wandb_server.world.project(PROJECT).runs
    assert {name: losses(run) for name, run in runs.items()} == {
        whole.run_id: [each.train_loss for each in whole.history],
        other.id_of_its_own: [9.0],
    }
    assert {each.run_id for each in fetch(str(HERE))} == runs.keys()  # nobody said that one is to stand for the other


def test_what_was_trained_anew_on_request_stands_in_place_of_what_was_before(wandb_server, store):
    whole = next(each for each in read([store]).records if each.state == State.finished)
    images = whole.environment.model_copy(update={"data_fingerprint": "corrected"})
    other = trained_anew(whole, again=True, environment=images)
    other = other.model_copy(update={"wandb_id": other.id_of_its_own})
    assert sync([whole], HERE, quiet).sent == sync([other], HERE, quiet).sent == 1
    assert len(wandb_server.world.project(PROJECT).runs) == 2
    for _ in range(2):  # the second time out of the cache
        (there,) = fetch(str(HERE))
        assert there.model_copy(update={"url": None}) == other
        assert there.url.endswith(f"/{other.wandb_id}")


def test_a_run_on_other_images_than_the_one_at_w_and_b_is_not_sent(wandb_server, store):
    whole = next(each for each in read([store]).records if each.state == State.finished)
    assert sync([whole], HERE, quiet).sent == 1
    other = trained_anew(whole, environment=whole.environment.model_copy(update={"data_fingerprint": "g"}))
    outcome = sync([other], HERE, quiet)
    ((_, said),) = outcome.failed
    assert said.startswith("W&B holds this run on other images that are called digits, too: their fingerprint is f, that of these is g:")
    assert list(wandb_server.world.project(PROJECT).runs) == [whole.run_id]


def test_a_run_of_a_sweep_at_w_and_b_is_one_whichever_machine_went_on_with_it(wandb_server, store):
    """Its id is W&B's own, and each machine has its own record of when it began there."""
    whole = next(each for each in read([store]).records if each.state == State.finished).changed(run_id="q1w2e3r4")
    assert sync([whole], HERE, quiet).sent == 1
    assert sync([whole.model_copy(update={"created": whole.created - timedelta(hours=1)})], HERE, quiet).there == 1
    assert list(wandb_server.world.project(PROJECT).runs) == ["q1w2e3r4"]


def test_a_run_whose_history_is_not_whole_is_named_and_not_sent_and_one_that_is_whole_there_is_there(wandb_server, store):
    (finished,) = [each for each in read([store]).records if each.state == State.finished]
    whole = (store / finished.run_id / "history.jsonl").read_bytes()
    (store / finished.run_id / "history.jsonl").write_bytes(b"")
    outcome = sync(read([store]).records, HERE, quiet)
    ((failed, reason),) = outcome.failed
    assert failed.run_id == finished.run_id and finished.run_id not in wandb_server.world.project(PROJECT).runs
    assert "history.jsonl has 0 whole rows of 3 epochs" in reason
    (store / finished.run_id / "history.jsonl").write_bytes(whole)
    assert sync(read([store]).records, HERE, quiet).sent == 1
    (store / finished.run_id / "history.jsonl").write_bytes(b"")
    assert sync(read([store]).records, HERE, quiet).there == len(ENDS)


def test_one_damaged_record_keeps_no_other_back(store):
    (damaged, *_) = sorted(store.glob("*/run.json"))
    damaged.write_text("{")
    found = read([store])
    assert len(found.records) == len(ENDS) - 1
    assert [f"{damaged} is damaged" in line for line in found.damaged] == [True]


def test_folders_may_be_a_run_a_sweep_or_all_and_a_run_that_two_hold_counts_once(store):
    (one, *_) = ids = {path.parent.name for path in store.glob("*/run.json")}
    assert [record.run_id for record in read([store / one]).records] == [one]
    assert {record.run_id for record in read([store]).records} == ids
    assert len(read([store.parent, store]).records) == len(ENDS)
    with pytest.raises(UserError, match="holds no run"):
        read([store / "nowhere"])


def test_of_two_records_of_a_run_the_finished_one_goes_up_wherever_it_lies(store):
    (finished,) = [each for each in read([store]).records if each.state == State.finished]
    begun = LocalRun(store.parent / "train" / finished.run_id)
    begun.started(finished.changed(history=[]))
    begun.ended(finished.changed(state=State.preempted, history=[]))
    assert finished in read([store.parent]).records


def test_two_runs_of_one_name_on_other_images_are_refused(store):
    (finished,) = [each for each in read([store]).records if each.state == State.finished]
    images = finished.environment.model_copy(update={"data_fingerprint": "others"})
    other = LocalRun(store.parent / "other" / finished.run_id)
    other.started(finished.changed(environment=images))
    with pytest.raises(UserError, match="never pooled"):
        read([store.parent])
