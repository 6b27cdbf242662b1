import pytest

from reglab.tracking.record import State
from tests.report import published
from tests.report.published import BY_NAME, DESIGN, FINAL


@pytest.fixture
def grid(make_record):
    """Two numbers of BN layers, with no dropout and with two probabilities in one layer; one seed."""
    return [
        make_record(
            config={"batchnorm": {"layers": layers}, "dropout": {"layers": 1 if p else 0, "p": p}}, test=0.5 + layers / 10 - (p or 0) / 10
        )
        for layers in (1, 0)
        for p in (0.5, None, 0.2)
    ]


def test_runs_of_another_set_up_are_set_apart_and_named(make_record, study):
    odd = make_record(seed=7, config={"model": {"width": 8}})
    found = published.study([*study, odd])
    assert found.records == tuple(study)
    assert found.others == (odd,)
    assert found.differing == {"model.width": (64, 8)}
    assert found.fixed["model.width"] == 64


def test_what_has_no_effect_is_no_other_set_up(make_record):
    records = [
        make_record(config={"agc": {"eps": 0.1}}),
        make_record(seed=1, config={"cutout": {"size": 20}, "augment": {"shift": 2}, "train": {"checkpoint_every": 5}}),
    ]
    assert published.study(records).others == ()
    on = make_record(seed=2, config={"agc": {"enabled": True, "eps": 0.1}})
    assert published.study([*records, on, make_record(seed=3, config={"agc": {"enabled": True}})]).differing == {"agc.eps": (0.1, 0.001)}


def test_a_run_that_could_not_be_built_belongs_to_the_study_and_answers_nothing(make_record, study):
    unbuildable = make_record(seed=9, state=State.failed, run_id="x", identity="", summary=None).model_copy(
        update={"config": {"nonsense": 1}}
    )
    found = published.study([*study, unbuildable])
    assert unbuildable in found.records
    assert [cell.records for cell in found.unasked(DESIGN.questions)] == [(unbuildable,)]


def test_a_question_is_answered_by_what_runs_are(grid):
    found = published.study(grid)
    assert (found.base["epochs"], found.base["batch_size"], found.base["dropout"]) == (1, 256, None)
    cells = found.answers(BY_NAME["dropout_symmetric"])
    assert [(cell.treatment["batchnorm"], cell.treatment["dropout"]) for cell in cells] == [
        (layers, dropout) for layers in (0, 1) for dropout in (None, "0.2", "0.5")
    ]
    assert found.answers(BY_NAME["agc"]) == []


def test_the_best_arm_is_first_where_the_question_asks_for_it(make_record):
    arrays = [(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.5, 0.5, 0.5)]
    records = [
        make_record(
            config={"batchnorm": {"layers": 2}, "dropout": {"layers": 3} | dict(zip(("p1", "p2", "p3"), array, strict=True))}, test=test
        )
        for array, test in zip(arrays, (0.6, 0.8, 0.7), strict=True)
    ]
    assert [cell.treatment["dropout"] for cell in published.study(records).answers(BY_NAME["dropout_arrays"])] == [
        "0.3/0.2/0.1",
        "0.5/0.5/0.5",
        "0.1/0.2/0.3",
    ]


def test_it_says_how_it_departs_from_the_published_study(study):
    assert published.study(study).unlike_the_published() == [
        "digits instead of CIFAR-10",
        "training images 1,442 instead of 50,000",
        "epochs 1 instead of 200",
    ]
    assert published.study(study[:1]).unlike_the_published()[-1] == "seeds 1 instead of 3"


def test_images_are_compared_among_runs_that_hold_out_as_many(make_record):
    def seen(fingerprint, **more):
        record = make_record(**more)
        return record.model_copy(update={"environment": record.environment.model_copy(update={"data_fingerprint": fingerprint})})

    held_out = {"config": {"data": {"validation": 8}}}
    assert published.study([seen("f"), seen("f", seed=1), seen("g", **held_out)]).images() == [{"f"}, {"g"}]
    assert {"f", "g"} in published.study([seen("f"), seen("g", seed=1)]).images()


def test_an_arm_and_seed_that_is_there_twice_counts_once_by_a_finished_run(make_record):
    crashed, finished = make_record(run_id="a", state=State.crashed), make_record(run_id="b")
    later = make_record(run_id="c")
    found = published.study([crashed, finished, later])
    assert [record.run_id for record in found.records] == ["b"]
    assert [record.run_id for record in found.again] == ["a", "c"]
    assert found.seeds == 1


def at_speed(record, **changes):
    """The same run where training steps are captured as graphs, or the network compiled, or not."""
    return record.model_copy(update={"environment": record.environment.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("keys", "where"),
    [({"graph": False}, {"captured": False}), ({"compile": True}, {"captured": True, "compiled": True})],
)
def test_runs_that_differ_in_speed_only_pool_their_accuracies_and_not_their_times(make_record, keys, where):
    seeds = [at_speed(make_record(seed=seed, test=0.6 + seed / 10, seconds=10), captured=True) for seed in (0, 1)]
    third = at_speed(make_record(seed=2, test=0.8, seconds=50, config={"train": keys}), **where)
    found = published.study([*seeds, third])
    assert (found.records, found.others, found.seeds, found.differing) == ((*seeds, third), (), 3, {})
    (cell,) = found.answers(FINAL)
    assert (cell.label, cell.test_accuracy.n, cell.test_accuracy.mean) == ("baseline", 3, pytest.approx(0.7))
    assert [(times.train_seconds.n, times.train_seconds.mean) for times in cell.times] == [(2, 10), (1, 50)]


def test_of_one_arm_and_seed_at_two_speeds_the_accuracy_counts_once(make_record):
    first, again = make_record(), make_record(config={"train": {"compile": True}})
    assert first.run_id != again.run_id  # each is trained
    found = published.study([first, again])
    assert (found.records, found.again) == ((first,), (again,))


def test_arms_that_differ_in_something_else_are_told_apart_by_it_alone(make_record):
    plain = make_record(config={"train": {"graph": False, "checkpoint_every": 5}})
    cells = published.cells([plain, make_record(seed=1, config={"optimizer": {"eps": 1e-3}})])
    assert sorted(cell.label for cell in cells) == ["baseline · optimizer.eps 0.001", "baseline · optimizer.eps 1e-07"]


def test_the_set_up_of_most_runs_is_one_that_there_is(make_record):
    digits = [make_record(seed=seed) for seed in range(4)]
    folders = [
        make_record(seed=seed, config={"data": {"source": "folder", "folder": "x", "train_limit": limit}})
        for limit in (500, 1000)
        for seed in range(3)
    ]
    found = published.study([*digits, *folders])
    assert found.records == tuple(digits)
    assert found.others == tuple(folders)
