import io
import math
import os
import pickle
from dataclasses import replace

import pytest
import torch

from reglab import techniques
from reglab.errors import ReglabError, UserError
from reglab.processes.signals import Request, Signals
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.training import checkpoint
from reglab.training.resume import resume
from reglab.training.run import Run
from tests.training import trained

CPU = torch.device("cpu")
STATE = {"network": {"weight": torch.arange(6.0)}, "order": None, "steps_done": 3, "history": [{"epoch": 1, "train/loss": 0.5}]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "checkpoint.pt"


def test_a_state_comes_back_as_it_was(path):
    checkpoint.save(File(path), STATE)
    found = checkpoint.load(File(path))
    assert torch.equal(found["network"]["weight"], STATE["network"]["weight"])
    assert {key: found[key] for key in ("order", "steps_done", "history")} == {
        key: STATE[key] for key in ("order", "steps_done", "history")
    }


def test_there_may_be_none(path):
    assert checkpoint.load(File(path)) is None


class _Code:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": checkpoint.FORMAT, "network": _Code(tmp_path / "ran")}, path)
    with pytest.raises(UserError) as caught:
        checkpoint.load(File(path))
    assert "weights_only" not in str(caught.value)  # torch advises to run it
    assert not (tmp_path / "ran").exists()
    with path.open("wb") as stream:
        pickle.dump(_Code(tmp_path / "ran"), stream)
    with pytest.raises(UserError):
        checkpoint.load(File(path))
    assert not (tmp_path / "ran").exists()


def test_a_run_s_checkpoint_holds_data_only(path, make_run):
    run = make_run(batchnorm={"layers": 1}, dropout={"layers": 1, "p": 0.2})
    run.train_until(0.0, Signals())
    checkpoint.save(File(path), run.state_dict())
    assert torch.load(path, weights_only=True)["steps_done"] == 1


def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_checkpoint(path, monkeypatch):
    checkpoint.save(File(path), STATE | {"steps_done": 1})

    def save(state, stream):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(File(path), STATE)
    assert checkpoint.load(File(path))["steps_done"] == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_called_one(path):
    """torch speaks of its file format instead."""

    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        checkpoint._write(STATE, Full())


def saved(content):
    return lambda path: torch.save(content, path)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "text": lambda path: path.write_text("a checkpoint\nof two lines"),
    "cut_short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "cut_in_half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "overwritten": lambda path: path.write_bytes(path.read_bytes()[:300] + b"\0" * 200 + path.read_bytes()[500:]),
    "another_version": saved({"format": checkpoint.FORMAT + 1}),
    "no_version": saved({"network": {}}),
    "a_tensor": saved(torch.zeros(3)),
    "a_list": saved([1, 2]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_foreign_file_is_named_in_one_line_that_says_what_to_do(path, damage):
    checkpoint.save(File(path), STATE)
    damage(path)
    with pytest.raises(UserError) as caught:
        checkpoint.load(File(path))
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "remove it to train this run from the start" in line
    assert "\n" not in line


def flipped(path, place, count=64):
    content = bytearray(path.read_bytes())
    content[place : place + count] = bytes(byte ^ 0xFF for byte in content[place : place + count])
    path.write_bytes(content)


@pytest.mark.parametrize("part", range(20))
def test_flipped_bytes_wherever_they_are_are_never_taken_over(path, part):
    """What comes through flipped only in what torch does not read: the padding between the parts."""
    state = {"network": {"weight": torch.arange(300.0)}, "history": [{"epoch": 1, "train/loss": 0.5}]}
    checkpoint.save(File(path), state)
    flipped(path, part * (path.stat().st_size - 64) // 19)
    try:
        found = checkpoint.load(File(path))
    except checkpoint.DamagedCheckpointError:
        return
    assert torch.equal(found["network"]["weight"], state["network"]["weight"])
    assert found["history"] == state["history"]


def test_flipped_weights_are_damage(path):
    """torch itself reads them without a word."""
    checkpoint.save(File(path), {"network": {"weight": torch.zeros(4096)}})
    flipped(path, path.read_bytes().index(b"\0" * 8192) + 4096)
    assert torch.load(path, weights_only=True)["network"]["weight"].any()
    with pytest.raises(checkpoint.DamagedCheckpointError, match=r"is damaged \(its part .* has another checksum\)"):
        checkpoint.load(File(path))


def test_a_folder_in_its_place_is_not_taken_for_none(path):
    path.mkdir(parents=True)
    with pytest.raises(ReglabError, match="is a folder, not a file: remove it"):
        checkpoint.load(File(path))


@pytest.fixture
def left_behind(make_run, path):
    """The checkpoint of a run after one of its two epochs."""
    run = make_run()
    run.train_until(float("inf"), Signals())
    run.end_epoch(run.sums.read())
    checkpoint.save(File(path), run.state_dict())
    return path


def two_epochs(make_run, path):
    """A run of three epochs with a checkpoint after each of the first two."""
    run = make_run(train={"epochs": 3})
    for _ in range(2):
        run.train_until(float("inf"), Signals())
        run.end_epoch(run.sums.read())
        checkpoint.save(File(path), run.state_dict())


@pytest.mark.parametrize("damages", [1, 2])
def test_a_run_whose_checkpoint_is_damaged_goes_on_from_the_one_before_or_begins_again(
    make_run, make_record, images, path, caplog, damages
):
    two_epochs(make_run, path)
    for name in ("checkpoint.pt", "checkpoint.pt.before")[:damages]:
        damaged = path.with_name(name)
        damaged.write_bytes(damaged.read_bytes()[:-100])
    ended, watch = outcome(make_run(train={"epochs": 3}), path, make_record, images)
    assert (ended.state, watch.resumed_behind) == (State.finished, 2 - damages)
    assert caplog.text.count("set aside; the run goes on from the checkpoint before, or begins again") == damages
    assert f"{path} is damaged (" in caplog.text
    whole = trained.train(make_run(train={"epochs": 3}), make_record(make_run()), None, [], File(path.with_name("other")), Signals())
    assert [row.train_loss for row in ended.history] == [row.train_loss for row in whole.history]
    assert not list(path.parent.glob("checkpoint*"))


def test_a_damaged_checkpoint_that_was_set_aside_is_not_forgotten(make_run, path):
    """The run is killed before it leaves another one."""
    two_epochs(make_run, path)
    path.write_bytes(b"PK")
    for _ in range(2):
        run = make_run(train={"epochs": 3})
        assert resume(run, File(path))
        assert run.epochs_done == 1


class Watch:
    """A sink that keeps what it is told."""

    def __init__(self):
        self.resumed_behind, self.rows = None, []

    def started(self, record):
        self.resumed_behind = len(record.history)

    def epoch(self, row):
        self.rows.append(row)

    def preempting(self):
        raise AssertionError("nobody asked for it")

    def ended(self, record):
        self.record = record


def outcome(run, path, make_record, images):
    watch = Watch()
    signals = Signals()
    ended = trained.train(run, make_record(run), None, [watch], File(path), signals)
    assert signals.received == Request.none
    return ended, watch


def test_a_run_goes_on_from_its_checkpoint(left_behind, make_run, make_record, images):
    ended, watch = outcome(make_run(), left_behind, make_record, images)
    assert ended.state == State.finished
    assert watch.resumed_behind == 1
    assert [row.epoch for row in watch.rows] == [2]


def test_what_a_network_remembers_in_buffers_of_any_kind_goes_on_with_it(make_run, path):
    """They may be no part of its state, empty at first, and new tensors after each step."""
    sections = {"model": {"name": "tests.models.own:Remembering"}}
    whole, run, again = make_run(**sections), make_run(**sections), make_run(**sections)
    for each in (whole, run):
        each.warm_up()
        each.train_until(math.inf, Signals())
        each.end_epoch(each.sums.read())
    checkpoint.save(File(path), run.state_dict())
    assert resume(again, File(path))
    again.warm_up()
    rows = []
    for each in (whole, again):
        each.train_until(math.inf, Signals())
        rows.append(each.end_epoch(each.sums.read()))
    assert rows[0].train_loss == rows[1].train_loss and rows[0].test_loss == rows[1].test_loss
    assert again.network.batches == 8 and torch.equal(again.network.mean, whole.network.mean)


def test_a_checkpoint_of_before_buffers_beside_the_state_were_kept_is_used(make_run, path):
    run, again = (make_run(model={"name": "tests.models.own:Remembering"}) for _ in range(2))
    run.train_until(0.0, Signals())
    state = run.state_dict()
    del state["unsaved"]
    checkpoint.save(File(path), state)
    assert resume(again, File(path)) and torch.equal(again.network.mean, run.network.mean)


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"seed": 1}},
        {"train": {"epochs": 3}},
        {"optimizer": {"lr": 0.002}},
        {"agc": {"enabled": True}},
        {"model": {"standardize": True}},
        {"train": {"precision": "bf16"}},
    ],
)
def test_a_checkpoint_of_another_configuration_is_not_used(left_behind, make_run, make_record, images, sections):
    ended, watch = outcome(make_run(**sections), left_behind, make_record, images)
    assert watch.resumed_behind == 0
    assert [row.epoch for row in ended.history] == list(range(1, ended.config["train"]["epochs"] + 1))


