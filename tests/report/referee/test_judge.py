"""Answers, and that they stay right however often they are asked for."""

import json
import math
import random
import threading
from pathlib import Path

import pytest

import reglab
from reglab.config.arms import FINAL_ARMS
from reglab.errors import UserError
from reglab.report.collection import Runs
from reglab.report.referee import ledger
from reglab.report.referee.judge import beside
from reglab.tracking import turns
from reglab.tracking.record import State
from reglab.tracking.store import write_run
from tests.report.conftest import moved, sharing

REPORT = Path(reglab.__file__).parents[1] / "reports" / "cifar10_jpeg_h200"


@pytest.fixture
def table(tmp_path):
    """A table of some arms and seeds; arm a has three points more than the others, and a seed half a point of its own."""

    def write(seeds=5, name="runs.csv", gain=0.03, header="arm,seed,acc", more=(), arms="abcdef"):
        lines = [header]
        for arm in arms:
            for seed in range(seeds):
                noise = random.Random(f"{arm} {seed}").gauss(0, 0.005)
                lines.append(f"{arm},{seed},{0.8 + gain * (arm == 'a') + noise:.6f}")
        (tmp_path / name).write_text("\n".join([*lines, *more]) + "\n")
        return tmp_path / name

    return write


def test_a_difference_that_is_there_holds_and_its_opposite_fails(table):
    found = reglab.judge(table(), "arm=a > arm=b in acc by 0.5")
    assert (found.verdict, found.exit_code, found.unit, found.seeds) == ("holds", 0, "points", (5, 5))
    assert found.low < 3 < found.high
    opposite = reglab.judge(table(), "arm=a < arm=b in acc")
    assert (opposite.verdict, opposite.exit_code) == ("fails", 3)


def test_a_difference_that_is_not_there_is_undecided_and_alike_is_alike(table):
    found = reglab.judge(table(12), "arm=c > arm=b in acc")
    assert (found.verdict, found.exit_code) == ("undecided", 4)
    assert reglab.judge(table(12), "arm=c = arm=b in acc within 2").verdict == "holds"


def test_seeds_more_are_told_and_settle_it(table):
    few = reglab.judge(table(3, gain=0.015), "arm=a > arm=b in acc")
    assert few.verdict == "undecided" and 0 < few.more_seeds < 9
    assert few.decision == f"undecided: about {few.more_seeds} more seeds of these"
    later = reglab.judge(table(12, gain=0.015), "arm=a > arm=b in acc")  # the end of its plan
    assert later.verdict == "holds"


def test_the_same_question_of_the_same_runs_has_the_same_answer_and_spends_nothing(table):
    source = table(4)
    first, again = (reglab.judge(source, "arm=a > arm=b in acc") for _ in range(2))
    assert (first.asked, again.asked) == (1, 2)
    assert (first.number, first.level, first.low) == (again.number, again.level, again.low)
    other_words = reglab.judge(source, "arm=b < arm=a in acc")
    assert (other_words.asked, other_words.number, other_words.verdict) == (3, 1, first.verdict)


def test_a_look_at_more_seeds_has_a_level_of_its_own_and_the_next_question_less(table):
    three, five = (reglab.judge(table(seeds), "arm=c > arm=b in acc") for seeds in (3, 5))
    assert three.level == pytest.approx(0.025 * (3 / 12) ** 1.5)
    assert 0 < five.level < 0.025 * (5 / 12) ** 1.5
    assert five.number == 1
    assert reglab.judge(table(5), "arm=d > arm=b in acc").level == pytest.approx(0.05 / 6 * (5 / 12) ** 1.5)
    assert reglab.judge(table(5), "arm=d > arm=b in acc", family="mine").level == pytest.approx(0.025 * (5 / 12) ** 1.5)


def test_what_is_decided_stays_decided(table):
    assert reglab.judge(table(5), "arm=a > arm=b in acc").verdict == "holds"
    alike = [f"{arm},{seed},0.80{seed}" for arm in "ab" for seed in range(6, 12)]
    later = reglab.judge(table(6, more=alike), "arm=a > arm=b in acc")
    assert later.verdict == "holds"
    assert "decided at 5 seeds" in str(later)


