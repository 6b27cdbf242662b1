"""Metrics of the user's: measured beside accuracy, recorded under their names, and without a trace in the run itself."""

import sys

import pytest
import torch
from torch import nn

from reglab.config import RunConfig, identity
from reglab.errors import UserError
from reglab.processes.signals import Request, Signals
from reglab.techniques import Technique
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run
from reglab.training.measured import Metrics
from tests.training import trained

OWN = "tests.training.own"
ALL = f"reglab.metrics:ece, {OWN}:spread,{OWN}:mistakes, {OWN}:by_name"


@pytest.fixture
def train(make_record, tmp_path):
    """Trains a run into a folder: returns its record as it is read from there."""

    def to_its_end(run, folder="run", signals=None):
        local = LocalRun(tmp_path / folder)
        local.folder.mkdir(exist_ok=True)
        trained.train(run, make_record(run), None, [local], File(tmp_path / folder / "checkpoint.pt"), signals or Signals())
        return read_run(local.folder)

    return to_its_end


def test_they_are_measured_with_each_evaluation_and_stand_beside_the_accuracy(make_run, train):
    record = train(make_run(train={"epochs": 3, "eval_every": 2, "metrics": ALL}))
    names = {"test/ece", "test/spread", "test/mistakes", *(f"test/by_name/{digit}" for digit in range(10))}
    first, second, last = ({name for name in row.metrics() if name in names} for row in record.history)
    assert (first, second, last) == (set(), names, names)
    assert record.came_to["test/mistakes"] == 64 * (1 - record.summary.test_accuracy)
    assert record.came_to["test/by_name/7"] == 7 and "test/by_name/none" not in record.came_to
    assert {name: record.came_to[name] for name in names} == record.summary.own == record.history[-1].own


def test_the_record_says_of_each_what_it_was(make_run, train):
    one, spread, mistakes, _ = train(make_run(train={"epochs": 1, "metrics": ALL})).measures
    assert (one.reference, one.name, one.share, one.better) == ("reglab.metrics:ece", "test/ece", True, "lower")
    assert (spread.title, spread.share, spread.better) == ("spread of the answers", False, "lower")
    assert (mistakes.title, mistakes.share, mistakes.better) == (None, False, None)
    assert len(one.code) == len(spread.code) == 12 and one.code != spread.code == mistakes.code
    assert train(make_run(), "plain").measures is None


def test_a_run_is_the_same_bit_for_bit_with_them_and_without(make_run, train):
    plain = make_run(dropout={"layers": 1, "p": 0.2})
    one = train(plain, "plain")
    measured = make_run(dropout={"layers": 1, "p": 0.2}, train={"metrics": ALL})
    other = train(measured, "measured")
    assert identity(plain.config) == identity(measured.config)
    assert all(torch.equal(*pair) for pair in zip(plain.network.parameters(), measured.network.parameters(), strict=True))
    assert [row.train_loss for row in one.history] == [row.train_loss for row in other.history]
    assert one.summary.test_accuracy == other.summary.test_accuracy


DRAWING = """import torch
torch.rand(7)  # as a module might that makes a table when it is imported

def small(classes, side, channels):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * side * side, classes))

def zero(logits, labels):
    return 0
"""


