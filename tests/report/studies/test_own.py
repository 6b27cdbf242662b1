"""Runs that are of no study are reported by what varies among them."""

import re
from datetime import timedelta

import pandas as pd
import pytest

from reglab.errors import UserError
from reglab.report import build
from reglab.report.check import faults
from reglab.report.page import words
from reglab.report.sections import own_extras
from reglab.report.studies import own
from reglab.report.studies.study import Study


@pytest.fixture(scope="module")
def runs(make_record):
    """Rate by decay of AdamW, three seeds; the best is the larger rate with the middle decay."""
    best = {(0.001, 0.0): 0.8, (0.001, 0.01): 0.81, (0.001, 0.1): 0.8, (0.01, 0.0): 0.88, (0.01, 0.01): 0.9, (0.01, 0.1): 0.7}
    return [
        make_record(
            seed=seed,
            test=value + 0.004 * ((seed + place) % 3),
            config={"optimizer": {"name": "adamw", "lr": rate, "weight_decay": decay}},
            sweep="rate_and_decay",
        )
        for place, ((rate, decay), value) in enumerate(best.items())
        for seed in (0, 1, 2)
    ]


@pytest.fixture(scope="module")
def searched(make_record):
    """Twelve draws of a rate, one after the other, chosen by held-out images."""
    found = []
    for number in range(12):
        record = make_record(
            test=0.7,
            config={"data": {"validation": 100}, "optimizer": {"lr": 0.0011 * 1.3**number, "schedule": ("cosine", "step")[number % 2]}},
            sweep="search",
        )
        summary = record.summary.model_copy(update={"val_accuracy": 0.6 + 0.02 * number})
        found.append(record.model_copy(update={"summary": summary, "created": record.created + timedelta(seconds=number)}))
    return found


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    return build.build(runs, tmp_path_factory.mktemp("own") / "report", "runs/rate_and_decay", {}).parent


def own_study(records, baseline=None):
    return Study.of(records, own.design(records, baseline))


def test_arms_are_called_by_what_differs_among_them(runs):
    study = own_study(runs)
    assert set(study.labels.values()) == {
        f"weight decay {decay} · lr {rate}" for rate in ("0.001", "0.01") for decay in ("0", "0.01", "0.1")
    }
    assert list(study.design.factors) == ["weight_decay", "lr"]


def test_adamw_without_decay_is_no_other_optimizer(runs):
    assert "name" not in own_study(runs).design.factors


def test_no_two_arms_have_the_same_factors_however_they_were_written(make_record):
    """One probability for all layers, and one for each of which the last is the same: `p3` alone would call both one."""
    written = [{"p": 0.3}, {"p1": 0.1, "p2": 0.2, "p3": 0.3}, {"p1": 0.1, "p2": 0.2, "p3": 0.4}]
    records = [make_record(seed=seed, config={"dropout": {"layers": 3, **each}}, sweep="mine") for each in written for seed in (0, 1)]
    study = own_study(records)
    assert len({tuple(study.treated[record.run_id][name] for name in study.design.names) for record in records}) == len(written)


def test_no_run_is_of_another_set_up(study):
    assert own_study(study).others == ()


def test_regularizers_keep_their_names(study):
    assert sorted(set(own_study(study).labels.values())) == sorted({record.label for record in study})


def test_arms_are_compared_with_the_best_of_the_others_all_at_once(runs):
    study = own_study(runs)
    against, effects = own_extras.extras(study)
    table = against.table.set_index("model")
    assert against.table["model"].tolist()[0] == "weight decay 0.01 · lr 0.01"
    assert table.loc["weight decay 0.1 · lr 0.01", "95 % interval, all at once"].endswith(" to 0")
    assert against.notes[0] == "weight decay 0.01 · lr 0.01 is the best: every other arm is surely below it."
    assert ["lr", "0.01", "0.001"] in effects.table[["factor", "level", "against"]].values.tolist()
    assert effects.table["n"].tolist() == ["3", "3", "3"]  # seeds, of each the mean over decays, or rates


def test_a_named_arm_is_what_the_table_compares_with(runs):
    study = own_study(runs, "optimizer.lr=0.001 optimizer.weight_decay=0")
    (question,) = study.design.questions
    (plain,) = [cell for cell in study.answers(question) if study.is_baseline(question, cell.treatment)]
    assert plain.label == "weight decay 0 · lr 0.001"


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("optimizer.lr=0.001", "3 arms have that; give a value of each of weight_decay.rate, optimizer.lr"),
        ("optimizer.lr=5 optimizer.weight_decay=0", "no arm has that"),
        ("train.epochs=1", "train.epochs does not differ among these runs"),
    ],
)
def test_a_baseline_that_is_not_one_arm_is_refused(runs, baseline, said):
    with pytest.raises(UserError, match=said):
        own.design(runs, baseline)


def test_a_report_of_no_study_says_no_word_about_one(report):
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", (report / "index.html").read_text(), flags=re.DOTALL)
    for word in ("stud", "claim", "Four regularizers", "final model", "Table 1", "published"):
        assert word not in page, word
    assert "<h1>rate_and_decay: digits</h1>" in page
    assert "Of the arms, weight decay 0.01 · lr 0.01 has the best test accuracy: 90.4" in page
    assert not {"claims.csv", "table_1.csv", "study.yaml"} & {path.name for path in report.iterdir()}


