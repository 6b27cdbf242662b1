"""Every sweep that ships makes runs for the question of its name, whole or quick, and every question has its sweep."""

import json
from itertools import islice
from pathlib import Path

import pytest

from reglab.config import RunConfig
from reglab.report.claims.verdicts import judge
from reglab.report.studies.study import base, departures, is_about, is_baseline
from reglab.sweep import engines, spec
from reglab.tracking.store import ARCHIVE, read_archive
from tests.report.published import BY_NAME, DESIGN, study, treatment

ROOT = Path(__file__).parents[2]
SEARCHES = ("dropout_asymmetric", "dropout_bayes")
"""They make more runs for the question of the chosen arrays."""


def about(question, treated, plain):
    return is_about(question, treated, plain, departures(DESIGN, treated, plain))


def treatments(stem, quick):
    """The factors of each run that a sweep asks for; of a search, of its first draws."""
    sweep = spec.read(ROOT / "sweeps" / f"{stem}.yaml", quick=quick)
    if sweep.method == "grid":
        return [treatment(RunConfig.parse(values)) for values in sweep.grid()]
    return [treatment(RunConfig.parse(values)) for values in islice(engines.of(sweep.config).rest(), 2)]


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "quick"])
def asked(request):
    """All that the study's sweeps ask for, by sweep."""
    return {stem: treatments(stem, request.param) for stem in DESIGN.stems}


@pytest.fixture(scope="module")
def plain(asked):
    return base(DESIGN, {treated for group in asked.values() for treated in group})


def test_the_base_is_the_plain_network_at_what_most_sweeps_fix(asked, plain):
    assert departures(DESIGN, plain, base(DESIGN, ())) <= {"batch_size", "epochs"}
    assert plain in asked["final"]


@pytest.mark.parametrize("stem", DESIGN.stems)
def test_a_sweep_s_runs_answer_the_question_of_its_name(asked, plain, stem):
    question = BY_NAME["dropout_arrays" if stem in SEARCHES else stem]
    assert [treated for treated in asked[stem] if not about(question, treated, plain)] == []


@pytest.mark.parametrize("question", DESIGN.questions, ids=lambda question: question.name)
def test_a_question_compares_with_an_arm_that_its_sweeps_make(asked, plain, question):
    there = [treated for group in asked.values() for treated in group if about(question, treated, plain)]
    assert [treated for treated in there if is_baseline(DESIGN, question, treated, plain)]


def test_no_question_takes_runs_that_vary_something_else(plain):
    for name, value in {"optimizer": "sgd lr 0.1", "placement": "stage", "stem": "cifar", "standardize": True, "held_out": 5000}.items():
        factors = {each: plain[each] for each in DESIGN.names} | {"batchnorm": 2, "dropout": "0.2/0.2/0.2", name: value}
        odd = DESIGN.with_columns(factors)
        assert all(name in question.varies for question in DESIGN.questions if about(question, odd, plain))


def test_every_question_has_its_sweep_and_every_figure_its_own_name():
    assert set(BY_NAME) | set(SEARCHES) == set(DESIGN.stems)
    stems = [figure.name for question in DESIGN.questions for figure in question.figures]
    assert len(stems) == len(set(stems))
    assert {f"figure_{number}" for number in range(2, 12)} <= set(stems)


# What was judged of runs that stay as they are: a verdict that changes is changed on purpose.

BEFORE = json.loads((Path(__file__).parent / "verdicts.json").read_text())


def _archive(report):
    """Its records as they were then, where there are others by now."""
    kept = ROOT / "tests" / "fixtures" / f"{report}.jsonl.gz"
    return kept if report.startswith("cifar10_jpeg") else ROOT / "reports" / report / ARCHIVE


@pytest.mark.parametrize("source", [*(name for name in BEFORE if "whole" not in name), "whole_study", "whole_study_seed_0"])
def test_verdicts_are_those_that_were_held(source, whole_study):
    made = {"whole_study": (0, 1, 2), "whole_study_seed_0": (0,)}
    records = whole_study(made[source]) if source in made else read_archive(_archive(source))
    for found, before in zip(judge(study(records)).each, BEFORE[source], strict=True):
        assert (found.verdict, found.jointly, len(found.runs)) == (before["verdict"], before["jointly"], before["runs"]), found.number
        told = [[part.unit, part.n, part.holds, part.estimate, part.low, part.high] for part in found.parts]
        assert told == [pytest.approx(part, abs=2e-5) for part in before["parts"]], found.number
