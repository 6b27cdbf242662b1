"""Metrics of the user's in reports: by what their runs say of them, wherever test accuracy is told, and nothing of theirs is imported."""

import json

import pytest

import reglab
from reglab.errors import UserError
from reglab.report import charts, tables
from reglab.report.claims.verdicts import judge
from reglab.report.studies import study_file
from reglab.report.studies.measures import MEASURES, NUMBER, POINTS, measured
from reglab.report.studies.study import Study
from reglab.tracking.results import OwnMetric
from reglab.tracking.store import write_run

DECLARED = [
    OwnMetric(reference="nobody_here:ece", code="a" * 12, title="calibration error", share=True, better="lower"),
    OwnMetric(reference="nobody_here:nll", code="a" * 12, better="lower"),
    OwnMetric(reference="nobody_here:of_class", code="a" * 12, title="accuracy", share=True, better="higher"),
    OwnMetric(reference="nobody_here:edges"),
]
"""Of a package that is not there."""

SWEEP = """
name: rates
method: grid
metric: {name: test/ece, goal: minimize}
command: [reglab, train]
parameters:
  optimizer: {parameters: {lr: {values: [0.001, 0.01]}}}
  train:
    parameters:
      metrics: {value: "nobody_here:ece, nobody_here:nll,nobody_here:of_class,nobody_here:edges"}
      seed: {values: [0, 1, 2]}
"""
STUDY = """
title: Do larger rates calibrate?
sweeps: [rates.yaml]
factors: {rate: optimizer.lr}
questions:
  - {name: each rate, x: rate, y: [test/ece, test/nll, test/accuracy]}
claims:
  - text: A rate of 0.01 takes at least a point of it away.
    difference: {of: test/ece, between: {rate: 0.01}, and: {rate: 0.001}, at_most: -1}
  - text: And is less surprised, by 0.05.
    difference: {of: test/nll, between: {rate: 0.01}, and: {rate: 0.001}, at_most: -0.05}
  - text: It is the best.
    best: {of: test/ece, level: {rate: 0.01}, among: {rate: [0.001, 0.01]}}
  - text: It errs by less than 10 per cent, and is surprised by less than half.
    threshold:
      - {of: test/ece, between: {rate: 0.01}, at_most: 10}
      - {of: test/nll, between: {rate: 0.01}, at_most: 0.5}
"""


@pytest.fixture(scope="module")
def records(make_record):
    """Three seeds of two rates; the larger one has a calibration error of 5 per cent less, and 0.1 less loss."""
    found = []
    for rate in (0.001, 0.01):
        for seed in (0, 1, 2):
            is_large = rate == 0.01
            own = {"test/ece": 0.1 - 0.05 * is_large + 0.002 * seed * is_large, "test/nll": 0.4 - 0.1 * is_large + 0.004 * seed * is_large}
            own |= {"test/of_class/cat": 0.5 + 0.1 * seed, "test/edges": 7.0 + is_large + 0.1 * seed * is_large}
            found.append(make_record(seed=seed, config={"optimizer": {"lr": rate}}, sweep="rates", measures=DECLARED, own=own))
    return found


@pytest.fixture
def study(tmp_path):
    """Reads the study above with one text in place of another."""

    def make(old="", new=""):
        (tmp_path / "rates.yaml").write_text(SWEEP, encoding="utf-8")
        (tmp_path / "study.yaml").write_text(STUDY.replace(old, new, 1), encoding="utf-8")
        return study_file.read(tmp_path / "study.yaml")

    return make


def test_its_runs_say_what_a_metric_is_in(records):
    share, number, each = (measured(name, records) for name in ("test/ece", "test/nll", "test/of_class/cat"))
    assert (share.words, share.unit, share.scale, share.better) == ("calibration error", POINTS, 100, -1)
    assert (number.words, number.unit, number.scale, number.better) == ("nll", NUMBER, 1, -1)
    assert (each.words, each.is_detail, each.of(records[2])) == ("accuracy of cat", True, 0.7)
    assert measured("test/edges", records).better == 0
    assert measured("test/nothing", records) is measured("test/nll", []) is measured("gpu/memory_gb", records) is None
    assert all(measured(name, []) is kind for name, kind in MEASURES.items())


def test_two_versions_of_its_code_are_told_of(records, caplog):
    other = records[0].model_copy(update={"measures": [DECLARED[0].model_copy(update={"code": "b" * 12})]})
    assert measured("test/ece", [other, *records[1:]]).words == "calibration error"
    assert "test/ece was measured by 2 versions of its code" in caplog.text


