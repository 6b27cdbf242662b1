import itertools
import math
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from reglab.config import identity
from reglab.data import batches
from reglab.data.images import Split
from reglab.errors import ReglabError, UserError
from reglab.processes.signals import FROM_OUTSIDE, UNDER_WANDB, Interrupted, Request, Signals
from reglab.tracking.record import State
from reglab.tracking.results import Epoch
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run
from reglab.training import checkpoint, clock, environment, optimizer
from reglab.training.run import Run
from reglab.training.step import EpochSums, TrainingStep
from reglab.training.summary import summary as summary_of
from tests.conftest import TECHNIQUES
from tests.training import trained

CPU = torch.device("cpu")

STEPS = 4
"""Of an epoch of a tiny run."""


@pytest.fixture
def train(make_record, tmp_path):
    """Trains a run as the command does, without a command: returns its record."""

    def to_its_end(run, sinks=(), signals=None):
        return trained.train(run, make_record(run), None, sinks, File(tmp_path / "run" / "checkpoint.pt"), signals or Signals())

    return to_its_end


def weights(run):
    return torch.cat([value.flatten().double() for value in run.network.state_dict().values()])


# Techniques


@pytest.fixture(scope="module")
def plain(make_config, images, make_record, tmp_path_factory):
    """The tiny run without any technique, trained."""
    run, folder = Run(make_config(), images, CPU), tmp_path_factory.mktemp("plain")
    trained.train(run, make_record(run), None, (), File(folder / "checkpoint.pt"), Signals())
    return run


def test_a_technique_trains_the_same_each_time_and_changes_the_run(make_run, train, plain, technique):
    one = make_run(**technique)
    before = {name: parameter.detach().clone() for name, parameter in one.network.named_parameters()}
    record = train(one)
    assert record.state == State.finished
    assert [row.epoch for row in record.history] == [1, 2]
    assert all(math.isfinite(value) for row in record.history for value in row.metrics().values())
    for name, parameter in one.network.named_parameters():
        assert parameter.isfinite().all(), name
        assert not torch.equal(parameter, before[name]), name
    other = make_run(**technique)  # which sets the random numbers' state
    train(other)
    assert torch.equal(weights(one), weights(other))
    assert (plain.history[-1].train_loss == one.history[-1].train_loss) == (not technique)


def test_the_loss_falls(make_run, train):
    losses = [row.train_loss for row in train(make_run(train={"epochs": 8})).history]
    assert losses[0] == pytest.approx(math.log(10), abs=0.1)
    assert losses[-1] < losses[0] - 0.3


OFF = {
    "batchnorm": ({}, {"batchnorm": {"layers": 0}}),
    "placement": ({}, {"model": {"placement": "stage"}}),
    "dropout_without_layers": ({}, {"dropout": {"layers": 0, "p": 0.5}}),
    "dropout_at_zero": ({}, {"dropout": {"layers": 3, "p": 0.0}}),
    "dropout_in_the_first_layer_only": (
        {"dropout": {"layers": 1, "p": 0.3}},
        {"dropout": {"layers": 3, "p1": 0.3, "p2": 0, "p3": 0}},
    ),
    "agc": ({}, {"agc": {"enabled": False, "clip": 1e-6}}),
    "augment_none": ({}, {"augment": {"policy": "none", "shift": 8, "rotate": 90}}),
    "augment_without_moves": ({}, {"augment": {"policy": "basic", "shift": 0, "flip": False, "rotate": 0}}),
    "cutout": ({}, {"cutout": {"images": 0, "size": 32, "per": "image"}}),
    "momentum_of_adam": ({}, {"optimizer": {"momentum": 0.5}}),
    "adamw_without_decay": ({}, {"optimizer": {"name": "adamw"}}),
}
"""Pairs that are one arm: what is off, or has no effect, must leave a run as it is, bit for bit."""


@pytest.mark.parametrize(("without", "off"), OFF.values(), ids=OFF)
def test_a_technique_does_nothing_when_off(make_config, make_run, train, plain, without, off):
    assert identity(make_config(**without)) == identity(make_config(**off))
    one = plain
    if without:
        one = make_run(**without)
        train(one)
    other = make_run(**off)
    train(other)
    assert torch.equal(weights(one), weights(other))
    assert [row.train_loss for row in one.history] == [row.train_loss for row in other.history]


def test_the_seed_decides_the_run(make_run):
    one, other = make_run(), make_run(train={"seed": 1})
    assert not torch.equal(weights(one), weights(other))
    assert not torch.equal(one.batches.order(one.draws), other.batches.order(other.draws))