@pytest.fixture
def anew(make_run, monkeypatch, tmp_path):
    """Makes a run as the first of a process does: it imports the user's module."""
    (tmp_path / "drawing.py").write_text(DRAWING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def make(**sections):
        sys.modules.pop("drawing", None)
        return make_run(model={"name": "drawing:small"}, **sections)

    yield make
    sys.modules.pop("drawing", None)


def test_what_a_module_draws_when_it_is_imported_is_part_of_no_run(anew, make_run):
    first, later = anew(), make_run(model={"name": "drawing:small"})
    measured = anew(train={"metrics": "drawing:zero"})
    for other in (later, measured):
        assert all(torch.equal(*pair) for pair in zip(first.network.parameters(), other.network.parameters(), strict=True))


def test_nor_is_what_a_technique_s_module_draws(make_run, monkeypatch):
    load, seen = Technique.load, set()

    def drawing(technique):
        if technique.name not in seen:
            torch.rand(7)
        seen.add(technique.name)
        return load(technique)

    monkeypatch.setattr(Technique, "load", drawing)
    first, later = (make_run(label_smoothing={"rate": 0.1}) for _ in range(2))
    assert seen == {"label_smoothing"}
    assert all(torch.equal(*pair) for pair in zip(first.network.parameters(), later.network.parameters(), strict=True))


def test_without_any_no_answers_are_gathered(make_run, monkeypatch):
    plain, measured = make_run(), make_run(train={"metrics": "reglab.metrics:ece"})
    read, cat = [], torch.cat
    monkeypatch.setattr(torch, "cat", lambda tensors, *rest: read.append(sum(each.numel() for each in tensors)) or cat(tensors, *rest))
    assert plain.evaluate(plain.clean_test).own == {} and read == [8 + 64]  # bytes: the loss, and which images are right
    read.clear()
    assert measured.evaluate(measured.clean_train).own == {} and read == [8 + 128]  # they are of the test images
    read.clear()
    assert measured.evaluate(measured.clean_test).own and read[0] == 8 + 64 * 10 * 4 + 64


def test_what_was_measured_before_an_interruption_is_in_the_history_after_it(make_run, train, after_step):
    run, signals = make_run(train={"metrics": ALL}), Signals()
    after_step(run, 6, lambda: setattr(signals, "received", Request.preempt))
    assert train(run, signals=signals).state == State.preempted
    record = train(make_run(train={"metrics": ALL}))
    assert record.state == State.finished and all(row.own.keys() == record.summary.own.keys() for row in record.history)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{OWN}:failing", "ValueError: two"),
        (f"{OWN}:text", "it gives a str: it must be a number, or a mapping of names to numbers"),
        (f"{OWN}:each_image", "it gives a Tensor (20,): it must be a number, or a mapping of names to numbers"),
        (f"{OWN}:imaginary", "it gives a Tensor (): it must be a number"),
        (f"{OWN}:endless", "it gives a int: it must be a number"),
        (f"{OWN}:unnamed", "it names a number"),
        (f"{OWN}:unprinted", "it names a number"),
        (f"{OWN}:many", "it gives 2,000 numbers: at most 1,000 are recorded"),
        (f"{OWN}:nobody", "tests.training.own has no nobody"),
        ("nobody_here:missing", "there is no module nobody_here here"),
    ],
)
def test_one_that_cannot_do_is_one_line_before_a_run_begins(make_run, name, said):
    with pytest.raises(UserError) as refused:
        make_run(train={"metrics": f"reglab.metrics:ece,{name}"})
    assert str(refused.value).startswith(f"train.metrics = {name}: ") and said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("calibration", "calibration between commas is no package.module:function"),
        ("a:b,,c:d", "nothing between commas is no package.module:function"),
        ("a:accuracy", "test/accuracy is what every run logs: give the function another name"),
        ("a:b,c:b", "a:b and c:b would both be test/b"),
    ],
)
def test_what_is_no_list_of_them_is_refused(text, said):
    with pytest.raises(UserError, match=r"^train\.metrics") as refused:
        RunConfig.parse({"train": {"metrics": text}})
    assert said in str(refused.value)


class _Nothing(nn.Module):
    """A network that has diverged."""

    def forward(self, images):
        return torch.full((len(images), 10), torch.nan)


def test_of_a_network_that_answers_with_no_numbers_nothing_is_measured(make_run):
    run = make_run(train={"metrics": f"{OWN}:mistakes"})
    run.network = _Nothing()
    assert run.evaluate(run.clean_test).own == {}


def test_what_every_run_logs_is_nobody_s_metric():
    from reglab.config.sections import _TESTED
    from reglab.tracking.results import METRICS

    assert {f"test/{name}" for name in _TESTED} == {name for name in METRICS if name.startswith("test/")}


def test_no_metrics_need_nothing_of_the_images(make_config, images):
    assert not Metrics(make_config(), images)
