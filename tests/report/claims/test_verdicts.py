import dataclasses
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from reglab.config import RunConfig, identity, run_id
from reglab.report.claims import verdicts
from reglab.report.claims.findings import Verdict
from reglab.report.comparisons.parts import Claimed
from reglab.report.comparisons.seen import almost_every
from reglab.report.studies.study import Study
from reglab.sweep.spec import read, shipped
from reglab.tracking.record import State
from tests.report.conftest import moved, sharing
from tests.report.published import DESIGN, factors, seen, study

CHAMPION = "asymmetric_augmentation"


def judge(records):
    return list(verdicts.judge(study(records)).each)


# A study is made up from its own sweeps: every run of them, with results by rule and a little noise from run to run.

GRIDS = tuple(name for name in DESIGN.stems if name not in ("dropout_asymmetric", "dropout_bayes"))

SWEEPS_OF = {
    1: ("dropout_symmetric",),
    2: ("dropout_symmetric",),
    3: ("batchnorm",),
    4: ("batchnorm",),
    5: ("agc",),
    6: ("agc",),
    7: ("agc_batchnorm",),
    8: ("agc_batchnorm",),
    9: ("augmentation",),
    10: ("final",),
    11: ("agc_batchnorm",),
}

DROPOUT = {0.2: (0, 0.01, 0.03, 0.02), 0.5: (0, -0.01, -0.03, -0.05), 0.8: (0, -0.04, -0.07, -0.09)}
BATCHNORM = (0, 0.05, 0.07, 0.05)
CLIP = {None: 0, 0.01: 0.03, 0.02: 0.06, 0.04: 0.04}
BATCH = {64: 1.5, 128: 1.2, 256: 1.0}


@dataclass
class World:
    """What a run comes to, by its factors. This one is as the study claims."""

    noise: float = 0.001

    def test(self, f):
        dropout = DROPOUT[f.probability][f.layers] if f.probability in DROPOUT else 0.04 * f.layers / 3
        augmentation = 0.04 * f.transformations + 0.01 * bool(f.cutout)
        return (
            0.69 + BATCHNORM[f.batchnorm] + CLIP[f.clip] + dropout + augmentation + 0.02 * (f.optimizer != "adam") + 0.005 * f.standardize
        )

    def gap(self, f):
        return 0.25 - 0.02 * f.layers - 0.1 * f.transformations - 0.02 * bool(f.cutout) - 0.02 * (not f.symmetric)

    def seconds(self, f):
        agc = 1.5 if f.clip else 1
        return 1000 * (1 + 0.1 * f.batchnorm) * BATCH.get(f.batch_size, 1) * agc * (1 + 0.02 * f.cutout) * (1 + 0.1 * f.transformations)

    def to_target(self, f):
        """None: never."""
        return None if f.probability == 0.8 else 600.0 if f.clip else 500.0 - 50 * f.batchnorm


AS_CLAIMED, QUIET = World(), World(noise=0.0)


def but(**rules):
    """The world as claimed, but for these rules."""
    world = World()
    for name, rule in rules.items():
        setattr(world, name, partial(rule, AS_CLAIMED) if callable(rule) else rule)
    return world


def flat_accuracy(claimed, f):
    return 0.7


def flat_time(claimed, f):
    return 1000.0


OTHERWISE = [
    (1, but(test=lambda claimed, f: 0.5 + f.probability / 10)),
    (2, but(test=lambda claimed, f: claimed.test(f) + 0.02 * f.layers * (f.probability == 0.2))),
    (2, but(test=lambda claimed, f: claimed.test(f) + 0.05 * f.layers * (f.probability == 0.5))),
    (2, but(test=lambda claimed, f: claimed.test(f) + 0.05 * f.layers * (f.probability == 0.8))),
    (3, but(test=lambda claimed, f: claimed.test(f) + 0.05 * f.batchnorm)),
    (3, but(test=lambda claimed, f: claimed.test(f) - 0.05 * f.batchnorm)),
    (4, but(to_target=lambda claimed, f: 300.0 + 50 * f.batchnorm)),
    (4, but(to_target=lambda claimed, f: 300.0 if f.batchnorm == 0 else None if f.batchnorm > 1 else 400.0)),
    (5, but(seconds=lambda claimed, f: 5.0 * f.batch_size)),
    (5, but(seconds=lambda claimed, f: claimed.seconds(f) * (1 + 10 * f.clip))),
    (6, but(test=lambda claimed, f: 0.5 + f.clip)),
    (7, but(seconds=lambda claimed, f: 900.0 if f.clip else 1000.0)),
    (7, but(to_target=lambda claimed, f: 100.0 if f.clip else 500.0)),
    (7, but(to_target=lambda claimed, f: 100.0 if f.clip else None)),
    (8, but(test=lambda claimed, f: 0.6 if f.clip else 0.7)),
    (8, but(test=lambda claimed, f: 0.8 if f.clip else 0.7)),
    (9, but(gap=lambda claimed, f: claimed.gap(f) - 0.2 * (f.cutout == 16))),
    (9, but(seconds=lambda claimed, f: 2000.0 if f.transformations else claimed.seconds(f))),
    (10, but(test=lambda claimed, f: claimed.test(f) + 0.05 * bool(f.cutout))),
    (10, but(gap=lambda claimed, f: claimed.gap(f) - 0.1 * bool(f.cutout))),
    (10, but(test=lambda claimed, f: claimed.test(f) - 0.1 * (not f.layers))),
    (11, but(test=lambda claimed, f: claimed.test(f) + 0.05 * bool(f.clip))),
]

