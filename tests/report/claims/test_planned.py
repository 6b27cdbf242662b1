"""What claims ask of runs that are not there yet."""

import pytest
from scipy.stats import binomtest

from reglab.report.claims import planned
from reglab.report.comparisons.seen import of_too_few
from reglab.report.studies import study_file
from reglab.settling.arms import arms_of, study_of
from reglab.sweep import spec

SWEEP = """
name: rates
method: grid
metric: {name: test/accuracy, goal: maximize}
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}}}
  optimizer: {parameters: {lr: {values: [0.001, 0.01]}}}
"""

STUDY = """
title: Rates
sweeps: [rates.yaml]
factors: {rate: optimizer.lr}
questions: [{name: rates, x: rate, y: test/accuracy}]
claims:
  - text: The larger is better.
    difference: {of: test/accuracy, between: {rate: LARGER}, and: {rate: SMALLER}, at_least: 0}
"""


@pytest.mark.parametrize(
    ("larger", "smaller", "lacks"),
    [
        ("0.01", "0.001", []),
        ("any", "base", ["claim 1 would decide nothing: rate any is said of 2 arms"]),
        ("1e-2", "0.001", []),
        ("0.1", "0.001", ["claim 1 is about rate: 0.1, and no arm of its sweeps has that; they have 0.001, 0.01"]),
        ("[0.01, 0.1]", "0.002", ["rate: 0.1,", "rate: 0.002,"]),
    ],
)
def test_a_level_that_no_arm_has_is_named_before_anything_runs(tmp_path, larger, smaller, lacks):
    (tmp_path / "rates.yaml").write_text(SWEEP)
    (tmp_path / "study.yaml").write_text(STUDY.replace("LARGER", larger).replace("SMALLER", smaller))
    design = study_file.read(tmp_path / "study.yaml")
    plan = study_of(design, arms_of(map(spec.read, design.files)))
    said = planned.in_vain(design, plan)
    assert len(said) == len(lacks)
    for line, each in zip(said, lacks, strict=True):
        assert line.startswith(str(tmp_path / "study.yaml")) and each in line


DECAYS = SWEEP.replace("  optimizer:", "  weight_decay: {parameters: {rate: {values: [0, 0.1]}}}\n  optimizer:")


@pytest.mark.parametrize(
    ("larger", "smaller", "said"),
    [
        ("0.01", "0.001", None),  # at each decay
        ("0.01, decay: 0.1", "0.001, decay: 0", None),
        ("0.01, decay: 0.1", "0.001", "rate 0.001 is said of 2 arms that differ in decay: say its level, too"),
        ("0.01", "0.001, decay: 0", "rate 0.01 is said of 2 arms that differ in decay: say its level, too"),
    ],
)
def test_a_level_of_several_arms_is_named_before_anything_runs_and_nobody_asks_for_them(tmp_path, larger, smaller, said):
    study = STUDY.replace("LARGER", larger).replace("SMALLER", smaller).replace("optimizer.lr", "optimizer.lr, decay: weight_decay.rate")
    (tmp_path / "rates.yaml").write_text(DECAYS)
    (tmp_path / "study.yaml").write_text(study)
    design = study_file.read(tmp_path / "study.yaml")
    plan = study_of(design, arms_of(map(spec.read, design.files)))
    found, (asked,) = planned.in_vain(design, plan), planned.asked_by(design.claims[0], plan)
    assert found == ([f"{design.path}: claim 1 would decide nothing: {said}"] if said else [])
    assert bool(asked) == (said is None)


@pytest.mark.parametrize(
    ("claimed", "decays", "said"),
    [
        ("best: {of: test/accuracy, level: {rate: 0.01}, among: {rate: [0.001, 0.01]}}", 5, "`best`: it is of 5 cases, and of fewer"),
        ("best: {of: test/accuracy, level: {rate: 0.01}, among: {rate: [0.001, 0.01]}, at: {decay: 0}}", 6, "it is of 1 case, and"),
        ("best: {of: test/accuracy, level: {rate: 0.01}, among: {rate: [0.001, 0.01]}}", 6, None),
        ("sooner: {between: {rate: 0.01}, and: {rate: 0.001}}", 5, "`sooner`: it is of 5 cases, and of fewer than 6"),
        ("sooner: {between: {rate: 0.01}, and: {rate: 0.001}, cases: seeds}", 5, None),
        ("difference: {of: test/accuracy, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}", 1, None),
    ],
)
def test_a_share_of_fewer_configurations_than_could_ever_decide_it_is_named_before_anything_runs(tmp_path, claimed, decays, said):
    (tmp_path / "rates.yaml").write_text(DECAYS.replace("[0, 0.1]", str([number / 10 for number in range(decays)])))
    own = STUDY.replace("factors: {", "factors: {decay: weight_decay.rate, ").split("    difference:")[0]
    (tmp_path / "study.yaml").write_text(f"{own}    {claimed}\n")
    design = study_file.read(tmp_path / "study.yaml")
    lines = planned.in_vain(design, study_of(design, arms_of(map(spec.read, design.files))))
    assert len(lines) == (1 if said else 0)
    assert not said or (said in lines[0] and "claim 1 can never hold" in lines[0])


@pytest.mark.parametrize(("won", "cases", "can"), [(5, 5, False), (6, 6, True), (1, 1, False)])
def test_the_fewest_cases_are_those_of_an_exact_interval(won, cases, can):
    assert (binomtest(won, cases).proportion_ci().low > 0.5) is can
    assert (of_too_few(cases) == "") is can
