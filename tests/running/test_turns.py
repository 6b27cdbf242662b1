"""Arms that take turns, for real."""

import pytest

from reglab.errors import UserError
from reglab.running import turns
from reglab.running.turns import Session


@pytest.fixture
def arms(make_config):
    return {"plain": make_config(), "layers": make_config(batchnorm={"layers": 3})}


@pytest.fixture
def order(monkeypatch):
    """The arms in the order of their turns, those before the first round left out."""
    found, turn = [], turns._turn

    def noted(config, *rest):
        found.append(config.batchnorm.layers)
        return turn(config, *rest)

    monkeypatch.setattr(turns, "_turn", noted)
    return found


def test_arms_take_turns_and_another_is_the_first_in_each_round(arms, order):
    told = []
    rounds = list(Session(arms, 3, 32).run(lambda *done: told.append(done)))
    assert order == [0, 3, 3, 0, 0, 3]
    assert told == [(done, 6) for done in range(1, 7)]
    assert [[len(each.seconds) for each in took] for took in rounds] == [[1, 1], [2, 2], [3, 3]]
    plain, layers = rounds[-1]
    assert plain.session == layers.session and plain.identity != layers.identity
    assert (plain.label, plain.images) == (arms["plain"].label, 32)  # of two batches of 32 the second
    assert all(0 < second < 60 for each in (plain, layers) for second in each.seconds)
    assert all(0 < share <= 2 for share in plain.cpu_shares)
    assert plain.environment.train_images == 128  # of a run: its seconds are those of all
    assert rounds[0][0].seconds == plain.seconds[:1]


def test_seconds_are_those_of_all_training_images(arms, monkeypatch):
    where = turns._turn(arms["plain"], turns._images(arms["plain"].data), 32, turns.pick_device("cpu"))
    monkeypatch.setattr(turns, "_turn", lambda *_: where)
    ((took, _),) = Session(arms, 1, 32).run()
    assert took.seconds == [pytest.approx(where.seconds * 128 / 32)]  # 32 of them were timed


@pytest.mark.parametrize(("asked", "timed"), [(1, [8, 32]), (40, [32, 32]), (100, [88, 64]), (10_000, [120, 96])])
def test_each_arm_trains_on_whole_batches_of_its_own_and_its_first_step_is_not_timed(make_config, asked, timed):
    """Of 128 images; the first step of an epoch is probed."""
    arms = {str(size): make_config(train={"batch_size": size}) for size in (8, 32)}
    (took,) = Session(arms, 1, asked).run()
    assert [each.images for each in took] == timed


def test_where_there_are_fewer_images_than_two_batches_all_are_timed(make_config):
    ((took,),) = Session({"one": make_config(train={"batch_size": 128})}, 1).run()
    assert took.images == 128
    ((took,),) = Session({"two": make_config(train={"batch_size": 96})}, 1).run()
    assert took.images == 32


def test_images_that_are_not_there_are_told_before_anything_is_trained(make_config, order):
    with pytest.raises(UserError, match=r"data\.folder"):
        list(Session({"plain": make_config(data={"source": "folder", "folder": "/nowhere"})}, 2).run())
    assert not order