OPEN = [
    (1, but(test=lambda claimed, f: 0.5 + f.probability / 10 * (-1) ** f.batchnorm)),
    (2, but(test=flat_accuracy)),
    (3, but(test=flat_accuracy)),
    (4, but(to_target=flat_time)),
    (4, but(to_target=lambda claimed, f: None)),
    (5, but(seconds=lambda claimed, f: claimed.seconds(f) * (1.05 if f.clip == 0.04 else 1))),
    (5, but(seconds=flat_time)),
    (6, but(test=lambda claimed, f: 0.5 + 0.1 * (f.clip == 0.02) * (-1) ** f.layers)),
    (7, but(seconds=flat_time)),
    (7, but(to_target=flat_time)),
    (8, but(test=lambda claimed, f: 0.68 if f.clip else 0.7)),
    (9, but(gap=flat_accuracy)),
    (9, but(seconds=flat_time)),
    (10, but(test=lambda claimed, f: claimed.test(f) + 0.05 * f.transformations)),
    (10, but(gap=flat_accuracy)),
    (11, but(test=flat_accuracy)),
]


@cache
def runs_of(*sweeps):
    """The configurations of some sweeps, each once, with their factors."""
    return tuple({run_id: pair for name in sweeps for run_id, pair in runs_in(name).items()}.values())


@cache
def runs_in(name):
    configs = map(RunConfig.parse, read(shipped(name)).grid())
    return {run_id(config): (config, factors(config)) for config in configs}


@cache
def told(config):
    """What a record has of a configuration."""
    return {
        "run_id": run_id(config),
        "identity": identity(config),
        "seed": config.train.seed,
        "config": config.model_dump(),
        "label": config.label,
    }


@pytest.fixture
def made(make_record):
    """Makes the runs of some sweeps as they come out in a world."""
    like = make_record()

    def make(sweeps, world=AS_CLAIMED):
        chance = random.Random(1)
        return [_run(like, config, world, f, chance) for config, f in runs_of(*sweeps)]

    return make


def _run(like, config, world, f, chance):
    test, gap = world.test(f) + chance.gauss(0, world.noise), world.gap(f) + chance.gauss(0, world.noise)
    seconds, to_target = world.seconds(f) * math.exp(chance.gauss(0, world.noise)), world.to_target(f)
    noisy = None if to_target is None else to_target * math.exp(chance.gauss(0, world.noise))
    summary = like.summary.model_copy(
        update={
            "test_accuracy": test,
            "gap": gap,
            "time_train_seconds": seconds,
            "time_to_target_seconds": noisy,
            "time_to_target_reached": noisy is not None,
        }
    )
    return like.model_copy(update=told(config) | {"summary": summary})


def changed(records, where, **changes):
    """The records, with other values where the factors are so."""
    return [record.model_copy(update=changes) if where(seen(record)) else record for record in records]


def finding(number, records):
    return judge(records)[number - 1]


def but_for_the_variance(found):
    """A finding without what other arms tell of chance."""
    return found.verdict, found.jointly, found.runs, [(part.what, part.estimate, part.n, part.holds, part.each) for part in found.parts]


def failing(found):
    return [part.what for part in found.parts if part.holds is False]


@pytest.mark.parametrize("number", SWEEPS_OF)
def test_a_claim_is_reproduced_by_runs_that_are_as_it_says(made, number):
    found = finding(number, made(SWEEPS_OF[number]))
    assert found.verdict == Verdict.reproduced
    assert all(part.holds and part.n for part in found.parts)


@pytest.mark.parametrize(("number", "world"), OTHERWISE)
def test_a_claim_is_contradicted_by_runs_that_contradict_one_of_its_parts(made, number, world):
    found = finding(number, made(SWEEPS_OF[number], world))
    assert found.verdict == Verdict.contradicted
    assert failing(found)


@pytest.mark.parametrize(("number", "world"), OPEN)
def test_a_claim_is_undecided_by_runs_that_leave_one_of_its_parts_open(made, number, world):
    found = finding(number, made(SWEEPS_OF[number], world))
    assert found.verdict == (Verdict.undecided if any(part.n for part in found.parts) else Verdict.not_tested)
    assert any(part.holds is None for part in found.parts)


def test_a_whole_study_as_claimed_reproduces_every_claim(made):
    found = judge(made(GRIDS))
    assert {each.number: each.verdict for each in found} == dict.fromkeys(range(1, 12), Verdict.reproduced)


def test_a_whole_quick_study_speaks_to_every_claim(make_record):
    like = make_record()
    specs = [read(shipped(name), quick=True) for name in GRIDS]
    configs = {run_id(config): config for spec in specs for config in map(RunConfig.parse, spec.grid())}
    chance = random.Random(1)
    records = [_run(like, config, AS_CLAIMED, factors(config), chance) for config in configs.values()]
    assert {record.seed for record in records} == {0}
    assert all(all(part.n for part in each.parts) for each in judge(records))


def test_each_finding_says_which_figure_shows_it(made):
    assert [each.figure for each in judge([])] == [f"figure_{stem}" for stem in (2, 3, 5, 6, 7, 7, 8, 8, 10, 11, 8)]
    assert len({each.claim for each in judge([])}) == 11


