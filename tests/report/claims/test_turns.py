"""Claims on training time, judged by arms that took turns."""

import pytest

from reglab.report.claims import verdicts
from reglab.report.claims.findings import Verdict
from reglab.report.studies.study import Study
from reglab.tracking.turns import as_runs
from tests.report.published import DESIGN

AGC = {"agc": {"enabled": True, "clip": 0.02}}
NOISE = (1.0, 1.012, 0.985, 1.004, 0.996)
"""Of each round; and of each arm in it, another: `OWN`."""

OWN = (1.001, 0.998, 1.002, 0.999, 1.0)


def took(make_turns, times, noise=NOISE, **changes):
    """Turns of arms that take so many times as long."""
    found = []
    for place, (config, many) in enumerate(times):
        own = OWN[place % 5 :] + OWN[: place % 5]
        found.append(make_turns(config, [many * all_of_them * mine for all_of_them, mine in zip(noise, own, strict=False)], **changes))
    return found


def against_batchnorm(agc):
    return [(AGC, agc), *(({"batchnorm": {"layers": layers}}, 1 + 0.1 * layers) for layers in (1, 2, 3))]


def with_batches(times):
    return [
        ({"agc": {"enabled": True, "clip": clip}, "train": {"batch_size": size}}, many)
        for clip in (0.01, 0.02, 0.04)
        for size, many in times.items()
    ]


def judged(turns, records=(), design=DESIGN):
    return verdicts.judge(Study.of(records, design, as_runs(turns)))


def finding(number, turns, records=(), design=DESIGN):
    return judged(turns, records, design).each[number - 1]


def test_a_claim_on_training_time_alone_is_reproduced_without_a_run(make_turns):
    found = finding(5, took(make_turns, with_batches({64: 1.4, 128: 1.2, 256: 1.0})))
    assert (found.verdict, found.jointly, found.runs, found.turns) == (Verdict.reproduced, Verdict.reproduced, (), 45)
    assert [(part.n, part.over, part.holds) for part in found.parts] == [(5, "rounds", True)] * 4
    assert found.parts[0].estimate == pytest.approx(1.2 / 1.4, rel=0.002)
    assert found.decided == found.more == ""
    assert any("took turns" in line for line in found.how)


@pytest.mark.parametrize(
    ("times", "verdict"),
    [({64: 1.0, 128: 1.2, 256: 1.4}, Verdict.contradicted), ({64: 1.0, 128: 1.0, 256: 1.0}, Verdict.undecided)],
)
def test_it_is_contradicted_by_turns_and_open_where_they_leave_it_open(make_turns, times, verdict):
    found = finding(5, took(make_turns, with_batches(times)))
    assert found.verdict == verdict
    needed = "more rounds, in a folder of their own (`reglab study time --rounds --name`)"
    assert found.more == (needed if verdict == Verdict.undecided else "")


def test_one_comparison_of_several_may_be_told_by_turns_while_the_others_have_no_runs(make_turns):
    found = finding(7, took(make_turns, against_batchnorm(1.6)))
    assert [part.holds for part in found.parts] == [True] * 3 + [None] * 3
    assert (found.verdict, found.more) == (Verdict.undecided, "runs for 3 comparisons that have none")
    assert finding(7, took(make_turns, against_batchnorm(0.9))).verdict == Verdict.contradicted


def runs_of_batchnorm(make_record, agc, config=None):
    return [
        make_record(config={**arm, **(config or {})}, seed=seed, seconds=many * (1 + 0.001 * seed))
        for arm, many in against_batchnorm(agc)
        for seed in (0, 1, 2)
    ]


def test_turns_decide_and_whole_runs_do_not(make_turns, make_record):
    """The runs have it that AGC takes less."""
    records = runs_of_batchnorm(make_record, 0.5)
    assert finding(7, [], records).verdict == Verdict.contradicted
    found = finding(7, took(make_turns, against_batchnorm(1.6)), records)
    assert [part.holds for part in found.parts[:3]] == [True] * 3
    assert {part.over for part in found.parts[:3]} == {"rounds"}
    assert not any("took turns" in line for part in found.parts[3:] for line in part.said)


def test_turns_on_shared_cores_decide_nothing(make_turns, make_record):
    shared = took(make_turns, against_batchnorm(0.9), share=0.6)
    assert finding(7, shared).verdict == Verdict.not_tested
    found = finding(7, shared, runs_of_batchnorm(make_record, 1.6))
    assert [(part.over, part.holds) for part in found.parts[:3]] == [("seeds", True)] * 3
    later = took(make_turns, against_batchnorm(0.9), session=1)
    assert finding(7, [*shared, *later]).verdict == Verdict.contradicted


def test_a_round_whose_cores_were_shared_is_left_out(make_turns):
    quiet = took(make_turns, against_batchnorm(1.6))
    odd = [each.model_copy(update={"cpu_shares": [0.5, 1.0, 1.0, 1.0, 1.0], "seconds": [9.0, *each.seconds[1:]]}) for each in quiet[:1]]
    found = finding(7, [*odd, *quiet[1:]])
    assert [(part.n, part.holds) for part in found.parts[:3]] == [(4, True)] * 3