def test_a_checkpoint_of_other_images_is_not_used(left_behind, make_config, make_record, images):
    run = Run(make_config(), replace(images, fingerprint="other"), CPU)
    _, watch = outcome(run, left_behind, make_record, images)
    assert watch.resumed_behind == 0


@pytest.fixture
def left_by_an_earlier_version(left_behind):
    """It named the run after an identity of that version, and held no configuration."""
    state = torch.load(left_behind, weights_only=True)
    del state["config"]
    torch.save(state | {"run": "0123456789ab-s0"}, left_behind)
    return left_behind


def test_a_checkpoint_of_an_earlier_version_is_used_where_the_record_tells_whose_it_is(left_by_an_earlier_version, make_run, make_record):
    run, watch = make_run(), Watch()
    record = make_record(run).changed(formerly="0123456789ab")
    ended = trained.train(run, record, None, [watch], File(left_by_an_earlier_version), Signals())
    assert (ended.state, watch.resumed_behind) == (State.finished, 1)


@pytest.mark.parametrize("formerly", [None, "ba9876543210"])
def test_a_checkpoint_of_an_earlier_version_that_nothing_tells_of_is_refused(left_by_an_earlier_version, make_run, formerly):
    with pytest.raises(UserError, match=r"is a checkpoint of an earlier version of reglab.*: go on with that version, or remove it"):
        resume(make_run(), File(left_by_an_earlier_version), formerly)
    assert left_by_an_earlier_version.exists()