def test_without_runs_no_claim_is_tested():
    for number, found in enumerate(judge([]), start=1):
        assert (found.number, found.verdict, found.effect, found.runs) == (number, Verdict.not_tested, "No run speaks to it.", ())
        assert found.parts
        assert all((part.n, part.estimate, part.holds) == (0, None, None) for part in found.parts)


# What is compared.


def test_pairs_are_counted_as_they_are(made):
    counted = {number: [part.n for part in finding(number, made(SWEEPS_OF[number])).parts] for number in SWEEPS_OF}
    assert counted == {
        1: [12],  # 4 numbers of BN layers x 3 of dropout layers
        2: [3] * 6,  # seeds
        3: [3] * 3,
        4: [36],  # 3 steps x 4 dropout configurations x 3 seeds
        5: [3] * 4,
        6: [12],  # 3 batch sizes x 4 numbers of dropout layers
        7: [3] * 3 + [12] * 3,  # to the target: 4 numbers of dropout layers x 3 seeds
        8: [3] * 3,
        9: [3] * 6,
        10: [3] * 11,
        11: [3],
    }


@pytest.mark.parametrize(("number", "count"), [(1, 108), (3, 48), (5, 108), (7, 60), (8, 12), (9, 15), (10, 18), (11, 24)])
def test_the_runs_behind_a_finding_are_those_that_were_compared(made, number, count):
    records = made(SWEEPS_OF[number])
    runs = finding(number, records).runs
    assert len(runs) == len(set(runs)) == count
    assert set(runs) <= {record.run_id for record in records}


def test_questions_beyond_the_study_change_no_finding(made):
    """Another stem, cutout of each image, the epochs of the screening."""
    beyond = ("cifar_stem", "cutout_per", "cutout_screening")
    inside = {run_id(config) for config, _ in runs_of(*(name for name in GRIDS if name not in beyond))}
    records = made(GRIDS)
    within = [record for record in records if record.run_id in inside]
    assert len(within) == len(records) - 24 - 9 - 15
    assert list(map(but_for_the_variance, judge(within))) == list(map(but_for_the_variance, judge(records)))


def test_runs_of_another_network_are_not_compared_with_those_of_the_study(made):
    records = made(("final",))
    narrow = [
        each.model_copy(update={"config": each.config | {"model": {"width": 16}}, "run_id": f"narrow-{each.run_id}"}) for each in records
    ]
    one, other = [record for record in records if record.seed], [record for record in narrow if record.seed == 0]
    assert {part.n for part in finding(10, one + other).parts} == {2}


BN_2 = {"batchnorm": {"layers": 2}}
SYMMETRIC = BN_2 | {"dropout": {"layers": 3, "p": 0.2}}
TRANSFORMATIONS = {"augment": {"policy": "basic"}}
AGC = {"agc": {"enabled": True, "clip": 0.02}}


@pytest.mark.parametrize(
    ("number", "others"),
    [
        (1, [BN_2 | {"dropout": {"layers": 3, "p": p}} | AGC for p in (0.2, 0.5, 0.8)]),
        (5, [BN_2 | AGC | {"train": {"batch_size": size}} for size in (64, 128)]),
        (8, [BN_2 | AGC]),
        (9, [SYMMETRIC | TRANSFORMATIONS | {"cutout": {"images": 2}}]),
        (9, [BN_2, BN_2 | TRANSFORMATIONS]),
        (9, [SYMMETRIC | {"cutout": {"images": 2, "per": "image"}}]),
        (10, [BN_2 | TRANSFORMATIONS, SYMMETRIC | {"cutout": {"images": 8}}]),
        (11, [AGC | {"dropout": {"layers": 1, "p": 0.5}}, BN_2 | {"dropout": {"layers": 1, "p": 0.5}}]),
    ],
)
def test_runs_that_are_not_of_a_claims_figure_change_nothing(made, make_record, number, others):
    records = made(SWEEPS_OF[number])
    whole_study = {"data": {"source": "cifar10"}}
    more = [
        make_record(seed=seed, test=0.1, seconds=1.0, config=whole_study | other | {"train": {"epochs": 200} | other.get("train", {})})
        for other in others
        for seed in (0, 1, 2)
    ]
    older = [record.model_copy(update={"created": datetime(2020, 1, 1, tzinfo=UTC)}) for record in more]
    assert but_for_the_variance(finding(number, older + records)) == but_for_the_variance(finding(number, records))


def test_only_the_dropout_configurations_of_the_figure_speak_to_the_layers_of_batchnorm(made):
    several, alone = judge(made(("batchnorm", "dropout_symmetric"))), judge(made(("batchnorm",)))
    assert [each.runs for each in several[2:4]] == [each.runs for each in alone[2:4]]
    assert [[part.n for part in each.parts] for each in several[2:4]] == [[part.n for part in each.parts] for each in alone[2:4]]