def test_probes_show_that_the_treatment_happened(make_run, train):
    treated = {"agc": {"enabled": True, "clip": 1e-4}, "dropout": {"layers": 3, "p": 0.4}, "cutout": {"images": 8, "size": 16}}
    for row in train(make_run(**treated)).history:
        assert 0.5 < row.agc_clipped_fraction <= 1
        assert row.dropout_rate == pytest.approx(0.4, abs=0.05)
        assert row.cutout_masked_fraction == pytest.approx(8 * 16 * 16 / (40 * 32 * 32))  # of 32 originals and 8 copies
    for row in train(make_run()).history:
        assert (row.agc_clipped_fraction, row.dropout_rate, row.cutout_masked_fraction) == (None, None, None)


# The epoch


def test_every_step_has_its_own_rate(make_run, train, monkeypatch):
    run, rates = make_run(optimizer={"lr": 0.01, "schedule": "cosine", "warmup_epochs": 1}), []
    step = run.optimizer.step
    monkeypatch.setattr(
        run.optimizer, "step", lambda *args, **options: (rates.append(float(run.optimizer.param_groups[0]["lr"])), step())[1]
    )
    record = train(run)
    del rates[0]  # of the warm-up
    assert rates == pytest.approx([optimizer.learning_rate(run.config.optimizer, 2, done / STEPS) for done in range(2 * STEPS)])
    assert record.history[1].lr == pytest.approx(rates[-1])


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own(make_run, monkeypatch):
    run, orders = make_run(), []
    positions = run.batches.positions
    monkeypatch.setattr(run.batches, "positions", lambda order, step: (orders.append(order.tolist()), positions(order, step))[1])
    for _ in range(2):
        run.train_until(math.inf, Signals())
        run.end_epoch(run.sums.read())
    first, second = orders[0], orders[STEPS]
    assert sorted(first) == sorted(second) == list(range(128))
    assert first != second
    assert orders == [first] * STEPS + [second] * STEPS


def test_running_accuracy_and_loss_are_of_the_training_batches_as_they_were_trained_on(make_run, monkeypatch):
    run, seen = make_run(dropout={"layers": 3, "p": 0.3}, cutout={"images": 4}), []
    gradients = run.step.gradients

    def keep(batch):
        loss, logits = gradients(batch)
        seen.append((loss.item() * len(batch.labels), (logits.argmax(1) == batch.labels).sum().item(), len(batch.labels)))
        return loss, logits

    monkeypatch.setattr(run.step, "gradients", keep)
    run.train_until(math.inf, Signals())
    row = run.end_epoch(run.sums.read())
    losses, correct, counts = (sum(column) for column in zip(*seen, strict=True))
    assert counts == STEPS * 36
    assert row.train_loss == pytest.approx(losses / counts)
    assert row.train_accuracy == pytest.approx(correct / counts)


def test_the_device_is_read_once_an_epoch(make_run, train, monkeypatch):
    reads, read = [], EpochSums.read
    monkeypatch.setattr(EpochSums, "read", lambda sums: (reads.append(1), read(sums))[1])
    train(make_run(train={"epochs": 3}))
    assert len(reads) == 3


def test_evaluation_equals_a_plain_loop(make_run, images, monkeypatch):
    monkeypatch.setattr(batches, "EVALUATION_BATCH", 7)  # 64 images: the last batch is smaller
    run = make_run(batchnorm={"layers": 2}, dropout={"layers": 3, "p": 0.5})
    run.train_until(math.inf, Signals())
    found = run.evaluate(run.clean_test)

    pixels = torch.from_numpy(images.train.images).double().flatten(0, 2)
    mean, std = pixels.mean(0), pixels.std(0, correction=0)
    x = ((torch.from_numpy(images.test.images).double() - mean) / std).permute(0, 3, 1, 2).float()
    y = torch.from_numpy(images.test.labels)
    run.network.eval()
    with torch.no_grad():
        logits = torch.cat([run.network(one[None]) for one in x])
    assert found.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-4)
    assert found.accuracy == (logits.argmax(1) == y).double().mean().item()


def test_training_goes_on_in_training_mode_after_an_evaluation(make_run):
    run = make_run(dropout={"layers": 1, "p": 0.5})
    run.train_until(math.inf, Signals())
    run.end_epoch(run.sums.read())
    run.train_until(0.0, Signals())
    assert run.network.training