@pytest.mark.parametrize(
    "lacks", [lambda state: state.pop("places"), lambda state: state["sums"].pop("techniques")], ids=["places", "sums"]
)
def test_a_state_that_was_kept_otherwise_is_not_taken_over(make_run, tmp_path, caplog, lacks):
    """Parameters lay in another order, and sums were others, before checkpoints told."""
    file, run = File(tmp_path / "checkpoint"), make_run()
    state = run.state_dict()
    checkpoint.save(file, state)
    assert resume(make_run(), file)
    lacks(state)
    checkpoint.save(file, state)
    assert not resume(make_run(), file)
    assert "is of a version that kept its state otherwise: the run starts anew" in caplog.text


def test_a_checkpoint_of_before_a_revision_of_what_the_run_does_is_not_used(make_run, tmp_path):
    revised = {"cutout": {"images": 2, "per": "image"}, "mixup": {"alpha": 0.2}}
    file, run = File(tmp_path / "checkpoint"), make_run(**revised)
    state = run.state_dict()
    checkpoint.save(file, state)
    assert resume(make_run(**revised), file)
    del state["revisions"]
    checkpoint.save(file, state)
    assert not resume(make_run(**revised), file)


def test_a_checkpoint_of_a_network_of_other_code_is_not_used(make_run, tmp_path, monkeypatch):
    """Under the id that W&B gives, a run keeps its folder when its code changes."""
    file, own = File(tmp_path / "checkpoint"), {"name": "tests.models.own:small"}
    state = make_run(model=own).state_dict()
    checkpoint.save(file, state)
    assert resume(make_run(model=own), file)
    checkpoint.save(file, state | {"code": {"model.name": "0123456789ab"}})
    assert not resume(make_run(model=own), file)


