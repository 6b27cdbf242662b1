"""What the comparisons of a claim ask, in words."""

import pytest

from reglab.report.claims.asked import asked_of
from reglab.report.studies import study_file
from reglab.settling.arms import arms_of, study_of
from reglab.sweep import spec
from tests.report.claims.test_planned import DECAYS, STUDY


@pytest.mark.parametrize(
    "claimed",
    [
        "difference: {of: test/accuracy, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0, AT}",
        "ratio: {of: time/train_seconds, between: {rate: 0.01}, and: {rate: 0.001}, at_most: 1, AT}",
        "interaction: {of: gap, between: {rate: 0.01}, and: {rate: 0.001}, with: {batch: 64}, against: {batch: 128}, at_least: 0, AT}",
        "best: {of: test/accuracy, level: {rate: 0.01}, among: {rate: [0.01, 0.001]}, AT}",
        "sooner: {between: {rate: 0.01}, and: {rate: 0.001}, AT}",
        "threshold: {of: test/accuracy, between: {rate: 0.01}, at_least: 90, AT}",
        "trend: {of: test/accuracy, over: {rate: [0.001, 0.01]}, direction: rises, AT}",
        "trend: {of: time_to_target/seconds, over: {rate: [0.001, 0.01]}, direction: falls, AT}",
    ],
)
def test_every_kind_says_at_which_levels_it_looks(tmp_path, claimed):
    asked = study_at(tmp_path, claimed.replace("AT", "at: {decay: 0.1}"))
    assert all("decay 0.1" in words for words in asked)
    assert study_at(tmp_path, claimed.replace(", AT", "")) == [words.replace(", decay 0.1", "") for words in asked]


def study_at(folder, claimed):
    """The rule of each comparison of a claim, and what each is called, of runs that are planned."""
    (folder / "rates.yaml").write_text(DECAYS)
    own = STUDY.replace("factors: {", "factors: {decay: weight_decay.rate, batch: train.batch_size, ").split("    difference:")[0]
    (folder / "own.yaml").write_text(f"{own}    {claimed}\n")
    design = study_file.read(folder / "own.yaml")
    plan = study_of(design, arms_of(map(spec.read, design.files)))
    each = list(asked_of(design.claims[0], None, plan))
    return [*(asked.rule for asked in each), *(compared.what for asked in each for compared in asked.look())]