def test_configurations_have_fixed_levels_of_equal_weight(made):
    """What two BN layers do in one dropout configuration and not in others is no chance: it is averaged, over any number of seeds."""
    world = but(test=lambda claimed, f: 0.5 + (f.batchnorm == 2) * (0.3 if f.layers == 2 else -0.02))
    records = made(("batchnorm",), world)
    (none, _, _) = finding(3, records).parts
    assert (none.n, none.over, none.holds) == (3, "seeds", True)
    assert none.estimate == pytest.approx(100 * (0.3 - 3 * 0.02) / 4, abs=0.1)
    uneven = [record for record in records if record.seed < 2 or seen(record).layers == 2]  # half of the seeds would weigh otherwise
    assert finding(3, uneven).parts[0].estimate == pytest.approx(none.estimate, abs=0.1) or finding(3, uneven).parts[0].n == 3


def test_without_a_second_seed_the_configurations_are_the_sample_and_it_is_said(made):
    world = but(noise=0.0, test=lambda claimed, f: 0.5 + (f.batchnorm == 2) * (0.3 if f.layers == 2 else -0.02))
    found = finding(3, [record for record in made(("batchnorm",), world) if record.seed == 0])
    assert [(part.n, part.over, part.holds) for part in found.parts] == [(4, "cases", None)] * 3
    assert any("no arm has two seeds" in line for line in found.how)


def test_the_variance_is_that_of_all_arms_of_the_study(made):
    """A point up and down from seed to seed, in each arm another one: two arms have 4 degrees of freedom, six have 12."""
    records = made(("final",), QUIET)
    ups = dict(zip(dict.fromkeys(record.label for record in records), permutations((-0.01, 0, 0.01)), strict=True))
    spread = [
        record.model_copy(
            update={
                "summary": record.summary.model_copy(
                    update={"test_accuracy": record.summary.test_accuracy + ups[record.label][record.seed]}
                )
            }
        )
        for record in records
    ]
    few = [record for record in spread if record.label in (CHAMPION, "baseline")]
    (wide, *_), (narrow, *_) = finding(10, few).parts, finding(10, spread).parts
    assert narrow.estimate == pytest.approx(wide.estimate)
    assert wide.high - wide.low == pytest.approx(2 * t.isf(0.025, 4) * math.sqrt(2 / 3))
    assert narrow.high - narrow.low == pytest.approx(2 * t.isf(0.025, 12) * math.sqrt(2 / 3))


def test_to_fail_one_of_many_comparisons_takes_more_than_its_own_interval(made):
    excess = [0.005, 0.012, 0.019]  # 1.2 ± 0.8 points: on the wrong side for one comparison, not for one of eleven
    records = [
        record.model_copy(
            update={"summary": record.summary.model_copy(update={"gap": 0.2 + excess[record.seed] * (record.label == CHAMPION)})}
        )
        for record in made(("final",), QUIET)
    ]
    tighter = [part for part in finding(10, records).parts if part.what.startswith("overfitting")]
    assert all(part.low < 0 < part.high and part.holds is None for part in tighter)  # what is told is the interval that decides


def test_the_order_of_runs_does_not_matter(made):
    records = made(("agc_batchnorm", "final"))
    shuffled = random.Random(2).sample(records, len(records))
    for one, other in zip(judge(records), judge(shuffled), strict=True):
        assert (one.verdict, one.effect, one.runs) == (other.verdict, other.effect, other.runs)
        assert [dataclasses.replace(part, estimate=None, low=None, high=None, each=()) for part in one.parts] == [
            dataclasses.replace(part, estimate=None, low=None, high=None, each=()) for part in other.parts
        ]


def test_one_seed_has_pairs_but_no_interval(made):
    found = finding(10, [record for record in made(("final",)) if record.seed == 0])
    assert found.verdict == Verdict.undecided
    assert all((part.n, part.low, part.high, part.holds) == (1, None, None, None) for part in found.parts)
    assert "(one pair)" in found.effect


# Looks.


def at_looks(records, looks, **planned):
    return verdicts.judge(Study.of(records, DESIGN.model_copy(update={"looks": looks} | ({"planned": planned} if planned else {}))))


def of_more_seeds(records, seeds):
    """Each run with more seeds, whose results are those of the first three in turn, and a little off."""
    more = []
    for seed in range(3, seeds):
        for record in (each for each in records if each.seed == seed % 3):
            config = record.config | {"train": record.config["train"] | {"seed": seed}}
            off = record.summary.model_copy(update={"test_accuracy": record.summary.test_accuracy + 1e-5 * seed})
            more.append(record.model_copy(update={"seed": seed, "config": config, "run_id": f"{record.identity}-s{seed}", "summary": off}))
    return records + more


def test_before_the_first_look_nothing_is_decided_and_what_is_needed_is_said(made):
    records = [record for record in made(("final",)) if record.seed < 2]
    found = judge(records)[9]
    assert (found.verdict, found.jointly) == (Verdict.undecided, Verdict.undecided)
    assert all(part.is_early and part.holds is None and part.low is not None for part in found.parts)
    assert found.decided == "Its first look is at 3 seeds, and 2 are there: nothing is decided yet."
    assert found.more == "1 more seed, for its first look"
    assert at_looks(records, (2, 3)).each[9].verdict == Verdict.reproduced


def test_looks_of_the_study_have_levels_of_their_own_and_a_decision_stays(made):
    records = of_more_seeds(made(("final",)), 5)
    found = at_looks(records, (3, 5, 8)).each[9]
    assert found.verdict == Verdict.reproduced
    assert found.decided.startswith("Decided at the look at 3 seeds, at 98.")
    assert {part.n for part in found.parts} == {3}
    late = [r.changed(summary=r.summary.model_copy(update={"test_accuracy": 0.1})) if r.seed > 2 else r for r in records]
    later = at_looks(late, (3, 5, 8)).each[9]
    assert dataclasses.replace(later, note="") == dataclasses.replace(found, note="")  # which tells of all runs


