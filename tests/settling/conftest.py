import random

import pytest

from reglab.report.studies.study_file import read
from reglab.settling.arms import arms_of
from reglab.settling.rounds import Course
from reglab.sweep import spec
from tests.report.conftest import make_record as make_record
from tests.report.conftest import make_turns as make_turns

STUDY = """
title: Does the rate matter?
sweeps: [rates.yaml]
factors: {rate: optimizer.lr, layers: batchnorm.layers}
looks: [3, 5, 8]
questions: [{name: rates, x: rate}]
claims:
  - text: A rate of 0.01 is better than 0.001.
    difference: {of: test/accuracy, at: {layers: 0}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}
  - text: With two layers, too.
    difference: {of: test/accuracy, at: {layers: 2}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}
"""

SWEEP = """
method: grid
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}}}
  optimizer: {parameters: {lr: {values: [0.001, 0.01, 0.1]}}}
  batchnorm: {parameters: {layers: {values: [0, 2]}}}
  train: {parameters: {epochs: {value: 1}, seed: {values: [0, 1, 2]}}}
"""


@pytest.fixture
def course_of(tmp_path):
    """Makes the course of a study: of the text of its file and of its sweep's."""

    def make(study=STUDY, sweep=SWEEP, **options):
        (tmp_path / "rates.yaml").write_text(sweep, encoding="utf-8")
        (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
        design = read(tmp_path / "study.yaml")
        return Course(design, arms_of(spec.read(file) for file in design.files), **options)

    return make


@pytest.fixture
def carry_out(make_record):
    """Makes the records of the runs of a round, as an arm's accuracy and its spread have it, and what else is told of them."""
    chance = random.Random(1)

    def make(runs, accuracy=lambda config: 0.7, spread=0.001, **told):
        return [
            make_record(
                config=wanted.arm.config.model_dump(exclude={"arm", "cell"})
                | {"train": {**wanted.arm.config.train.model_dump(), "seed": wanted.seed}},
                test=accuracy(wanted.arm.config) + chance.gauss(0, spread),
                **told,
            )
            for wanted in runs
        ]

    return make
