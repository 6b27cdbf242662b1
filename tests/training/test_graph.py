"""A captured step trains as an eager one.

Where there is no GPU, a recording stands in for the graph: it keeps every operation with the tensors that it was given, and
does them again in place, as a CUDA graph does, without the Python code in between. What a step keeps in Python, or takes from
there, shows at once.
"""

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reglab.processes.signals import Request, Signals
from reglab.techniques.applied import overrides
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.training import checkpoint, graph
from reglab.training.graph import CapturedStep
from reglab.training.resume import resume
from reglab.training.run import Run
from tests.training import trained


class Recording(TorchDispatchMode):
    """Operations, to be done again on the same tensors."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = function(*args, **(kwargs or {}))
        is_view = not function._schema.is_mutable and any(returned.alias_info for returned in function._schema.returns)
        if function.namespace == "aten" and not is_view:  # a view shows what is there
            self.operations.append((function, args, kwargs or {}, fresh(function, result)))
        return result

    def replay(self):
        for function, args, kwargs, result in self.operations:
            again = fresh(function, function(*args, **kwargs))
            for old, new in zip(result, again, strict=True):
                old.copy_(new)


def fresh(function, result):
    """The tensors that an operation made, not those that it wrote to."""
    results = result if isinstance(result, tuple | list) else [result]
    returned = function._schema.returns * (len(results) if len(function._schema.returns) == 1 else 1)
    pairs = zip(results, returned, strict=False)
    return [part for part, kind in pairs if isinstance(part, torch.Tensor) and not kind.alias_info]


def recording(device, generators):
    def capture(work):
        for _ in range(graph.WARM_UP_STEPS):
            work()
        with Recording() as recorded:
            work()

        def replay():
            with torch.no_grad():
                recorded.replay()

        return replay

    return capture


@pytest.fixture
def captured(monkeypatch):
    """Runs on the CPU are captured, by the stand-in."""
    monkeypatch.setattr(graph, "capturing", recording)
    monkeypatch.setattr(Run, "_captures", property(lambda run: run.config.train.graph is not False))


@pytest.fixture
def train(make_record, tmp_path):
    numbers = itertools.count()

    def to_its_end(run, name=None, signals=None):
        file = File(tmp_path / (name or str(next(numbers))) / "checkpoint.pt")
        return trained.train(run, make_record(run), None, [], file, signals or Signals())

    return to_its_end


def weights(run):
    return torch.cat([value.flatten().double() for value in run.network.state_dict().values()])


@pytest.mark.slow
def test_a_captured_run_is_the_eager_one_bit_for_bit(make_run, train, captured, technique):
    ours = make_run(**technique)
    record = train(ours)
    eager = make_run(**technique | {"train": {**technique.get("train", {}), "graph": False}})
    expected = train(eager)
    assert ours.captured and not eager.captured
    assert torch.equal(weights(ours), weights(eager))
    for one, other in zip(record.history, expected.history, strict=True):
        clocks = {"time_train_seconds", "time_wall_seconds", "time_cpu_seconds", "throughput_images_per_second"}
        assert one.model_dump(exclude=clocks) == other.model_dump(exclude=clocks)


def test_a_smaller_last_batch_is_captured_too(make_run, train, captured):
    runs = [make_run(train={"batch_size": 48, "graph": wanted}, cutout={"images": 3}) for wanted in ("auto", False)]
    assert runs[0].batches.sizes == [48, 32]
    for run in runs:
        train(run)
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert runs[0].history[0].train_loss == runs[1].history[0].train_loss


def test_a_captured_run_resumes_at_the_very_step(make_run, train, captured, after_step):
    sections = {"dropout": {"layers": 3, "p": 0.3}, "optimizer": {"schedule": "cosine"}, "augment": {"policy": "basic"}}
    undisturbed = make_run(**sections)
    train(undisturbed)
    run, signals, calls = make_run(**sections), Signals(), itertools.count(1)
    positions = run.batches.positions

    def at_the_sixth(order, step):
        if next(calls) == 6:
            signals.received = Request.preempt
        return positions(order, step)

    run.batches.positions = at_the_sixth
    assert train(run, "same", signals).state == State.preempted
    again = make_run(**sections)
    assert train(again, "same").state == State.finished
    assert torch.equal(weights(again), weights(undisturbed))
    assert again.history[-1].dropout_rate == undisturbed.history[-1].dropout_rate


def test_every_step_has_its_own_rate_in_a_graph(make_run, train, captured):
    run = make_run(optimizer={"name": "sgd", "lr": 0.1, "schedule": "cosine", "warmup_epochs": 1})
    train(run)
    other = make_run(optimizer={"name": "sgd", "lr": 0.1, "schedule": "constant"})
    train(other)
    assert not torch.equal(weights(run), weights(other))


def test_a_diverging_loss_is_told_by_its_step_in_a_graph(make_run, train, captured):
    sections = {"optimizer": {"name": "sgd", "lr": 1e6}}
    record, expected = train(make_run(**sections)), train(make_run(**sections, train={"graph": False}))
    assert record.state == expected.state == State.diverged
    assert record.reason == expected.reason


def test_only_a_step_that_counts_dropout_is_captured_twice(make_run, captured, monkeypatch):
    cases = []

    class Asked(CapturedStep):
        def __init__(self, step, wanted, *rest):
            cases.append(list(wanted))

    monkeypatch.setattr("reglab.training.run.CapturedStep", Asked)
    make_run().warm_up()
    make_run(dropout={"layers": 1, "p": 0.2}).warm_up()
    make_run(train={"batch_size": 48}).warm_up()
    assert cases == [[(32, False)], [(32, False), (32, True)], [(48, False), (32, False)]]


def waiting(run, monkeypatch, piece="gradients"):
    """After a piece of its step it asks the device for a number, which a capture forbids."""
    owner = run.step if hasattr(run.step, piece) else next(each for each in run.applied if overrides(each, piece))
    done = getattr(owner, piece)

    def waits(*arguments):
        found = done(*arguments)
        run.sums.values[0].item()
        return found

    monkeypatch.setattr(owner, piece, waits)
    return run


def test_a_step_that_cannot_be_captured_is_trained_eagerly_and_the_log_says_why(make_run, train, captured, monkeypatch, caplog):
    run, plain = waiting(make_run(), monkeypatch), make_run(train={"graph": False})
    record = train(run)
    assert record.state == State.finished
    assert not run.captured
    (line,) = [line for line in caplog.messages if "CUDA graph" in line]
    assert "not permitted when stream is capturing" in line
    train(plain)
    assert torch.equal(weights(run), weights(plain))


def test_a_network_that_replaces_its_buffers_is_trained_eagerly_and_the_log_says_why(make_run, train, captured, caplog):
    """A graph would read the mean that it was captured with in each of its steps."""
    sections = {"model": {"name": "tests.models.own:Remembering"}}
    run, plain = make_run(**sections), make_run(**sections, train={"graph": False})
    expected, found = train(plain), train(run)
    assert not run.captured and torch.equal(run.network.mean, plain.network.mean)
    assert found.history[-1].test_loss == expected.history[-1].test_loss
    (line,) = [line for line in caplog.messages if "CUDA graph" in line]
    assert "new tensors in the place of buffers (mean): self.mean.copy_(" in line


def test_the_record_says_whether_steps_were_captured(make_run, make_record, captured, tmp_path):
    from reglab.tracking.record import Environment

    fields = {name: "x" for name, field in Environment.model_fields.items() if field.annotation is str}
    where = Environment(**fields, threads=1, compiled=False, train_images=128, test_images=64)
    for wanted in ("auto", False):
        run = make_run(train={"graph": wanted})
        record = trained.train(run, make_record(run), where, [], File(tmp_path / str(wanted)), Signals())
        assert record.environment.captured == (wanted == "auto")


def test_without_a_gpu_nothing_is_captured(make_run):
    run = make_run(train={"graph": True})
    run.warm_up()
    assert not run.captured


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_on_a_gpu_a_captured_run_trains_as_the_eager_one(make_gpu_run, technique, precision):
    """Not bit for bit, since cuDNN may choose other kernels; and training soon makes much of small differences."""
    losses = []
    for wanted in ("auto", False):
        run = make_gpu_run(**technique | {"train": {**technique.get("train", {}), "precision": precision, "graph": wanted, "epochs": 3}})
        run.warm_up()
        assert run.captured == (wanted == "auto")
        rows = []
        for _ in range(3):
            run.train_until(math.inf, Signals())
            rows.append(run.end_epoch(run.sums.read()).train_loss)
        losses.append(rows)
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.05)
    assert all(map(math.isfinite, losses[0] + losses[1]))


@pytest.mark.gpu
def test_on_a_gpu_a_captured_run_resumes_with_the_draws_that_it_had(make_gpu_run, tmp_path):
    sections = {"dropout": {"layers": 3, "p": 0.3}, "augment": {"policy": "basic"}}
    run = make_gpu_run(**sections)
    run.warm_up()
    run.train_until(0.0, Signals())
    file = File(tmp_path / "checkpoint")
    checkpoint.save(file, run.state_dict())
    masks = torch.cuda.get_rng_state()
    again = make_gpu_run(**sections)
    assert resume(again, file)
    again.warm_up()
    for each in (run, again):
        torch.cuda.set_rng_state(masks)  # the two share the generator of dropout
        each.train_until(math.inf, Signals())
    assert torch.equal(run.draws.get_state(), again.draws.get_state())
    assert again.sums.read().loss == pytest.approx(run.sums.read().loss, rel=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_on_a_gpu_a_step_that_cannot_be_captured_is_trained_eagerly(make_gpu_run, train, monkeypatch, precision):
    sections = {"agc": {"enabled": True}, "dropout": {"layers": 3, "p": 0.3}, "augment": {"policy": "basic"}}
    run = waiting(make_gpu_run(**sections, train={"precision": precision}), monkeypatch, "on_gradients")
    assert train(run).state == State.finished
    assert not run.captured