def test_seeds_between_two_looks_are_not_looked_at(made):
    records = of_more_seeds(made(("final",)), 4)
    late = [r.changed(summary=r.summary.model_copy(update={"test_accuracy": 0.1})) if r.seed > 2 else r for r in records]
    assert at_looks(late, (3, 5)).each[9].verdict == Verdict.reproduced


def test_runs_beyond_the_plan_make_it_one_that_ends_with_them(made):
    found = judge(of_more_seeds(made(("agc_batchnorm",), but(test=flat_accuracy)), 5))[10]
    assert (found.verdict, {part.n for part in found.parts}) == (Verdict.undecided, {5})
    assert found.decided.endswith("Its runs go beyond the plan, which is taken as one that ends at 5 seeds.")


def test_the_plan_is_told_with_the_looks_that_were_taken(made):
    records = made(("final", "augmentation"))
    assert verdicts.judge(study(records)).plan.startswith(
        "One look at each claim, at the 3 seeds an arm that its sweeps give. Alone, each errs"
    )
    assert verdicts.judge(study(records)).plan.endswith("jointly (Holm, over all 2 that are tested): 2 reproduced.")
    assert "Looks at 3, 5 and 8 seeds an arm: at 3 they were taken." in at_looks(records, (3, 5, 8)).plan
    by_hand = at_looks([record.model_copy(update={"sweep": "mine"}) for record in records], ())
    assert "at the seeds that are there (3), since no sweep of the study plans their number" in by_hand.plan


def test_what_decides_a_claim_alone_may_leave_it_open_jointly(made):
    found = judge(made(("agc_batchnorm",), but(test=lambda claimed, f: 0.7 + 0.0004 * (f.batchnorm == 2))))
    tested = [each for each in found if each.verdict != Verdict.not_tested]
    assert (found[10].verdict, found[10].jointly) == (Verdict.reproduced, Verdict.undecided)
    assert found[10].joint.startswith(f"with the {len(tested) - 1} other claims that are tested: undecided, at 98.3 % confidence: ")
    assert {each.number for each in tested if each.jointly == Verdict.reproduced} == {4, 7, 8}


def test_seeds_more_are_those_of_the_plan_and_none_where_it_is_settled(made):
    world = but(noise=0.004, test=lambda claimed, f: claimed.test(f) + (0.001 - 0.02) * (not f.symmetric and f.transformations))
    found = at_looks(made(("final",), world), (3, 20, 200)).each[9]
    assert found.verdict == Verdict.undecided
    assert found.more in ("about 17 more seeds", "about 197 more seeds")
    assert finding(10, made(("final",))).more == ""


# Machines and ends.


@pytest.mark.parametrize(
    ("number", "elsewhere"),
    [
        (4, lambda f: f.batchnorm in (1, 3)),
        (5, lambda f: (f.batch_size == 128) != (f.clip == 0.02)),
        (7, lambda f: f.clip is not None),
        (9, lambda f: f.transformations),
    ],
)
def test_times_of_unlike_machines_are_not_paired(made, number, elsewhere):
    records = made(SWEEPS_OF[number])
    another = records[0].environment.model_copy(update={"device": "another GPU"})
    found = finding(number, changed(records, elsewhere, environment=another))
    timed = [part.n for part in found.parts if part.unit in ("ratio", "share")]
    assert found.verdict == (Verdict.undecided if any(part.n for part in found.parts) else Verdict.not_tested)
    assert max(timed) < max(part.n for part in finding(number, records).parts)
    assert all(part.n for part in found.parts if part.unit == "points")


SHARED, MOVED = "shared their cores or GPU", "went on elsewhere"


@pytest.mark.parametrize("number", [4, 5, 7, 9])
@pytest.mark.parametrize(
    ("marked", "why"),
    [
        (lambda record: sharing(record, 0.6), {SHARED}),
        (moved, {MOVED}),
        (lambda record: sharing(record, 0.6) if record.seed else moved(record), {SHARED, MOVED}),
    ],
    ids=["shared", "elsewhere", "both"],
)
def test_times_of_runs_without_one_machine_to_themselves_decide_nothing(made, number, marked, why):
    records = made(SWEEPS_OF[number])
    found = finding(number, list(map(marked, records)))
    assert found.verdict == found.jointly == Verdict.undecided
    for part in found.parts:
        of_time = part.unit in ("ratio", "share")
        assert part.holds is (None if of_time else True)
        told = {each for each in (SHARED, MOVED) if each in " ".join(part.said)}
        assert bool(told) == of_time and told <= why
    assert finding(number, records).verdict == Verdict.reproduced