def test_a_checkpoint_of_a_technique_of_other_code_is_not_used(make_run, tmp_path, monkeypatch):
    """At W&B a run keeps its id, whatever was edited meanwhile."""
    file = File(tmp_path / "checkpoint")
    for source, is_used in (("abc", False), ("abc", True), ("def", False)):
        foreign = tuple(replace(each, source=source) if each.name == "agc" else each for each in techniques.TECHNIQUES)
        monkeypatch.setattr("reglab.config.run.TECHNIQUES", foreign)
        run = make_run(agc={"enabled": True})
        assert resume(run, file) == is_used
        checkpoint.save(file, run.state_dict())


def test_a_checkpoint_tells_whose_it_is_over_another_version_of_identities(left_behind, make_run, make_record, images, monkeypatch):
    monkeypatch.setattr("reglab.config.identities.IDENTITY_VERSION", 2)
    _, watch = outcome(make_run(), left_behind, make_record, images)
    assert watch.resumed_behind == 1


def test_a_checkpoint_with_another_interval_is_used(left_behind, make_run, make_record, images):
    _, watch = outcome(make_run(train={"checkpoint_every": 1000}), left_behind, make_record, images)
    assert watch.resumed_behind == 1


def wider(make_run):
    """The network of a run of twice the width."""
    return {name: value.clone() for name, value in make_run(model={"width": 8}).network.state_dict().items()}


FOREIGN = {
    "nothing_of_a_run": lambda state, make_run: {},
    "no_network": lambda state, make_run: {name: value for name, value in state.items() if name != "network"},
    "another_network": lambda state, make_run: state | {"network": wider(make_run)},
    "tensors_that_would_be_stretched": lambda state, make_run: (
        state | {"network": {name: value.flatten()[:1] for name, value in state["network"].items()}}
    ),
    "part_of_a_network": lambda state, make_run: state | {"network": dict(list(state["network"].items())[:-1])},
    "another_optimizer": lambda state, make_run: state | {"optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}}},
    "an_optimizer_of_another_network": lambda state, make_run: state | {"optimizer": make_run(model={"width": 8}).optimizer.state_dict()},
    "an_epoch_of_other_images": lambda state, make_run: state | {"order": torch.arange(7)},
    "an_epoch_of_more_steps": lambda state, make_run: state | {"steps_done": 1000},
    "a_history_with_a_gap": lambda state, make_run: state | {"history": [state["history"][0] | {"epoch": 2}]},
    "a_history_of_something_else": lambda state, make_run: state | {"history": [{"epoch": 1}]},
    "text_where_tensors_belong": lambda state, make_run: state | {"network": "resnet50", "optimizer": None},
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_a_checkpoint_of_something_else_is_named_and_trains_nothing(left_behind, make_run, change):
    state = checkpoint.load(File(left_behind))
    checkpoint.save(File(left_behind), change(state, make_run))
    with pytest.raises(UserError) as caught:
        resume(make_run(), File(left_behind))
    line = str(caught.value)
    assert line.startswith(f"{left_behind} is no checkpoint of this run (")
    assert line.endswith("remove it to train this run from the start")