def test_an_evaluation_changes_nothing(make_run):
    run = make_run(batchnorm={"layers": 3}, dropout={"layers": 3, "p": 0.5})
    run.train_until(0.0, Signals())
    before, rng, draws = weights(run), torch.get_rng_state(), run.draws.get_state()
    run.evaluate(run.clean_test)
    assert torch.equal(weights(run), before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(run.draws.get_state(), draws)


def test_evaluations_are_every_few_epochs_and_after_the_last(make_run, train):
    history = train(make_run(train={"epochs": 5, "eval_every": 2})).history
    assert [row.epoch for row in history if row.test_accuracy is not None] == [2, 4, 5]
    assert [row.epoch for row in history if row.train_gap is not None] == [2, 4, 5]


def test_the_interval_of_evaluations_does_not_change_training(make_run, train):
    often, seldom = make_run(train={"epochs": 3}), make_run(train={"epochs": 3, "eval_every": 3})
    train(often)
    train(seldom)
    assert torch.equal(weights(often), weights(seldom))


def test_gap_is_running_training_accuracy_minus_test_accuracy(make_run, train):
    for row in train(make_run()).history:
        assert row.train_gap == row.train_accuracy - row.test_accuracy


def test_a_validation_part_is_evaluated_too(make_config, images, train):
    held_out = replace(images, validation=Split(images.test.images[:10], images.test.labels[:10]))
    run = Run(make_config(), held_out, CPU)
    record = train(run)
    assert all(row.val_loss is not None and row.val_accuracy is not None for row in record.history)
    assert record.history[-1].val_accuracy == run.evaluate(run.clean_val).accuracy
    assert record.summary.val_accuracy == record.history[-1].val_accuracy
    assert record.summary.val_best_accuracy == max(row.val_accuracy for row in record.history)


def test_a_sink_hears_a_run_from_its_start_to_its_end(make_run, train):
    heard = []
    sink = SimpleNamespace(
        started=lambda record: heard.append((record.state, len(record.history))),
        epoch=lambda row: heard.append(row.epoch),
        ended=lambda record: heard.append((record.state, len(record.history), record.summary.epochs)),
    )
    train(make_run(), [sink])
    assert heard == [(State.running, 0), 1, 2, (State.finished, 2, 2)]


# Clocks


@pytest.fixture
def now(monkeypatch):
    """Time that goes on by a second a step, 100 an evaluation and 10,000 a checkpoint, and else stands still."""
    time = SimpleNamespace(seconds=0.0)
    clocked = SimpleNamespace(perf_counter=lambda: time.seconds)
    monkeypatch.setattr(clock, "time", clocked)
    for module in ("loop", "run"):
        monkeypatch.setattr(f"reglab.training.{module}.time", clocked)

    def costs(owner, name, seconds):
        call = getattr(owner, name)

        def wrapped(*arguments, **options):
            time.seconds += seconds
            return call(*arguments, **options)

        monkeypatch.setattr(owner, name, wrapped)

    costs(TrainingStep, "__call__", 1)
    costs(Run, "evaluate", 100)
    costs(checkpoint, "save", 10_000)
    return time


def test_the_training_clock_leaves_out_evaluation_and_checkpoints(make_run, train, now):
    record = train(make_run(train={"checkpoint_every": 0}))
    assert [row.time_train_seconds for row in record.history] == [4, 8]
    assert [row.throughput_images_per_second for row in record.history] == [32, 32]
    assert record.summary.time_train_seconds == 8
    checkpoints = 2 * STEPS - 1  # after every step but the last
    assert (
        record.summary.time_wall_seconds == 1 + 8 + 3 * 100 + checkpoints * 10_000
    )  # a warm-up; the third evaluation for clean training accuracy


def test_the_training_clock_leaves_out_warm_up(make_run, now, monkeypatch):
    run = make_run()
    gradients = run.step.gradients

    def slow(batch):
        now.seconds += 50
        return gradients(batch)

    monkeypatch.setattr(run.step, "gradients", slow)
    run.warm_up()
    assert run.clock.train_seconds == 0
    assert run.warmup_seconds == 1 + 50


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_both_clocks_go_on_over_a_resume_without_the_time_between(make_run, train, now, after_step, steps):
    seldom = {"checkpoint_every": 1e9}
    run, signals = make_run(train=seldom), Signals()
    after_step(run, steps, lambda: setattr(signals, "received", Request.preempt))
    train(run, signals=signals)
    now.seconds += 1e6
    record = train(make_run(train=seldom))
    assert [row.time_train_seconds for row in record.history] == [4, 8]
    assert record.summary.time_train_seconds == 8
    assert record.summary.time_wall_seconds == 2 * 1 + 8 + 3 * 100  # two warm-ups; the state is taken before it is saved


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({}, False),
        ({"driver": "1", "python": "3.99", "data": "renamed"}, False),
        ({"device": "another CPU"}, True),
        ({"threads": 2}, True),
        ({"precision": "bf16"}, True),
        ({"torch": "1.0"}, True),
        ({"commit": "abc+"}, True),  # which changes there were, nobody knows
        ({"commit": None}, True),
        ({"compiled": True}, True),
    ],
)
def test_a_run_that_goes_on_elsewhere_tells_where_it_was(make_run, make_record, after_step, tmp_path, change, is_another):
    file, first = File(tmp_path / "run" / "checkpoint.pt"), make_run()
    here = environment.describe(CPU, "fp32", False, first.images).model_copy(update={"commit": "abc"})
    signals = Signals()
    after_step(first, 5, lambda: setattr(signals, "received", Request.preempt))
    left = trained.train(first, make_record(first), here, (), file, signals)
    assert (left.state, left.environment.elsewhere) == (State.preempted, None)
    run = make_run()
    ended = trained.train(run, make_record(run), here.model_copy(update=change), [LocalRun(tmp_path / "run")], file, Signals())
    assert ended.state == State.finished
    assert ended.environment.elsewhere == ([here.machine] if is_another else None)
    assert read_run(tmp_path / "run") == ended