def test_runs_that_are_gone_or_say_otherwise_make_another_question(table):
    assert reglab.judge(table(4), "arm=c > arm=b in acc").number == 1
    source = table(4)
    lines = [line for line in source.read_text().splitlines() if not line.startswith("c,0")]
    source.write_text("\n".join([*lines, "c,0,0.95"]) + "\n")
    again = reglab.judge(source, "arm=c > arm=b in acc")
    assert again.number == 2
    assert "it counts as another question" in str(again)


def test_more_runs_of_one_side_are_no_further_look(table):
    """Three seeds against six are a look at four; one more of the larger side is none."""
    first = reglab.judge(table(3, more=["c,3,0.8", "c,4,0.81", "c,5,0.79"]), "arm=c > arm=b in acc")
    again = reglab.judge(table(3, more=["c,3,0.8", "c,4,0.81", "c,5,0.79", "c,6,0.99"]), "arm=c > arm=b in acc")
    assert (first.verdict, again.verdict) == ("undecided", "undecided")
    assert first.level == again.level
    assert "they are not looked at yet" in str(again)


def test_one_seed_tells_nothing(table):
    found = reglab.judge(table(1), "arm=a > arm=b in acc")
    assert (found.verdict, found.low, found.more_seeds) == ("undecided", None, 2)


def test_a_plan_that_is_over_says_so(table):
    found = reglab.judge(table(12), "arm=c > arm=b in acc")
    assert found.decision == "undecided, and no number of seeds of its plan is likely to settle it"
    with pytest.raises(UserError, match="was asked with a plan of 12 seeds"):
        reglab.judge(table(12), "arm=c > arm=b in acc", most_seeds=30)


@pytest.mark.parametrize(
    ("question", "keys", "said"),
    [
        ("arm=a > arm=z in acc", {}, "arm is z in no run"),
        ("arm=a > arm=a in acc", {}, "the two settings may be one run's"),
        ("arm=a > arm=b in loss", {}, "no finished run has it"),
        ("arm=a > arm=b in acc", {"level": 1.5}, "--level 1.5"),
        ("arm=a > arm=b in acc", {"most_seeds": 1}, "--most-seeds 1"),
        ("arm=a > arm=b in acc", {"family": ""}, "--family"),
        ("arm=a > arm=b in acc", {"unit": "percent", "chance": "much"}, "--chance much"),
    ],
)
def test_what_cannot_be_judged_is_refused_and_not_kept(table, question, keys, said):
    with pytest.raises(UserError, match=said):
        reglab.judge(table(), question, **keys)
    assert not beside(str(table())).exists()


def test_settings_beside_the_question_must_be_alike(table, tmp_path):
    lines = ["arm,wd,seed,acc"] + [
        f"{arm},{wd},{seed},{0.7 + 0.02 * (arm == 'a') + 0.1 * wd + 0.001 * ((seed * 7 + len(arm)) % 3):.4f}"
        for arm in "ab"
        for wd in (0, 1)
        for seed in range(4)
    ]
    (tmp_path / "two.csv").write_text("\n".join(lines) + "\n")
    found = reglab.judge(tmp_path / "two.csv", "arm=a > arm=b in acc")
    assert found.estimate == pytest.approx(2)
    assert "over the 2 settings of all else" in str(found)
    for one, other in (("arm=a wd=0", "arm=b"), ("arm=b", "arm=a wd=0")):
        with pytest.raises(UserError, match=r"^arm b is said of 2 arms that differ in wd: say its level, too$"):
            reglab.judge(tmp_path / "two.csv", f"{one} > {other} in acc")
        with pytest.raises(UserError, match=r"^arm b is said of 2 arms that differ in wd: say its level, too$"):
            reglab.compare(reglab.runs(tmp_path / "two.csv", metric="acc", group_by=["arm", "wd"]), one, other)