@pytest.mark.parametrize("number", [4, 5, 7, 9])
@pytest.mark.parametrize("marked", [moved, lambda record: sharing(record, 0.6)], ids=["elsewhere", "shared"])
def test_where_some_runs_had_one_machine_to_themselves_these_are_compared(made, number, marked):
    records = made(SWEEPS_OF[number])
    found = finding(number, [marked(record) if record.seed == 2 else record for record in records])
    alone = finding(number, [record for record in records if record.seed < 2])
    timed = [[part for part in each.parts if part.unit in ("ratio", "share")] for each in (found, alone)]
    told = [[(part.n, pytest.approx(part.estimate), part.low, part.high) for part in parts] for parts in timed]
    assert told[0] == told[1]
    for parts, is_said in zip(timed, (True, False), strict=True):
        assert {any("shared machines are left out" in line for line in part.said) for part in parts} == {is_said}


def test_a_configuration_without_times_of_both_sides_from_one_machine_is_counted(made):
    """One of four dropout configurations has AGC's times from another machine, and is none that the comparison is of."""
    records = made(SWEEPS_OF[7])
    elsewhere = records[0].environment.model_copy(update={"device": "another GPU"})
    moved_away = changed(records, lambda f: f.clip is not None and f.layers == 1, environment=elsewhere)
    parts = [part for part in finding(7, moved_away).parts if part.unit == "ratio"]
    whole = [part for part in finding(7, records).parts if part.unit == "ratio"]
    said = "1 of 4 configurations have no times of both sides from one machine, and are left out"
    assert all(said in part.said for part in parts) and not any(said in part.said for part in whole)
    assert all(one.n == other.n for one, other in zip(parts, whole, strict=True))


def test_steps_that_have_fewer_seeds_than_a_look_are_counted(made):
    """Three layers have two seeds on the machine of the others: what is told is of the two steps before, and says so."""
    records = made(SWEEPS_OF[4])
    another = records[0].environment.model_copy(update={"device": "another GPU"})
    lacking = [record.model_copy(update={"environment": another}) if is_third(seen(record), record) else record for record in records]
    (part,), (whole,) = finding(4, lacking).parts, finding(4, records).parts
    assert whole.n == 36 and part.n == 24
    assert "4 of 12 pairs of arms have fewer seeds, and are left out" in part.said
    assert not any("fewer seeds" in line for line in whole.said)


def test_the_runs_behind_a_claim_are_those_of_the_seeds_and_steps_that_its_look_is_at(made):
    records = made(SWEEPS_OF[4])
    another = records[0].environment.model_copy(update={"device": "another GPU"})
    lacking = [record.model_copy(update={"environment": another}) if is_third(seen(record), record) else record for record in records]
    behind = {record.run_id: seen(record).batchnorm for record in records}
    assert {behind[run] for run in finding(4, records).runs} == {0, 1, 2, 3}
    assert {behind[run] for run in finding(4, lacking).runs} == {0, 1, 2}


def is_third(f, record):
    return f.batchnorm == 3 and record.seed == 2


def test_accuracies_of_unlike_machines_are_paired(made):
    records = made(("final",))
    another = records[0].environment.model_copy(update={"device": "another GPU"})
    found = finding(10, changed(records, lambda f: f.transformations, environment=another))
    assert found.verdict == Verdict.reproduced


@pytest.mark.parametrize("state", [state for state in State if state not in (State.finished, State.diverged)])
def test_a_run_that_did_not_finish_is_in_no_comparison_of_accuracies(made, state):
    records = changed(made(("final",)), lambda f: f.transformations, state=state)
    found = finding(10, records)
    assert found.verdict == Verdict.not_tested
    assert found.effect == "No run speaks to it."


def test_a_run_that_diverged_counts_as_chance_and_both_readings_are_given(made):
    records = made(("final",))
    found = finding(10, changed(records, lambda f: f.transformations and not f.symmetric, state=State.diverged, summary=None))
    gained = found.parts[0]
    assert gained.estimate == pytest.approx(10 - 69, abs=0.2) and gained.said[-1].startswith(
        "3 that diverged count as chance; without them: nothing is left"
    )
    one = finding(10, [r.model_copy(update={"state": State.diverged}) if (r.label, r.seed) == (CHAMPION, 0) else r for r in records])
    assert one.verdict == Verdict.undecided
    assert "1 that diverged count as chance; without them: +15" in one.parts[0].said[-1]
    assert one.parts[0].low < 0 < one.parts[0].high  # one of three at a tenth is a spread that nothing else has


def test_of_unknown_classes_a_run_that_diverged_leaves_accuracies_open(made):
    records = [
        record.model_copy(update={"config": record.config | {"data": record.config["data"] | {"source": "folder", "folder": "images"}}})
        for record in made(("final",))
    ]
    assert finding(10, records).verdict == Verdict.reproduced
    diverged = [r.model_copy(update={"state": State.diverged}) if (r.label, r.seed) == ("baseline", 0) else r for r in records]
    found = finding(10, diverged)
    assert found.parts[0].holds is None
    assert any("how many classes is not known" in line for line in found.parts[0].said)


def test_a_run_that_diverged_is_later_to_the_target_than_all_that_reach_it(made):
    world = but(to_target=lambda claimed, f: None if f.clip else 500.0)
    found = finding(7, changed(made(("agc_batchnorm",), world), lambda f: f.clip is not None, state=State.diverged))
    later = [part for part in found.parts if part.unit == "share"]
    assert [(part.estimate, part.n, part.holds) for part in later] == [(1.0, 12, True)] * 3
    assert [part.n for part in found.parts if part.unit == "ratio"] == [0] * 3
    assert found.verdict == Verdict.undecided


