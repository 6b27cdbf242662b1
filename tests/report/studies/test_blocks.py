import pytest

from reglab.report import stats
from reglab.report.studies import blocks
from reglab.tracking.record import State
from tests.report.conftest import sharing
from tests.report.published import DESIGN, treated


def by_layers(records):
    def rest(levels):
        return tuple(level for name, level in levels.items() if name in DESIGN.factors and name != "batchnorm")

    runs = [(treated(each), each) for each in filter(stats.counts, records)]
    return blocks.in_blocks(runs, lambda levels: [levels["batchnorm"]], rest, stats.arm)


def pairs(records):
    """Test accuracies of runs with two layers and with none that stand in one block, by their seed."""
    found = {}
    for levels in by_layers(records).values():
        if levels.keys() >= {0, 2}:
            two, none = (arm for layers in (2, 0) for arm in levels[layers].values())
            found |= {seed: tuple(runs[seed].summary.test_accuracy for runs in (two, none)) for seed in two.keys() & none.keys()}
    return found


def test_a_level_that_leaves_open_what_its_arms_differ_in_has_each_of_them(batchnorm):
    records = [batchnorm(0, seed, config={"dropout": {"layers": layers, "p": 0.2}}) for layers in (1, 2) for seed in (1, 0)]
    found = blocks.in_blocks(
        [(treated(each), each) for each in records], lambda levels: [levels["batchnorm"]], lambda levels: (), stats.arm
    )
    assert {arm: list(runs) for arm, runs in found[()][0].items()} == {stats.arm(each): [0, 1] for each in records}


def test_runs_of_one_seed_that_differ_in_the_level_are_a_pair(batchnorm):
    records = [batchnorm(2, seed, test=test) for seed, test in enumerate((0.80, 0.83, 0.79))]
    records += [batchnorm(0, seed, test=test) for seed, test in enumerate((0.70, 0.72, 0.74))]
    assert pairs(records) == {0: (0.80, 0.70), 1: (0.83, 0.72), 2: (0.79, 0.74)}


def test_runs_of_other_seeds_are_no_pair(batchnorm):
    assert pairs([batchnorm(2, 0), batchnorm(0, 1)]) == {}


@pytest.mark.parametrize(
    "other", [{"model": {"stem": "cifar"}}, {"train": {"epochs": 2}}, {"dropout": {"layers": 1, "p": 0.2}}, {"optimizer": {"name": "sgd"}}]
)
def test_runs_that_differ_in_something_else_too_are_no_pair(batchnorm, other):
    assert pairs([batchnorm(2), batchnorm(0, config=other)]) == {}


def test_runs_that_did_not_finish_are_in_no_block(batchnorm):
    ended = [batchnorm(0, seed).changed(state=state) for seed, state in enumerate(State) if state != State.finished]
    finished = [batchnorm(2, seed) for seed in range(len(State))]
    assert pairs([*ended, *finished]) == {}


def test_of_two_runs_of_one_place_the_earlier_is_compared(batchnorm):
    earlier, later, other = batchnorm(2, test=0.8), batchnorm(2, test=0.9), batchnorm(0, test=0.7)
    for records in ([earlier, later, other], [other, later, earlier]):
        assert pairs(records) == {0: (0.8, 0.7)}


UNLIKE = {"device": "another", "precision": "fp32", "torch": "2.0", "commit": "def", "compiled": True, "captured": True}


@pytest.mark.parametrize("field", UNLIKE)
def test_times_of_unlike_machines_are_not_compared_and_accuracies_are(batchnorm, field):
    records = [batchnorm(2, test=0.8), batchnorm(0, test=0.7)]
    unlike = [records[0], records[1].changed(environment=records[1].environment.model_copy(update={field: UNLIKE[field]}))]
    assert blocks.on_one_machine(*records)
    assert not blocks.on_one_machine(*unlike)
    assert pairs(unlike)


def test_a_run_of_an_unknown_machine_is_on_none(batchnorm):
    assert not blocks.on_one_machine(batchnorm(2, environment=None), batchnorm(0, environment=None))


def test_a_run_on_shared_cores_is_not_on_the_machine_of_a_quiet_one(make_record):
    one, other = make_record(), make_record(config={"train": {"batch_size": 64}})
    assert blocks.on_one_machine(one, other)
    assert not blocks.on_one_machine(one, sharing(other, 0.5))
