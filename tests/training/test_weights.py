"""What a finished run keeps of its network, and that it gives the recorded accuracy again, to the last bit."""

import hashlib

import pytest
import safetensors.torch
import torch

from reglab.errors import UserError
from reglab.processes.signals import Request, Signals
from reglab.tracking.per_image import PerImage
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run
from reglab.training import evaluation, weights
from tests.conftest import TECHNIQUES
from tests.training import trained

CPU = torch.device("cpu")
KEPT = {"keep_weights": True}


@pytest.fixture
def train(make_record, tmp_path):
    """Trains a run in a folder, as the command does, without a command: returns its record."""

    def to_its_end(run, signals=None, name="run"):
        local = LocalRun(tmp_path / name)
        return trained.train(run, make_record(run), None, [local], local.checkpoint, signals or Signals(), local.weights)

    return to_its_end


@pytest.fixture
def file(tmp_path):
    return LocalRun(tmp_path / "run").weights


def with_weights(technique):
    return technique | {"train": technique.get("train", {}) | KEPT}


@pytest.mark.parametrize(
    "technique", [TECHNIQUES[name] for name in ("batchnorm", "standardize", "wide_resnet", "network_of_ones_own", "fp16")]
)
def test_kept_weights_give_the_recorded_result_to_the_last_bit(make_run, train, file, images, technique):
    record = train(make_run(**with_weights(technique)))
    found = evaluation.evaluate_kept(weights.load(file, record.weights), images, CPU)
    assert found.accuracy == record.summary.test_accuracy
    assert PerImage.of(images.test_fingerprint, found.correct.numpy()) == record.per_image
    assert found.loss == record.history[-1].test_loss


def test_buffers_that_are_no_part_of_the_state_are_kept_too(make_run, train, file, images):
    record = train(make_run(model={"name": "tests.models.own:Remembering"}, train=KEPT))
    found = evaluation.evaluate_kept(weights.load(file, record.weights), images, CPU)
    assert found.loss == record.history[-1].test_loss


def test_none_are_kept_unless_asked_for(make_run, train, tmp_path):
    assert train(make_run()).weights is None
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["history.jsonl", "run.json"]


def test_the_record_knows_them_by_their_hash(make_run, train, tmp_path):
    train(make_run(train=KEPT))
    content = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert read_run(tmp_path / "run").weights == hashlib.sha256(content).hexdigest()


def test_the_file_is_a_plain_state_of_torchvision_s_network(make_run, tmp_path):
    import torchvision

    run = make_run(train=KEPT, batchnorm={"layers": 3}, model={"width": 64})
    run.history = []
    weights.save(
        File(tmp_path / "w"),
        weights.Kept(run.config, run.images.classes, run.images.extent, run.batches.normalize, "fp32", run.network.state_dict()),
    )
    theirs = torchvision.models.resnet50(num_classes=10)
    missing, unexpected = theirs.load_state_dict(safetensors.torch.load_file(tmp_path / "w"), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)


def test_keeping_weights_changes_no_bit_of_the_run(make_run, train):
    runs = [make_run(), make_run(train=KEPT)]
    for number, run in enumerate(runs):
        train(run, name=str(number))
    one, other = (run.network.state_dict() for run in runs)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("first", [{}, KEPT], ids=["asked for on resuming", "asked for from the start"])
def test_a_run_that_was_cut_off_keeps_the_weights_of_the_undisturbed_one(make_run, train, after_step, first):
    undisturbed = train(make_run(train=KEPT), name="undisturbed")
    run, signals = make_run(train=first), Signals()
    after_step(run, 5, lambda: setattr(signals, "received", Request.preempt))
    assert train(run, signals).weights is None
    assert train(make_run(train=KEPT)).weights == undisturbed.weights


@pytest.mark.parametrize("request_", [Request.preempt, Request.stop])
def test_only_a_run_that_finishes_keeps_weights(make_run, train, after_step, tmp_path, request_):
    """Of one that is stopped in mid-epoch no accuracy is on record."""
    run, signals = make_run(train=KEPT), Signals()
    after_step(run, 6, lambda: setattr(signals, "received", request_))
    assert train(run, signals).weights is None
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_full_disk_costs_the_weights_and_not_the_run(make_run, train, monkeypatch, caplog):
    def full(file, kept):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "save", full)
    record = train(make_run(train=KEPT))
    assert (record.state, record.weights) == (State.finished, None)
    assert "the weights are lost" in caplog.text


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("change", [flipped, lambda content: content[:-100], lambda content: b""], ids=["a bit", "cut short", "empty"])
def test_other_bytes_than_the_record_tells_of_are_refused(make_run, train, file, tmp_path, change):
    record = train(make_run(train=KEPT))
    path = tmp_path / "run" / "weights.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match="not those that this run's record tells of"):
        weights.load(file, record.weights)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff" * 100, safetensors.torch.save({"a": torch.zeros(2)}), safetensors.torch.save({}, {"reglab": "{}"})],
    ids=["empty", "text", "garbage", "another's", "nothing told"],
)
def test_a_file_of_something_else_is_named_in_a_line(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as the weights of a run"):
        weights.load(File(tmp_path / "w"), hashlib.sha256(content).hexdigest())