def test_pairs_of_which_neither_reaches_the_target_say_nothing(made):
    world = but(to_target=lambda claimed, f: None if f.layers else claimed.to_target(f))
    (part,) = finding(4, made(("batchnorm",), world)).parts
    assert (part.estimate, part.n) == (1.0, 9)


def test_runs_that_cannot_be_built_are_passed_over(made):
    records = made(("final",))
    broken = records[0].model_copy(update={"config": {"batchnorm": {"layers": 9}}, "run_id": "broken", "identity": "broken"})
    assert finding(10, [broken, *records]) == finding(10, records)


@pytest.mark.parametrize("seconds", [0.0, 1e-300, 1e300])
def test_times_that_cannot_be_are_no_error(made, seconds):
    records = made(("augmentation", "agc_batchnorm"))
    odd = records[0].summary.model_copy(update={"time_train_seconds": seconds, "time_to_target_seconds": seconds})
    first = [record for record in records if record.seed == 0]
    others = [record for record in records if record.seed]
    judged = judge(changed(first, lambda f: f.transformations or f.clip is not None, summary=odd) + others)
    assert all(0 <= part.low <= part.high for each in judged for part in each.parts if part.unit == "ratio" and part.low is not None)


@pytest.fixture(scope="module")
def drawn():
    """A strategy of records with this and that amiss; needs records to begin with."""

    def draw(records):
        nothing = st.none()
        summaries = st.sampled_from([record.summary for record in records])
        amiss = st.fixed_dictionaries(
            {},
            optional={
                "state": st.sampled_from(list(State)),
                "summary": nothing
                | summaries
                | summaries.map(lambda s: s.model_copy(update={"test_accuracy": None, "gap": None}))
                | summaries.map(lambda s: s.model_copy(update={"time_train_seconds": 0.0, "time_to_target_seconds": None})),
                "environment": nothing | st.just(records[0].environment.model_copy(update={"device": "another"})),
                "config": st.just({}) | st.just({"nonsense": 1}),
                "seed": st.integers(0, 3),
            },
        )
        pairs = st.tuples(st.sampled_from(records), st.one_of(st.just({}), amiss))
        return st.lists(pairs.map(lambda pair: pair[0].model_copy(update=pair[1])), max_size=60)

    return draw


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_runs_are_there_are_eleven_findings_that_agree_with_their_parts(data, made, drawn):
    found = judge(data.draw(drawn(made(("final", "agc_batchnorm", "augmentation")))))
    assert [each.number for each in found] == list(range(1, 12))
    for each in found:
        held = [part.holds for part in each.parts]
        expected = Verdict.contradicted if False in held else Verdict.undecided if None in held else Verdict.reproduced
        expected = expected if any(part.n for part in each.parts) else Verdict.not_tested
        assert each.verdict == expected
        assert all((part.n == 0) == (part.estimate is None) for part in each.parts)
        assert all(part.low is None or part.low - 1e-9 <= part.estimate <= part.high + 1e-9 for part in each.parts)
        assert bool(each.runs) == any(part.n for part in each.parts)
        assert each.effect.endswith(".")


# Rules.


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [(1, 3, True), (-3, -1, False), (-1, 1, None), (0, 1, None), (-1, 0, None), (0, 0, None), (None, None, None)],
)
def test_a_difference_holds_only_where_its_whole_interval_is_on_the_claimed_side(low, high, holds):
    assert Claimed(low=0).holds(low, high) is holds
    mirrored = Claimed(high=0).holds(*((None, None) if low is None else (-high, -low)))
    assert mirrored is holds


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [(0.96, 1.04, True), (1.06, 1.2, False), (0.8, 0.94, False), (1.0, 1.1, None), (0.9, 1.2, None), (0.95, 1.0, None)],
)
def test_a_likeness_holds_only_where_the_whole_interval_is_inside_the_margin(low, high, holds):
    assert Claimed(0.95, 1.05).holds(low, high) is holds


@pytest.mark.parametrize(
    ("best", "verdict"),
    [
        (12, "reproduced"),
        (10, "reproduced"),
        (9, "undecided"),
        (6, "undecided"),
        (5, "contradicted"),
        (4, "contradicted"),
        (0, "contradicted"),
    ],
)
def test_almost_every_case_is_three_quarters_and_an_interval_above_one_half(made, best, verdict):
    cases = {(f.batchnorm, f.layers): 0 for _, f in runs_of("dropout_symmetric")}
    in_favour = list(cases)[:best]
    world = but(test=lambda claimed, f: 0.5 + (-0.1 if (f.batchnorm, f.layers) in in_favour else 0.1) * f.probability)
    found = finding(1, made(("dropout_symmetric",), world))
    assert found.verdict == verdict
    assert found.effect == f"Dropout at 0.2 has the best test accuracy of 3: in {best} of 12 cases."
    exact = binomtest(best, 12).proportion_ci()
    assert found.parts[0].low <= exact.low + 1e-12 and found.parts[0].high >= exact.high - 1e-12


@pytest.mark.parametrize(("count", "holds"), [(74, None), (75, True), (100, True), (66, None), (65, False)])
def test_of_many_cases_almost_every_is_at_least_three_quarters(count, holds):
    assert almost_every(count / 100, *binomtest(count, 100).proportion_ci()) is holds