@pytest.mark.parametrize(("share", "shared"), [(1.0, False), (0.9, False), (0.89, True), (0.1, True)])
def test_a_run_whose_threads_wait_for_cores_is_marked(make_run, train, now, monkeypatch, share, shared):
    monkeypatch.setattr(clock, "cpu_seconds", lambda: share * now.seconds)
    record = train(make_run())
    assert [row.time_cpu_seconds for row in record.history] == pytest.approx([4 * share, 8 * share])
    assert record.summary.time_cpu_share == pytest.approx(share)
    assert record.summary.shared == ("cores" if shared else "")


def test_images_per_second_count_copies(make_run, train, now):
    assert train(make_run(cutout={"images": 8})).history[0].throughput_images_per_second == (128 + STEPS * 8) / 4


def test_checkpoints_come_at_their_interval(make_run, train, now, monkeypatch):
    saved, save = [], checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda file, state: (saved.append((len(state["history"]), state["steps_done"])), save(file, state))
    )
    train(make_run(train={"checkpoint_every": 3}))
    assert saved == [(0, 3), (1, 0), (1, 3)]  # evaluations take longer than the interval, so there is one after the first epoch
    saved.clear()
    train(make_run(train={"checkpoint_every": 10**6}))
    assert not saved


def test_a_checkpoint_that_cannot_be_written_costs_no_run(make_run, train, monkeypatch, caplog):
    def full(file, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    assert train(make_run(train={"checkpoint_every": 0})).state == State.finished
    assert "No space left" in caplog.text


def test_a_preempted_run_that_can_leave_no_checkpoint_says_so(make_run, train, after_step, monkeypatch):
    def full(file, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    run, signals = make_run(), Signals()
    after_step(run, 2, lambda: setattr(signals, "received", Request.preempt))
    record = train(run, signals=signals)
    assert (record.state, record.reason) == (State.preempted, "no checkpoint could be written")


def test_a_run_that_is_preempted_says_so_before_it_leaves_its_checkpoint(make_run, make_record, after_step, tmp_path, monkeypatch):
    order, save = [], checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda file, state: (order.append("saved"), save(file, state)))

    class Watch(LocalRun):
        def preempting(self):
            order.append("said")

    run, signals = make_run(), Signals()
    after_step(run, 2, lambda: setattr(signals, "received", Request.preempt))
    trained.train(run, make_record(run), None, [Watch(tmp_path / "run")], File(tmp_path / "run" / "checkpoint.pt"), signals)
    assert order == ["said", "saved"]


# Warm-up


def test_warm_up_leaves_no_trace(make_run, technique):
    layers = {"batchnorm": {"layers": 3}, "dropout": {"layers": 3, "p": 0.5}}
    run = make_run(**(technique | (layers if "name" not in technique.get("model", {}) else {})))  # another network has other places
    run.train_until(0.0, Signals())  # there is an optimizer state, and sums
    state, sums = run.optimizer.state_dict(), run.sums.read()
    moments = {key: {name: value.clone() for name, value in slot.items()} for key, slot in state["state"].items()}
    before, rng, draws = weights(run), torch.get_rng_state(), run.draws.get_state()
    scale = run.step.scaler.get_scale()
    run.warm_up()
    assert torch.equal(weights(run), before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(run.draws.get_state(), draws)
    assert run.sums.read() == sums
    assert run.step.scaler.get_scale() == scale
    for key, slot in run.optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[key][name]) for name, value in slot.items())