def test_it_has_its_tables_and_figures_and_holds(report, runs):
    assert {"arms.png", "summary.png", "main_effects.png", "test_accuracy.png", "effects.csv"} <= {path.name for path in report.iterdir()}
    assert len(pd.read_csv(report / "arms.csv")) == 6
    for name in ("comparisons", "effects"):
        table = pd.read_csv(report / f"{name}.csv")
        assert (table[["value", "low", "high", "p", "n"]].dtypes.map(str) != "object").all()
        assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert faults(report, {}, runs) == []


@pytest.mark.parametrize(
    ("arms", "first", "section"),
    [
        (range(6), " Every other is surely below it.", "is the best: every other arm is surely below it."),
        ((0, 2), " Either of them may be the best: these runs do not tell.", "Either of 2 arms may be the best: "),
        ((0, 2, 5), " Either of 2 arms may be the best.", "Either of 2 arms may be the best: "),
    ],
)
def test_what_is_said_first_of_the_best_arm_is_what_the_section_on_it_says(runs, arms, first, section):
    study = own_study([run for arm in arms for run in runs[3 * arm : 3 * arm + 3]])
    (question,) = study.design.questions
    assert words.headline([], {question: study.answers(question)}, study)[0].endswith(first)
    assert section in own_extras.extras(study)[0].notes[0]


@pytest.mark.parametrize(("baseline", "figures"), [(None, []), ("optimizer.lr=0.001 optimizer.weight_decay=0", ["against_the_best"])])
def test_the_arms_against_the_best_are_drawn_once(runs, baseline, figures):
    """Where no arm is named to compare with, the page begins with them."""
    compared, _ = own_extras.extras(own_study(runs, baseline))
    assert [name for name, *_ in compared.drawn] == figures
    assert ("The first figure of this page shows them." in compared.notes) is (baseline is None)


def test_a_search_is_told_by_what_it_found(searched, tmp_path):
    study = own_study(searched)
    (found,) = own_extras.extras(study)
    assert found.notes == [f"The best of 12 draws is {study.labels[searched[-1].run_id]}, with accuracy on held-out images 82.0 %."]
    assert found.table["factor"].tolist()[0] == "lr"  # what leads to it
    folder = build.build(searched, tmp_path / "report", "runs/search", {}).parent
    assert {"parallel.png", "importance.png", "best_so_far.png"} <= {path.name for path in folder.iterdir()}


def test_a_search_by_the_test_images_is_said_to_be_too_good(searched):
    by_test = [
        record.model_copy(
            update={"summary": record.summary.model_copy(update={"val_accuracy": None, "test_accuracy": record.summary.val_accuracy})}
        )
        for record in searched
    ]
    assert any("too good" in note for note in own_extras.extras(own_study(by_test))[0].notes)


@pytest.fixture(scope="module")
def traded(make_record):
    """Six draws of a rate, two seeds each: the slower the better, but for the third, which the second beats in both."""
    came_to = [(10, 0.60), (12, 0.70), (13, 0.69), (20, 0.80), (30, 0.81), (60, 0.90)]
    return [
        make_record(
            test=value + 0.01 * seed, seconds=seconds, seed=seed, config={"optimizer": {"lr": 0.0011 * 1.3**number}}, sweep="search"
        )
        for number, (seconds, value) in enumerate(came_to)
        for seed in (0, 1)
    ]


def front(records):
    return next((extra for extra in own_extras.extras(own_study(records)) if extra.stem == "pareto"), None)


def elsewhere(record, **changes):
    return record.model_copy(update={"environment": record.environment.model_copy(update={"device": "another GPU"})})


def test_of_a_search_the_arms_are_named_that_no_other_beats_in_accuracy_and_time(traded, tmp_path):
    found = front(traded)
    assert found.table["training time, s"].tolist() == ["10", "12", "20", "30", "60"]
    assert found.table["test accuracy, %"].tolist()[1] == "70.5 ± 0.7"
    assert found.table["seeds"].tolist() == ["2"] * 5
    assert found.notes[0].startswith("5 of 6 arms are on the front.")
    folder = build.build(traded, tmp_path / "report", "runs/search", {}).parent
    assert {"pareto.csv", "pareto_front.png"} <= {path.name for path in folder.iterdir()}


def test_times_of_different_machines_are_not_compared(traded):
    """A quick arm of another machine is none of the front, whatever it came to."""
    others = [elsewhere(record) for record in traded if record.summary.time_train_seconds == 10]
    found = front([record for record in traded if record.summary.time_train_seconds != 10] + others)
    assert found.table["training time, s"].tolist() == ["12", "20", "30", "60"]
    assert re.fullmatch(r"Times are of a GPU, .*; 2 of 12 runs are of others, and left out\.", found.notes[1])


def test_where_all_take_as_long_there_is_nothing_to_choose(searched):
    assert front(searched) is None


def test_one_arm_alone_is_reported_without_comparisons(make_record, tmp_path):
    folder = build.build([make_record(seed=seed, sweep="one") for seed in (0, 1)], tmp_path / "report", "runs/one", {}).parent
    assert not (folder / "comparisons.csv").exists()
    assert "baseline" in (folder / "arms.md").read_text()


def test_an_interrupted_run_names_no_report(make_record, tmp_path):
    from reglab.tracking.record import State
    from tests.report.published import DESIGN

    records = [make_record(seed=seed) for seed in (0, 1)]
    records.append(make_record(seed=2, state=State.preempted, summary=None, config={"train": {"epochs": 30}}))
    for design in (DESIGN, None):
        page = build.Report(records, design)
        assert ", 1 epoch: 1 arm, up to 2 seeds each" in page.what()