def test_a_level_that_only_ties_is_not_the_best(made):
    records = made(("agc",))
    level = [record.model_copy(update={"summary": record.summary.model_copy(update={"test_accuracy": 0.7})}) for record in records]
    assert finding(6, level).effect == "Clip threshold 0.02 has the best test accuracy of 3: in 0 of 12 cases."


def test_a_case_is_a_mean_over_the_seeds_that_have_every_level(made):
    world = but(test=lambda claimed, f: 0.5 + f.probability / 10)
    records = made(("dropout_symmetric",), world)
    fortunate = {"summary": records[0].summary.model_copy(update={"test_accuracy": 0.99})}
    lonely = [r.model_copy(update=fortunate) if r.seed == 2 else r for r in records]
    without = [r for r in lonely if r.seed != 2 or seen(r).probability == 0.2]  # seed 2 has 0.2 alone
    assert finding(1, without).effect == "Dropout at 0.2 has the best test accuracy of 3: in 0 of 12 cases."


def test_a_case_without_one_of_the_levels_is_none(made):
    records = [record for record in made(("agc",)) if seen(record).batch_size != 64 or seen(record).clip != 0.04]
    assert finding(6, records).parts[0].n == 8


def test_what_is_needed_for_a_share_of_too_few_cases_is_no_seed(made):
    found = finding(6, [record for record in made(("agc",)) if seen(record).batch_size == 64])
    assert (found.verdict, found.parts[0].n) == (Verdict.undecided, 4)
    assert found.more == "other configurations: it is of 4 cases, and of fewer than 6 no share is surely above one half"


# Words.


def test_an_effect_counts_the_comparisons_and_says_the_one_that_decides(made):
    world = but(noise=0.0, test=lambda claimed, f: claimed.test(f) + 0.05 * (f.batchnorm == 3))
    near = but(noise=0.0, test=lambda claimed, f: claimed.test(f) + 0.01 * (f.batchnorm == 3))
    assert finding(3, made(("batchnorm",), near)).effect == (
        "3 of 3 comparisons hold. The closest is test accuracy, two BN layers against three BN layers: +1.0 points (+1.0 to +1.0)."
    )
    assert finding(3, made(("batchnorm",), world)).effect == (
        "2 of 3 comparisons hold, 1 fails: test accuracy, two BN layers against three BN layers: −3.0 points "
        "(−3.0 to −3.0 at 98.3 % confidence)."
    )
    assert finding(4, made(("batchnorm",))).effect == (
        "BN layers 0, 1, 2, 3: each reaches the target sooner than the one before: in 36 of 36 cases."
    )


def test_an_effect_says_how_many_comparisons_have_runs_that_cannot_be_compared(made):
    records = made(SWEEPS_OF[7])
    elsewhere = records[0].environment.model_copy(update={"device": "another GPU"})
    moved_away = finding(7, changed(records, lambda f: f.batchnorm == 1 and f.clip is None, environment=elsewhere))
    assert ", 2 have no runs that can be compared" in moved_away.effect and "have no runs" not in finding(7, records).effect
    assert [part.n for part in moved_away.parts].count(0) == 2
    assert (
        "runs that can be compared (times: of one machine) for 2 comparisons" in moved_away.more or moved_away.verdict != Verdict.undecided
    )


def test_an_effect_says_how_many_comparisons_have_no_runs(made):
    records = [record for record in made(("dropout_symmetric",)) if seen(record).probability == 0.2]
    assert ", 4 have no runs" in finding(2, records).effect


def test_what_was_published_stands_beside_what_came_out(made):
    found = finding(10, made(("final",), QUIET))
    assert found.effect.startswith("11 of 11 comparisons hold. The closest is ")
    assert (
        found.note
        == "Published: test accuracy with baseline 69 % (here 69.0 %); test accuracy with asymmetric_augmentation 85 to 87 % (here 84.0 %)."
    )


def test_how_much_longer_agc_is_to_the_target_is_told_and_has_no_say(made):
    found = finding(7, made(("agc_batchnorm",)))
    assert found.note.startswith("Beside it: time to the target, AGC against BN 0: 1.200 times (1.199 to 1.201); ")
    assert [part.unit for part in found.parts] == ["ratio"] * 3 + ["share"] * 3


def test_the_best_rescue_is_held_against_batchnorm_under_the_same_optimizer(made):
    found = finding(11, made(("agc_batchnorm", "agc_rescue"), QUIET))
    sgd = "sgd lr 0.1 decay 0.0005 cosine warm-up 2"
    assert found.note.endswith(f"{sgd} · weight standardization, comes to 77.5 %: −0.5 points (−0.5 to −0.5) against BN 2 · {sgd}.")
    assert found.verdict == Verdict.reproduced


def test_a_rescue_without_its_own_rival_is_held_against_batchnorm_as_the_study_trains_it(made):
    world = but(test=lambda claimed, f: claimed.test(f) + 0.2 * (f.optimizer == "adam decay 0.0005"))
    found = finding(11, made(("agc_batchnorm", "agc_rescue"), world))
    assert "adam decay 0.0005, comes to 9" in found.note
    assert found.note.endswith("against BN 2.")


def test_a_rescue_with_augmentation_is_no_match_for_batchnorm_without(made):
    world = but(test=lambda claimed, f: 0.99 if f.transformations else claimed.test(f))
    assert "The best of 7 other arms" in finding(11, made(("agc_batchnorm", "agc_rescue"), world)).note
