"""Every sweep that ships makes runs for the question of its name, whole or quick, and every question has its sweep."""

from itertools import islice
from pathlib import Path

import pytest

from reglab.config import RunConfig
from reglab.report.factors import base, factors
from reglab.report.questions import QUESTIONS
from reglab.sweep import engines, spec
from reglab.sweep.study import SWEEPS

ROOT = Path(__file__).parents[2]
SEARCHES = ("dropout_asymmetric", "dropout_bayes")
"""They make more runs for the question of the chosen arrays."""

BY_STEM = {question.stem: question for question in QUESTIONS}


def treatments(stem, quick):
    """The factors of each run that a sweep asks for; of a search, of its first draws."""
    sweep = spec.read(ROOT / "sweeps" / f"{stem}.yaml", quick=quick)
    if sweep.method == "grid":
        return [factors(RunConfig.parse(values)) for values in sweep.grid()]
    return [factors(RunConfig.parse(values)) for values in islice(engines.of(sweep.config).rest(), 2)]


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "quick"])
def asked(request):
    """All that the study's sweeps ask for, by sweep."""
    return {stem: treatments(stem, request.param) for stem in SWEEPS}


@pytest.fixture(scope="module")
def plain(asked):
    return base({treated for group in asked.values() for treated in group})


def test_the_base_is_the_plain_network_at_what_most_sweeps_fix(asked, plain):
    assert plain.departures(type(plain)()) <= {"batch_size", "epochs"}
    assert plain in asked["final"]


@pytest.mark.parametrize("stem", SWEEPS)
def test_a_sweep_s_runs_answer_the_question_of_its_name(asked, plain, stem):
    question = BY_STEM["dropout_arrays" if stem in SEARCHES else stem]
    assert [treated for treated in asked[stem] if not question.is_about(treated, plain)] == []


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.stem)
def test_a_question_compares_with_an_arm_that_its_sweeps_make(asked, plain, question):
    there = [treated for group in asked.values() for treated in group if question.is_about(treated, plain)]
    assert question.baseline(plain) in there


def test_no_question_takes_runs_that_vary_something_else(plain):
    for name, value in {"optimizer": "sgd lr 0.1", "placement": "stage", "stem": "cifar", "standardize": True, "held_out": 5000}.items():
        odd = plain.but(batchnorm=2, dropout=(0.2, 0.2, 0.2), **{name: value})
        assert all(name in question.varies for question in QUESTIONS if question.is_about(odd, plain))


def test_every_question_has_its_sweep_and_every_figure_its_own_name():
    assert set(BY_STEM) | set(SEARCHES) == set(SWEEPS)
    stems = [drawing.stem for question in QUESTIONS for drawing in question.drawings]
    assert len(stems) == len(set(stems))
    assert {f"figure_{number}" for number in range(2, 12)} <= set(stems)