def test_turns_of_fewer_configurations_than_there_are_runs_of_decide_nothing(make_turns, make_record):
    """Of dropout in one layer there are runs, and no turns."""
    one_layer = {"dropout": {"layers": 1, "p": 0.2}}
    records = runs_of_batchnorm(make_record, 0.5) + runs_of_batchnorm(make_record, 0.5, one_layer)
    turns = took(make_turns, against_batchnorm(1.6))
    assert {(part.over, part.holds) for part in finding(7, turns, records).parts[:3]} == {("seeds", False)}
    more = [*turns, *took(make_turns, [({**config, **one_layer}, many) for config, many in against_batchnorm(1.6)])]
    assert {(part.over, part.holds) for part in finding(7, more, records).parts[:3]} == {("rounds", True)}


def test_all_arms_that_took_turns_tell_of_the_variance_and_runs_do_not(make_turns, make_record):
    """Of two rounds alone Student's t has one degree of freedom."""
    arms = [*against_batchnorm(1.6), *(({"cutout": {"images": images}}, 1.5) for images in (2, 4, 8, 16))]
    two, all_of_them = (took(make_turns, those, noise=NOISE[:2]) for those in (arms[:2], arms))
    wild = [make_record(config=config, seed=seed, seconds=100.0 * (1 + seed)) for config, _ in arms for seed in (0, 1)]
    few, more, beside_runs = (finding(7, turns, records).parts[0] for turns, records in ((two, ()), (all_of_them, ()), (all_of_them, wild)))
    assert few.high - few.low > 3 * (more.high - more.low)
    assert (more.low, more.high) == (beside_runs.low, beside_runs.high)


def test_turns_in_another_set_up_than_the_runs_are_left_out(make_turns, make_record):
    narrow = [({**config, "model": {"width": 8}}, many) for config, many in against_batchnorm(0.9)]
    records = [make_record(config=config, seed=seed) for config, _ in against_batchnorm(1) for seed in (0, 1)]
    study = Study.of(records, DESIGN, as_runs(took(make_turns, narrow)))
    assert (study.turns, len(study.other_turns)) == ((), 20)
    assert verdicts.judge(study).each[6].turns == 0


def test_the_first_session_decides_and_a_later_one_is_no_second_look(make_turns):
    first = took(make_turns, against_batchnorm(1.6))
    second = took(make_turns, against_batchnorm(0.5), noise=[2 * each for each in NOISE], session=1)
    both, alone = finding(7, [*second, *first]), finding(7, first)
    assert [(part.n, part.estimate, part.low, part.high) for part in both.parts[:3]] == [
        (part.n, pytest.approx(part.estimate), pytest.approx(part.low), pytest.approx(part.high)) for part in alone.parts[:3]
    ]


def test_turns_of_two_sessions_are_never_compared_with_each_other(make_turns):
    """The second day is slower by three per cent, and the arms are alike."""
    alike = [(config, 1.0) for config, _ in against_batchnorm(1)]
    slower = [1.03 * each for each in NOISE]
    apart = [*took(make_turns, alike[1:]), *took(make_turns, alike[:1], noise=slower, session=1)]
    assert finding(7, apart).verdict == Verdict.not_tested
    partly = [*apart, *took(make_turns, alike[1:2], noise=slower, session=1)]
    parts = finding(7, partly).parts[:3]
    assert [part.n for part in parts] == [5, 0, 0]
    assert parts[0].holds is None and parts[0].estimate == pytest.approx(1, abs=0.003)


def test_what_is_told_by_turns_waits_for_no_look_and_spends_nothing_of_it(make_turns, make_record):
    """Transformations against cutout: their overfitting is looked at after three seeds, of which two are there."""
    symmetric = {"batchnorm": {"layers": 2}, "dropout": {"layers": 3, "p": 0.2}}
    arms = [(symmetric | {"augment": {"policy": "basic"}}, 1.0)] + [(symmetric | {"cutout": {"images": n}}, 1 + n / 10) for n in (2, 8, 16)]
    arms.append((symmetric, 0.9))
    design = DESIGN.model_copy(update={"looks": (3, 5)})

    def records(seeds):
        return [make_record(config=config, seed=seed, train=0.9 + 0.001 * seed) for config, _ in arms for seed in range(seeds)]

    turns = took(make_turns, arms)
    early = finding(9, turns, records(2), design)
    assert [(part.holds, part.is_early) for part in early.parts] == [(None, True)] * 4 + [(True, False)] * 2
    assert (early.verdict, early.more) == (Verdict.undecided, "1 more seed, for its first look")
    assert early.decided == "Its first look is at 3 seeds, and 2 are there: nothing is decided by runs yet."
    looked = finding(9, turns, records(3), design)
    assert [part.holds for part in looked.parts[4:]] == [True] * 2
    assert {part.confidence for part in looked.parts[4:]} == {0.95}
    assert all(part.confidence > 0.95 for part in looked.parts[:4])  # of a plan with a look to come
    slower = took(make_turns, [(config, 2.0 if "augment" in config else many) for config, many in arms])
    assert finding(9, slower, records(2), design).verdict == Verdict.contradicted
    assert finding(9, slower, records(2), design).decided == "Decided by arms that took turns."


def test_the_plan_is_told_of_claims_that_runs_speak_to(make_turns, make_record):
    turns = took(make_turns, with_batches({64: 1.4, 128: 1.2, 256: 1.0}))
    assert judged(turns).plan.startswith("Arms took turns, an epoch each in a round, and are looked at once.")
    records = [make_record(arm, seed) for arm in ("baseline", "asymmetric_augmentation") for seed in (0, 1, 2)]
    both = judged(turns, records).plan
    assert "One look at each claim" in both and "0 seeds" not in both