def test_runs_without_seeds_are_independent(tmp_path):
    lines = ["arm,acc"] + [f"{arm},{0.8 + 0.05 * (arm == 'a') + number / 1000}" for arm in "abc" for number in range(5)]
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n")
    found = reglab.judge(tmp_path / "plain.csv", "arm=a > arm=b in acc")
    assert (found.verdict, found.correlation) == ("holds", None)


def test_runs_without_a_number_are_said_or_count_as_chance(table):
    source = table(5, more=["b,5,nan"])
    assert "left out: 1 that diverged or finished without a number in acc (--chance says" in str(
        reglab.judge(source, "arm=a > arm=b in acc")
    )
    counted = reglab.judge(source, "arm=a > arm=b in acc", chance=0.1, family="counted")
    assert counted.estimate > 10
    assert "1 that diverged count as chance; without them: +" in str(counted)


@pytest.fixture
def half_diverged(table):
    """A table in which so many seeds of arm a stand as diverged, with the last number that they had, or as finished with none."""

    def write(name, ending, of=3):
        head, *rows = table(6).read_text().splitlines()
        ended = [
            f"{row.rpartition(',')[0]},{ending}" if row.startswith("a,") and number < of else f"{row},finished"
            for number, row in enumerate(rows)
        ]
        return table(0, name=name, header=f"{head},state", more=[row.replace("ACC", "0.83") for row in ended])

    return write


@pytest.mark.parametrize("chance", [0.1, None, "none"])
def test_a_run_of_any_program_that_diverged_counts_as_one_without_a_number(half_diverged, chance):
    """Without those that diverged an arm that often does would look the better."""
    diverged = reglab.judge(half_diverged("diverged.csv", "ACC,diverged"), "arm=a > arm=b in acc", chance=chance)
    without = reglab.judge(half_diverged("nan.csv", "nan,finished"), "arm=a > arm=b in acc", chance=chance)
    assert (diverged.verdict, diverged.estimate, diverged.low, diverged.seeds) == (
        without.verdict, without.estimate, without.low, without.seeds,
    )  # fmt: skip
    assert (diverged.seeds, diverged.estimate < -30) == (((6, 6), True) if chance == 0.1 else ((3, 6), False))
    said = "3 that diverged count as chance" if chance == 0.1 else "left out: 3 that diverged or finished without a number in acc"
    assert said in str(diverged) and said in str(without)


def test_an_arm_that_always_diverged_is_compared_by_chance_or_not_at_all(half_diverged):
    source = half_diverged("all.csv", "ACC,diverged", of=6)
    with pytest.raises(UserError, match="no finished runs of the two have all else in common"):
        reglab.judge(source, "arm=a > arm=b in acc")
    found = reglab.judge(source, "arm=a > arm=b in acc", chance=0.1)
    assert (found.seeds, round(found.estimate)) == ((6, 6), -70)


# Runs of reglab.


@pytest.fixture
def ours(make_record, tmp_path):
    for lr in (0.001, 0.01, 0.1):
        for seed in range(6):
            diverged = lr == 0.1 and seed == 5
            record = make_record(
                seed=seed,
                test=0.8 + 0.05 * (lr == 0.01) + random.Random(f"{lr} {seed}").gauss(0, 0.004),
                config={"optimizer": {"lr": lr}},
                sweep="mine",
                **({"state": State.diverged} if diverged else {}),
            )
            write_run(tmp_path / "runs" / "mine" / record.run_id, record)
    return tmp_path / "runs" / "mine"


def test_runs_of_reglab_are_judged_in_points(ours):
    found = reglab.judge(ours, "lr=0.01 > lr=0.001 in test/accuracy by 0.5")
    assert (found.verdict, found.unit, found.seeds) == ("holds", "points", (6, 6))
    assert found.ledger == str(ours / "questions.jsonl")
    assert len(reglab.runs(ours)) == 18  # the ledger is no run


