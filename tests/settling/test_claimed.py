"""Claims about the arms of a sweep become a study of it."""

import pytest

from reglab.errors import UserError
from reglab.report.studies.study_file import read as read_study
from reglab.settling.claimed import text_of
from reglab.sweep.spec import read
from tests.settling.conftest import SWEEP

ADAM = "lr=0.01 layers=2 > lr=0.001 layers=2 in test/accuracy by 0.5"


@pytest.fixture
def study(tmp_path):
    """The study that is made of some claims about the sweep, or about one of another text."""

    def make(*claims, sweep=SWEEP):
        (tmp_path / "rates.yaml").write_text(sweep, encoding="utf-8")
        (tmp_path / "study.yaml").write_text(text_of(read(tmp_path / "rates.yaml"), claims, tmp_path / "rates.yaml"), encoding="utf-8")
        return read_study(tmp_path / "study.yaml")

    return make


def test_a_claim_compares_the_arms_that_it_names_by_the_margin_that_it_has(study):
    found = study(ADAM, "layers=0 < layers=2 in test/accuracy", "lr=0.01 = lr=0.1 in gap within 2")
    more, less, alike = (claim.difference[0] for claim in found.claims)
    assert (more.of, more.at_least, {name: list(levels) for name, levels in more.between.items()}) == (
        "test/accuracy",
        0.5,
        {"lr": ["0.01"], "layers": ["2"]},
    )
    assert less.at_most == 0 and less.at_least is None
    assert alike.within == 2 and [*alike.other["lr"]] == ["0.1"]
    assert found.looks == (3, 5, 8, 12) and found.claims[0].text == ADAM


def test_its_runs_are_those_of_the_sweep_that_the_claim_asks_for(study):
    from reglab.settling.arms import arms_of
    from reglab.settling.rounds import Course

    found = study(ADAM)
    course = Course(found, arms_of(read(file) for file in found.files))
    configs = [course.arms[name].config for name in course.asked]
    assert {(config.optimizer.lr, config.batchnorm.layers) for config in configs} == {(0.01, 2), (0.001, 2)}


def test_the_looks_end_where_replicates_do(study):
    replicated = SWEEP.replace("method: grid", "method: grid\nreplicates: {key: train.seed, start: 3, most: 6}")
    assert study(ADAM, sweep=replicated.replace(", seed: {values: [0, 1, 2]}", "")).looks == (3, 5, 6)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("lr=0.01 > lr=0.5 in test/accuracy", "lr is 0.5 in no run; there are 0.001, 0.01, 0.1"),
        ("lr=0.01 > rate=0.1 in test/accuracy", "rate does not differ among these runs"),
        ("lr=0.01 > layers=2 in test/accuracy", "the two settings may be one run's"),
        ("lr=0.01 > lr=0.1 in time/train_seconds", "times are compared by their ratio"),
        ("lr=0.01 is better", "ask as in"),
        ("lr=0.01 layers=2 > lr=0.001 in test/accuracy", "lr 0.001 is said of 2 arms that differ in layers: say its level, too"),
    ],
)
def test_a_claim_that_cannot_be_made_of_the_sweep_is_refused(study, claim, said):
    with pytest.raises(UserError, match=said):
        study(claim)


def test_a_search_has_no_arms_to_claim_anything_of(study):
    drawn = SWEEP.replace("method: grid", "method: random\nrun_cap: 4")
    with pytest.raises(UserError, match="takes a grid of `reglab train`"):
        study(ADAM, sweep=drawn)