def test_warm_up_leaves_no_trace_in_buffers_that_a_step_replaces(make_run):
    run = make_run(model={"name": "tests.models.own:Remembering"})
    run.warm_up()
    assert run.network.mean is None and run.network.batches == 0


def test_warm_up_comes_before_the_first_step_and_takes_a_whole_batch(make_run, train, monkeypatch):
    run, sizes = make_run(cutout={"images": 1, "per": "image"}), []
    gradients = run.step.gradients
    monkeypatch.setattr(run.step, "gradients", lambda batch: (sizes.append(tuple(batch.images.shape)), gradients(batch))[1])
    train(run)
    assert sizes[0] == sizes[1] == (64, 3, 32, 32)
    assert len(sizes) == 1 + 2 * STEPS


def test_a_machine_that_cannot_compile_is_named_in_a_line(make_run, monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    with pytest.raises(UserError) as caught:
        make_run(train={"compile": True}).warm_up()
    line = str(caught.value)
    assert line.startswith("train.compile = true: torch.compile does not work here (")
    assert "C++ compiler" in line


def test_a_step_that_breaks_is_not_blamed_on_the_compiler(make_run, monkeypatch):
    run = make_run()

    def breaks(batch):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(run, "step", breaks)
    with pytest.raises(RuntimeError, match="out of memory"):
        run._train_on(torch.arange(2), probed=False)


# Ends


def poison(run, step, monkeypatch):
    """The loss of the run's `step`-th training step is not a number."""
    gradients, calls = run.step.gradients, itertools.count()  # number 0 is the warm-up

    def wrapped(batch):
        loss, logits = gradients(batch)
        return (loss * math.nan if next(calls) == step else loss), logits

    monkeypatch.setattr(run.step, "gradients", wrapped)


@pytest.mark.parametrize(("bad", "epoch", "step"), [(1, 1, 1), (3, 1, 3), (4, 1, 4), (5, 2, 1), (8, 2, 4)])
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(make_run, train, tmp_path, monkeypatch, bad, epoch, step):
    run = make_run(train={"checkpoint_every": 0})
    poison(run, bad, monkeypatch)
    record = train(run, [LocalRun(tmp_path / "run")])
    assert record.state == State.diverged
    assert (record.summary.diverged_epoch, record.summary.diverged_step) == (epoch, step)
    assert record.reason == f"loss not finite in epoch {epoch}, step {step}"
    assert [row.epoch for row in record.history] == list(range(1, epoch))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert read_run(tmp_path / "run").summary == record.summary


def test_an_absurd_rate_diverges(make_run, train):
    record = train(make_run(optimizer={"name": "sgd", "lr": 1e6}, train={"epochs": 3}))
    assert record.state == State.diverged
    assert record.summary.diverged_epoch == 1
    assert 1 < record.summary.diverged_step <= STEPS


def test_a_run_whose_last_step_breaks_its_weights_is_not_finished(make_run, train, after_step):
    """The loss of the only step is finite; what it leaves is not."""
    run = make_run(train={"epochs": 1, "batch_size": 128})
    after_step(run, 1, lambda: run.network.fc.bias.data.fill_(float("nan")))
    assert train(run).state == State.diverged


def test_a_resumed_run_tells_the_same_diverged_step(make_run, train, after_step, monkeypatch):
    run, signals = make_run(), Signals()
    poison(run, 6, monkeypatch)
    after_step(run, 7, lambda: setattr(signals, "received", Request.preempt))
    train(run, signals=signals)
    record = train(make_run())
    assert record.state == State.diverged
    assert (record.summary.diverged_epoch, record.summary.diverged_step) == (2, 2)


def signalled(run, after_step, step, number, train, tmp_path, meaning=FROM_OUTSIDE):
    with Signals(meaning) as signals:
        after_step(run, step, lambda: os.kill(os.getpid(), number))
        return train(run, [LocalRun(tmp_path / "run")], signals)


@pytest.mark.parametrize(("step", "epochs"), [(1, 0), (3, 0), (4, 1), (6, 1)])
def test_a_stop_ends_a_run_and_keeps_what_it_reached(make_run, train, after_step, tmp_path, step, epochs):
    record = signalled(make_run(train={"checkpoint_every": 0}), after_step, step, signal.SIGTERM, train, tmp_path, UNDER_WANDB)
    assert record.state == State.stopped
    assert record.summary.epochs == len(record.history) == epochs
    assert (record.summary.test_accuracy is not None) == (epochs > 0)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert read_run(tmp_path / "run") == record


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize(("step", "epochs"), [(1, 0), (4, 0), (6, 1)])
def test_a_preempted_run_leaves_a_checkpoint(make_run, train, after_step, tmp_path, number, step, epochs):
    record = signalled(make_run(), after_step, step, number, train, tmp_path)
    assert record.state == State.preempted
    assert record.summary is None
    assert len(record.history) == epochs
    state = checkpoint.load(File(tmp_path / "run" / "checkpoint.pt"))
    assert len(state["history"]) * STEPS + state["steps_done"] == step


def test_a_request_is_heard_at_the_next_step(make_run, train, after_step, tmp_path):
    run = make_run()
    signalled(run, after_step, 2, signal.SIGUSR1, train, tmp_path)
    assert run.steps_done == 2


class Evaluated:
    """Batches to evaluate on; `action` happens when the first of them has been."""

    def __init__(self, batches, action):
        self._batches, self._action = batches, action

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        for number, batch in enumerate(self._batches):
            if number == 1:
                self._action()
            yield batch


@pytest.mark.parametrize(
    ("part", "sections", "epochs"),
    [
        ("clean_test", {"eval_every": 2}, 1),
        ("clean_train", {"target_on": "clean"}, 0),
        ("clean_train", {}, 2),
    ],
    ids=["of the last epoch", "for the target", "for the summary"],
)
def test_a_preemption_in_an_evaluation_leaves_it_for_later(make_run, train, tmp_path, monkeypatch, part, sections, epochs):
    """It may take minutes on a processor; afterwards the run ends as the undisturbed one."""
    monkeypatch.setattr("reglab.data.batches.EVALUATION_BATCH", 16)
    run, signals = make_run(train=sections), Signals()
    setattr(run, part, Evaluated(getattr(run, part), lambda: setattr(signals, "received", Request.preempt)))
    record = train(run, [LocalRun(tmp_path / "run")], signals)
    assert (record.state, len(record.history)) == (State.preempted, epochs)
    again = train(make_run(train=sections), [LocalRun(tmp_path / "run")])
    undisturbed = trained.train(make_run(train=sections), again, None, [], File(tmp_path / "none"), Signals())
    assert again.state == State.finished
    for one, other in zip(again.history, undisturbed.history, strict=True):
        assert (one.train_loss, one.test_loss, one.train_clean_accuracy) == (other.train_loss, other.test_loss, other.train_clean_accuracy)
    assert again.summary.train_clean_accuracy == undisturbed.summary.train_clean_accuracy
    assert (record.per_image, again.per_image) == (None, undisturbed.per_image)
    assert again.per_image is not None
    assert read_run(tmp_path / "run") == again


def test_a_preemption_before_it_begins_interrupts_it(make_run, train):
    signals = Signals()
    signals.received = Request.preempt
    with pytest.raises(Interrupted):
        train(make_run(), [], signals)


def test_a_preemption_in_the_last_step_leaves_the_evaluation_for_later(make_run, train, after_step, tmp_path):
    """A machine that is going away may not have the time for it."""
    assert signalled(make_run(), after_step, 2 * STEPS, signal.SIGUSR1, train, tmp_path).state == State.preempted
    again = train(make_run(), [LocalRun(tmp_path / "run")])
    undisturbed = trained.train(make_run(), again, None, [], File(tmp_path / "none"), Signals())
    assert again.state == State.finished
    assert [row.test_loss for row in again.history] == [row.test_loss for row in undisturbed.history]


def test_a_finished_run_leaves_no_checkpoint(make_run, train, tmp_path):
    record = train(make_run(train={"checkpoint_every": 0}), [LocalRun(tmp_path / "run")])
    assert record.state == State.finished
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["history.jsonl", "run.json"]


# Which images it got right


@pytest.mark.parametrize("technique", [TECHNIQUES[name] for name in ("mixup", "wide_resnet", "network_of_ones_own", "bf16")])
def test_a_finished_run_keeps_which_test_images_it_got_right(make_run, train, images, tmp_path, technique):
    run = make_run(**technique)
    record = train(run, [LocalRun(tmp_path / "run")])
    right = record.per_image.bits()
    assert (record.per_image.images, len(right)) == (images.test_fingerprint, len(images.test))
    assert right.mean() == record.summary.test_accuracy == record.history[-1].test_accuracy
    assert (right == run.evaluate(run.clean_test).correct.numpy()).all()
    assert read_run(tmp_path / "run") == record


def test_the_bits_are_those_of_the_images_in_their_order(make_run, train, images):
    """Image by image, each alone."""
    run = make_run(train={"epochs": 4})
    right = train(run).per_image.bits()
    run.network.eval()
    with torch.no_grad():
        answers = [run.network(batch[None]).argmax().item() for part, _ in run.clean_test for batch in part]
    assert 0 < right.sum() < len(right)
    assert right.tolist() == [answer == label for answer, label in zip(answers, images.test.labels, strict=True)]


def test_a_run_that_did_not_finish_keeps_none(make_run, train, after_step, tmp_path):
    stopped, preempted, diverged = make_run(), make_run(), make_run(train={"epochs": 1, "batch_size": 128})
    signals = [Signals(), Signals()]
    after_step(stopped, 2 * STEPS, lambda: setattr(signals[0], "received", Request.stop))  # in its very last step
    after_step(preempted, 5, lambda: setattr(signals[1], "received", Request.preempt))
    after_step(diverged, 1, lambda: diverged.network.fc.bias.data.fill_(float("nan")))
    records = [train(stopped, [LocalRun(tmp_path / "run")], signals[0]), train(diverged), train(preempted, (), signals[1])]
    assert [record.state for record in records] == [State.stopped, State.diverged, State.preempted]
    assert [record.per_image for record in records] == [None] * 3
    assert "per_image" not in (tmp_path / "run" / "run.json").read_text()


def test_a_run_that_was_evaluated_by_an_earlier_version_has_none_and_ends(make_run, train):
    run = make_run()
    train(run)
    state = run.state_dict()
    del state["correct"]
    again = make_run()
    again.load_state_dict(state)
    record = train(again)
    assert (record.state, record.per_image) == (State.finished, None)


def test_answers_to_other_images_are_no_checkpoint_of_this_run(make_run, train):
    run = make_run()
    train(run)
    state = run.state_dict()
    state["correct"] = state["correct"][:-1]
    with pytest.raises(ValueError, match="not of 64 test images"):
        make_run().load_state_dict(state)


# The summary


@pytest.mark.parametrize("target_on", ["running", "clean"])
def test_the_target_is_taken_on_either_training_accuracy(make_run, train, target_on, monkeypatch):
    """Here the clean accuracy passes 60 % in the second epoch, the running one never does."""
    run, clean = make_run(train={"epochs": 3, "target_accuracy": 0.6, "target_on": target_on}), iter([0.5, 0.7, 0.9, 0.9])
    evaluate = run.evaluate

    def measured(batches, signals):
        found = evaluate(batches, signals)
        return replace(found, accuracy=next(clean)) if batches is run.clean_train else found

    monkeypatch.setattr(run, "evaluate", measured)
    monkeypatch.setattr(run, "end_epoch", lambda sums, signals, end=run.end_epoch: end(replace(sums, correct=0), signals))
    summary = train(run).summary
    assert summary.time_to_target_epoch == (2 if target_on == "clean" else None)
    assert summary.time_to_target_reached == (target_on == "clean")


def test_sgd_survives_a_first_step_that_fp16_skips(make_run, train):
    """A skipped step must not leave the momentum uninitialized."""
    record = train(make_run(optimizer={"name": "sgd", "lr": 0.01}, batchnorm={"layers": 2}, train={"precision": "fp16", "epochs": 3}))
    assert record.state == State.finished


def epoch(number, accuracy, seconds, test=0.5):
    return Epoch(
        epoch=number,
        train_loss=1.0,
        train_accuracy=accuracy,
        test_loss=None if test is None else 1.0,
        test_accuracy=test,
        lr=0.1,
        time_train_seconds=seconds,
        time_wall_seconds=2 * seconds,
        throughput_images_per_second=100.0 * number,
    )


@pytest.mark.parametrize(
    ("accuracies", "reached", "number", "seconds"),
    [
        ([0.5, 0.9, 0.95], True, 2, 20),
        ([0.5, 0.87, 0.86], True, 2, 20),  # reached exactly, and lost again
        ([0.99, 0.2, 0.99], True, 1, 10),
        ([0.5, 0.6, 0.8699], False, None, None),
        ([], False, None, None),
    ],
)
def test_time_to_target_is_of_the_first_epoch_that_reaches_it(make_run, accuracies, reached, number, seconds):
    run = make_run()
    run.history = [epoch(i, accuracy, 10 * i) for i, accuracy in enumerate(accuracies, start=1)]
    summary = summary_of(run)
    assert summary.time_to_target_reached is reached
    assert summary.time_to_target_epoch == number
    assert summary.time_to_target_seconds == seconds


def test_time_to_target_is_training_seconds_of_the_configured_target(make_run, train):
    record = train(make_run(train={"target_accuracy": 0.001}))
    assert record.summary.time_to_target_epoch == 1
    assert record.summary.time_to_target_seconds == record.history[0].time_train_seconds


def test_a_summary_tells_the_last_the_best_and_the_gap(make_run):
    run = make_run()
    run.history = [
        epoch(1, 0.3, 10, test=0.4),
        epoch(2, 0.5, 20, test=0.6),
        epoch(3, 0.7, 30, test=None),
        epoch(4, 0.8, 40, test=0.6),
    ]
    summary = summary_of(run)
    assert (summary.test_accuracy, summary.test_best_accuracy, summary.test_best_epoch) == (0.6, 0.6, 2)
    assert summary.train_accuracy == 0.8
    assert summary.train_clean_accuracy == run.evaluate(run.clean_train).accuracy
    assert summary.gap == summary.train_clean_accuracy - 0.6
    assert summary.epochs == 4
    assert summary.parameters == sum(parameter.numel() for parameter in run.network.parameters())
    assert 100 <= summary.throughput_images_per_second <= 400
    assert 0.05 < summary.peak_memory_gb < 100


@pytest.mark.parametrize(
    ("step", "every", "is_there"),
    [(4, 1, True), (5, 1, False), (7, 1, False), (8, 1, True), (4, 2, False)],  # 4 ends an epoch, which is tested, or every other is
)
def test_a_run_that_is_stopped_tells_a_gap_of_one_moment_or_none(make_run, train, after_step, step, every, is_there):
    run, signals = make_run(train={"epochs": 4, "eval_every": every}), Signals()
    after_step(run, step, lambda: setattr(signals, "received", Request.stop))
    summary = train(run, signals=signals).summary
    assert summary.epochs == step // STEPS
    if is_there:
        assert summary.train_clean_accuracy == run.evaluate(run.clean_train).accuracy
        assert summary.test_accuracy == run.evaluate(run.clean_test).accuracy
        assert summary.gap == summary.train_clean_accuracy - summary.test_accuracy
    else:
        assert (summary.train_clean_accuracy, summary.gap) == (None, None)


@pytest.mark.parametrize("broken", [2, 6, 8])  # in the first epoch, in the second, and so that only the test after it tells
def test_a_run_that_diverged_tells_no_accuracy_of_what_it_became(make_run, train, after_step, broken):
    run = make_run()
    after_step(run, broken, lambda: run.network.fc.bias.data.fill_(float("nan")))
    record = train(run)
    assert record.state == State.diverged
    assert (record.summary.train_clean_accuracy, record.summary.gap) == (None, None)


def test_a_summary_of_nothing_is_there_too(make_run):
    summary = summary_of(make_run())
    assert summary.epochs == 0
    assert (summary.test_accuracy, summary.train_clean_accuracy, summary.gap) == (None, None, None)


def test_a_run_whose_batches_do_not_fit_into_a_cpu_s_memory_says_how_many_images_would(make_run, make_record, tmp_path, monkeypatch):
    run, evaluate = make_run(train={"batch_size": 64}), Run.evaluate

    def step(run, index, probed):
        if len(index) > 40:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 12345 bytes")

    monkeypatch.setattr(Run, "_train_on", step)
    monkeypatch.setattr(Run, "evaluate", lambda run, *words: evaluate)
    run._advance = run._train_on
    with pytest.raises(ReglabError, match=r"out of memory with batches of 64: about 32 would fit in the .* GB that are free"):
        trained.train(run, make_record(run), None, [], File(tmp_path / "checkpoint.pt"), Signals())