def test_a_run_that_diverged_counts_as_chance_and_both_readings_are_given(ours):
    found = reglab.judge(ours, "lr=0.001 > lr=0.1 in test/accuracy")
    assert found.estimate == pytest.approx(70 / 6, abs=1)
    assert "1 that diverged count as chance; without them: " in str(found)
    assert reglab.judge(ours, "lr=0.001 > lr=0.1 in test/accuracy", chance="none", family="out").seeds == (6, 5)


def test_a_run_that_diverged_is_left_out_of_other_measures_and_that_is_said_unless_a_value_is_given(ours):
    asked = "lr=0.001 = lr=0.1 in gap within 5"
    found = reglab.judge(ours, asked)
    assert found.seeds == (6, 5)
    assert "left out: 1 that diverged or finished without a number in gap (--chance says what they count as)" in str(found)
    counted = reglab.judge(ours, asked, chance=0.5, family="counted")
    assert counted.seeds == (6, 6)
    assert "1 that diverged count as chance" in str(counted)


@pytest.mark.parametrize("keys", [{"seed_key": "train.seed"}, {"group_by": ["lr"]}, {"group_by": []}])
def test_keys_are_refused_of_runs_of_reglab_that_were_read_before_too(ours, keys):
    with pytest.raises(UserError, match=r"holds runs of reglab, .*: leave those options out"):
        reglab.judge(reglab.runs(ours), "lr=0.01 > lr=0.001 in test/accuracy", **keys)


@pytest.mark.parametrize(
    ("question", "keys", "said"),
    [
        ("lr=0.01 > lr=0.001 in accuracy", {}, "no run is told by that"),
        ("lr=0.01 > lr=0.001 in test/accuracy", {"unit": "share"}, "is known"),
        ("lr=0.01 > lr=0.001 in test/accuracy", {"group_by": ["lr"]}, "leave those options out"),
    ],
)
def test_what_runs_of_reglab_do_not_have_is_refused(ours, question, keys, said):
    with pytest.raises(UserError, match=said):
        reglab.judge(ours, question, **keys)


def test_arms_that_were_written_in_two_ways_are_not_taken_for_one(tmp_path):
    """The published study's two kinds of dropout, by `dropout.p` and by `p1`, `p2`, `p3`: transformations are in one pair of arms only."""
    found = reglab.judge(REPORT, "policy=basic > policy=none in test/accuracy", ledger=tmp_path / "l")
    assert found.estimate == pytest.approx(82.677 - 75.673, abs=0.01)
    assert not any("settings of all else" in note for note in found.notes)


def test_runs_that_were_read_before_are_judged_by_another_metric_too(table, tmp_path):
    (tmp_path / "two.csv").write_text(
        "arm,seed,acc,loss\n"
        + "".join(
            f"{arm},{seed},0.{8 + (arm == 'a')}{seed},{0.5 - 0.2 * (arm == 'a') + seed / 100}\n" for arm in "abc" for seed in range(4)
        )
    )
    runs = reglab.runs(tmp_path / "two.csv", metric="acc", group_by=["arm"])
    assert reglab.judge(runs, "arm=a < arm=b in loss by 0.1").verdict == "holds"