def test_claims_are_judged_in_its_own_unit(study, records):
    gained, less, best, bounds = judge(Study.of(records, study())).each
    assert gained.verdict == less.verdict == bounds.verdict == "reproduced"
    assert gained.parts[0].in_words().startswith("−4.80 points (") and less.parts[0].in_words().startswith("−0.0960 (")
    assert "calibration error with rate 0.01 at most -1 points against rate 0.001" in gained.rule.replace("Calibration", "calibration")
    assert "at most -0.05 against" in less.rule
    assert best.parts[0].estimate == 1 and bounds.parts[0].in_words().startswith("5.20 % (")
    assert bounds.parts[1].in_words().startswith("0.3040 (")


def test_what_nobody_calls_better_has_no_best(study, records):
    with pytest.raises(UserError, match="the best of test/edges: its runs say neither that more is better"):
        judge(Study.of(records, study("best: {of: test/ece", "best: {of: test/edges")))


def test_a_claim_on_what_no_run_has_is_not_tested(study, records):
    bare = [record.model_copy(update={"measures": None, "summary": record.summary.model_copy(update={"own": {}})}) for record in records]
    assert {finding.verdict for finding in judge(Study.of(bare, study())).each} == {"not tested"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "y: [test/ece",
            "y: [test/ecce",
            "line 6: test/ecce: no sweep of the study has train.metrics with .* did you mean test/ece",
        ),
        ("{of: test/nll", "{of: test/nlll", "line 11: test/nlll: no sweep of the study has"),
        ("difference: {of: test/ece", "ratio: {of: test/ece", "line 9: .*test/ece is no time"),
        ("sweeps: [rates.yaml]\n", "", None),
        ("y: [test/ece", "y: [loss/test", "line 6: .*no report has loss/test"),
    ],
)
def test_a_metric_that_the_study_s_sweeps_do_not_ask_for_is_refused(study, old, new, said):
    if said is None:
        assert study(old, new)
        return
    with pytest.raises(UserError, match=f"study.yaml, {said}"):
        study(old, new)


def test_figures_and_tables_have_it(study, records):
    found = Study.of(records, study())
    (question,) = found.design.questions
    cells = found.answers(question)
    table = tables.tidy(cells, found.design, found.own).set_index("rate")
    assert table.loc[0.01, "test/ece"] == pytest.approx(5.2) and table.loc[0.001, "test/nll"] == pytest.approx(0.4)
    drawn = json.loads(charts.draw(table.reset_index(), question.figures[0], found, "").to_json())
    told = json.dumps(drawn)
    assert "calibration error, %" in told and '"nll"' in told
    arms = tables.arms(cells, found.target, own=found.own)
    assert [name for name in arms.columns if "error" in name or name in ("nll", "edges")] == ["calibration error, %", "nll", "edges"]
    assert arms["calibration error, %"].tolist()[0].startswith("10.0")
    assert {"test/ece", "test/of_class/cat"} <= set(tables.runs(found.records, found).columns)


@pytest.fixture
def runs(records, tmp_path):
    for record in records:
        write_run(tmp_path / "runs" / "rates" / record.run_id, record)
    return reglab.runs(tmp_path / "runs" / "rates")


def test_it_is_compared_and_judged(runs):
    share, number, bare = (reglab.compare(runs, "lr=0.01", "lr=0.001", on=f"test/{name}") for name in ("ece", "nll", "edges"))
    assert (share.unit, share.verdict, share.n) == ("points", "a is better", 3) and share.estimate == pytest.approx(-4.8)
    assert (number.unit, number.verdict) == ("", "a is better") and number.estimate == pytest.approx(-0.096)
    assert bare.verdict == "a has more" and str(bare).endswith("lr 0.01 has more")
    assert reglab.judge(runs, "lr=0.01 < lr=0.001 in test/ece by 1").verdict == "holds"
    assert reglab.judge(runs, "lr=0.01 < lr=0.001 in test/nll by 0.01").verdict == "holds"
    with pytest.raises(UserError, match=r"on=test/ecce: no run is told by that; did you mean test/ece\?; there are test/accuracy.*ece"):
        reglab.compare(runs, "lr=0.01", "lr=0.001", on="test/ecce")
    with pytest.raises(UserError, match="by 1 points: test/nll is in a unit of its own, and has none"):
        reglab.judge(runs, "lr=0.01 < lr=0.001 in test/nll by 1 points")