@pytest.fixture
def two_seeds(tmp_path):
    """A table with two columns of seeds, and a setting beside the arm."""
    noise = {"a": (0, 1, 2), "b": (0, 2, 1)}
    lines = ["arm,depth,seed,s1,acc,loss"] + [
        f"{arm},{depth},{seed},{3 * depth + seed},{0.7 + 0.02 * (arm == 'a') + 0.1 * depth + noise[arm][seed] / 1000:.4f},0.{seed + 1}"
        for arm in "ab"
        for depth in (0, 1)
        for seed in range(3)
    ]
    (tmp_path / "seeds.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "seeds.csv"


def test_keys_that_are_named_hold_for_runs_that_were_read_by_others(two_seeds, tmp_path):
    runs = reglab.runs(two_seeds, metric="acc", seed_key="seed", group_by=["arm", "depth"])
    asked = "arm=a > arm=b in acc"
    assert "over the 2 settings of all else" in str(reglab.judge(runs, asked, ledger=tmp_path / "before"))
    for keys, seeds in (({"seed_key": "s1", "group_by": ["arm"]}, 6), ({"group_by": ["arm"]}, 3), ({"seed_key": "s1"}, 3)):
        by_path, by_runs = (
            reglab.judge(
                source, asked, ledger=tmp_path / f"{keys} {number}", **({"group_by": ["arm", "depth"]} | keys if not number else keys)
            )
            for number, source in enumerate((two_seeds, runs))
        )
        assert by_runs.seeds == by_path.seeds == (seeds, seeds)
        assert (by_runs.estimate, by_runs.low) == (by_path.estimate, by_path.low)
        assert ("over the 2 settings" in str(by_runs)) == ("over the 2 settings" in str(by_path)) == ("group_by" not in keys)


def test_runs_that_were_read_without_seeds_or_by_the_metric_as_a_setting_stay_so_by_another_metric(two_seeds, tmp_path):
    runs = reglab.runs(two_seeds, metric="loss", goal="minimize", seed_key="none", group_by=["arm", "acc"])
    found = reglab.judge(runs, "arm=a > arm=b in acc", unit="share", ledger=tmp_path / "l")
    assert (found.correlation, found.seeds) == (None, (6, 6))


# The ledger.


def test_a_ledger_that_cannot_be_written_is_the_askers_fault(table, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "ledger", tmp_path):
        with pytest.raises(UserError, match="the ledger cannot be written"):
            reglab.judge(table(), "arm=a > arm=b in acc", ledger=place)


def test_a_line_that_is_no_answer_is_named(table, tmp_path):
    reglab.judge(table(), "arm=a > arm=b in acc", ledger=tmp_path / "l")
    with (tmp_path / "l").open("a") as stream:
        stream.write('{"family": "all", "le')
    with pytest.raises(UserError, match=r"l:2: no answer of `reglab judge`"):
        reglab.judge(table(), "arm=a > arm=b in acc", ledger=tmp_path / "l")


def test_a_family_has_one_level(table):
    reglab.judge(table(), "arm=a > arm=b in acc")
    with pytest.raises(UserError, match=r"keeps the questions of all at 0\.05 in all"):
        reglab.judge(table(), "arm=a > arm=b in acc", level=0.1)


def test_two_who_ask_at_once_are_answered_one_after_the_other(tmp_path, table):
    path, source, numbers = tmp_path / "l", table(), []

    def ask(arm):
        numbers.append(reglab.judge(source, f"arm={arm} > arm=b in acc", ledger=path).number)

    asking = [threading.Thread(target=ask, args=(arm,)) for arm in "acdef"]
    with ledger.opened(path) as book:
        for thread in asking:
            thread.start()
        assert not book.answers and not path.read_text()
    for thread in asking:
        thread.join(60)
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert [json.loads(line)["question"] for line in path.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_one_who_holds_it_for_too_long_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "_PATIENCE", 0.05)
    from reglab.errors import MachineError

    with (
        ledger.opened(tmp_path / "l"),
        pytest.raises(MachineError, match="another process has been answering"),
        ledger.opened(tmp_path / "l"),
    ):
        pass


def test_where_a_ledger_is_that_nobody_named(monkeypatch, tmp_path):
    assert str(beside("x/runs.csv")) == "x/runs.questions.jsonl"
    assert str(beside("runs/final")) == "runs/final/questions.jsonl"
    assert beside("wandb://me/mine/abc").name == "me_mine_abc.questions.jsonl"


@pytest.mark.parametrize(
    ("marked", "how"),
    [(lambda record: sharing(record, 0.6), "shared their cores or GPU with others"), (moved, "went on elsewhere than they began")],
    ids=["shared", "elsewhere"],
)
def test_times_of_runs_without_one_machine_to_themselves_are_no_answer(make_record, tmp_path, marked, how):
    for arm, seconds in (("baseline", 100.0), ("symmetric_cutout_2", 200.0)):
        for seed in range(3):
            record = make_record(arm, seed, seconds=seconds + seed)
            write_run(tmp_path / "runs" / "final" / record.run_id, marked(record) if seed == 2 else record)
    why = f"2 {how}: such times decide nothing; let such runs have one machine to themselves, from start to end"
    with pytest.raises(UserError, match=why):
        reglab.judge(tmp_path / "runs" / "final", "baseline < symmetric_cutout_2 in time/train_seconds by 5 %")


def test_training_times_of_arms_that_took_turns_are_asked_of_compare(make_record, make_turns, tmp_path):
    for arm, seconds in (("baseline", 100.0), ("symmetric_cutout_2", 200.0)):
        for seed in range(3):
            record = make_record(arm, seed, seconds=seconds + seed)
            write_run(tmp_path / "runs" / "final" / record.run_id, record)
    asked = "baseline < symmetric_cutout_2 in time/train_seconds by 5 %"
    found = reglab.judge(tmp_path / "runs" / "final", asked, ledger=tmp_path / "one")
    assert (found.verdict, found.unit, found.estimate) == ("holds", "times", pytest.approx(0.5, abs=0.005))
    assert found.low < found.estimate < found.high and "0.50" in found.amounts and "+" not in found.amounts
    turns.write(tmp_path / "runs" / "final", [make_turns({"arm": arm}) for arm in ("baseline", "symmetric_cutout_2")])
    with pytest.raises(UserError, match=r"these arms took turns .*: `reglab\.compare` goes by them"):
        reglab.judge(tmp_path / "runs" / "final", asked, ledger=tmp_path / "two")


def timed(make_record, seconds):
    """Three runs of each arm, which took so long, give or take 2 %."""
    noise = random.Random(1)
    return [
        make_record(arm, seed, seconds=many * math.exp(noise.gauss(0, 0.02)))
        for arm, many in zip(FINAL_ARMS, seconds, strict=True)
        for seed in range(3)
    ]


def test_times_are_judged_by_the_ratio_as_they_are_compared(make_record, tmp_path):
    """Slow arms differ by more seconds than quick ones, and by as much of their own time."""
    runs = Runs("", tuple(timed(make_record, (200.0, 210.0, 10.0, 10.0, 10.0, 10.0))))
    one, other = FINAL_ARMS[:2]
    found = reglab.judge(runs, f"{other} > {one} in time/train_seconds", ledger=tmp_path / "l", most_seeds=3, level=0.1)
    compared = reglab.compare(runs, other, one, on="time/train_seconds")
    assert found.level == pytest.approx(0.05)  # the first of all questions has half of what they may err by
    assert (found.estimate, found.low, found.high) == pytest.approx((compared.estimate, compared.low, compared.high))


@pytest.mark.parametrize("shared", [0, 3, 12])
def test_what_others_took_on_shared_cores_says_nothing_of_quiet_times(make_record, shared, tmp_path):
    quiet = timed(make_record, (200.0, 300.0, 205.0, 190.0, 210.0, 200.0))[: 18 - shared]
    noisy = [sharing(make_record("asymmetric_augmentation", seed, seconds=900.0 * (1 + seed)), 0.5) for seed in range(3, 3 + shared)]
    one, other = FINAL_ARMS[:2]
    found = reglab.judge(Runs("", (*quiet, *noisy)), f"{other} > {one} in time/train_seconds", ledger=tmp_path / "l")
    assert (found.verdict, found.seeds) == ("holds", (3, 3))


def test_a_run_that_diverged_never_came_to_the_target(make_record, tmp_path):
    """Without those that diverged an arm that often does would look the quicker."""
    runs = [make_record(arm, seed, to_target=40.0 + 10 * place + seed) for place, arm in enumerate(FINAL_ARMS[:3]) for seed in range(5)]
    runs[0] = make_record(FINAL_ARMS[0], 0, state=State.diverged)
    with pytest.raises(UserError, match="some of these runs never got there, and no ratio of means says how much later"):
        reglab.judge(Runs("", tuple(runs)), f"{FINAL_ARMS[0]} < {FINAL_ARMS[1]} in time_to_target/seconds", ledger=tmp_path / "l")
