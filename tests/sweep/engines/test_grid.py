import pytest

from reglab.config import RunConfig, run_id
from reglab.sweep.engines.grid import Grid, size


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


def test_a_grid_is_complete(engine):
    cells = list(
        engine(
            method="grid",
            parameters={
                "arm": {"value": None},
                **nested(
                    batchnorm={"layers": {"values": [0, 1, 2, 3]}},
                    dropout={"layers": {"values": [0, 1]}, "p": {"values": [0.2, 0.5]}},
                    train={"seed": {"values": [0, 1]}, "epochs": {"value": 3}},
                ),
            },
        ).rest()
    )
    assert len(cells) == 4 * 2 * 2 * 2
    seen = {(c["batchnorm"]["layers"], c["dropout"]["layers"], c["dropout"]["p"], c["train"]["seed"]) for c in cells}
    assert len(seen) == len(cells)
    assert all(c["train"]["epochs"] == 3 and c["arm"] is None for c in cells)
    assert len({run_id(RunConfig.parse(cell)) for cell in cells}) == 4 * 3 * 2  # without dropout layers p does not matter


def test_a_grid_comes_one_seed_after_the_other(engine):
    keys = nested(train={"seed": {"values": [2, 0, 1]}}, batchnorm={"layers": {"values": [0, 1, 2]}})
    found = list(engine(method="grid", parameters=keys).rest())
    assert [cell["train"]["seed"] for cell in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [{cell["batchnorm"]["layers"] for cell in found[start : start + 3]} for start in (0, 3, 6)] == [{0, 1, 2}] * 3


def test_a_grid_is_the_same_each_time(engine):
    keys = nested(train={"seed": {"values": [0, 1]}}, batchnorm={"layers": {"values": [0, 1, 2]}})
    one, other = (list(engine(method="grid", parameters=keys).rest()) for _ in range(2))
    assert one == other


MIXED = {
    "method": "grid",
    "parameters": {
        "b": {"values": [3, 1, 1.0, True, "x", None, [1]]},
        "a": {"min": 2, "max": 4},
        "c": {"distribution": "q_uniform", "min": 0.1, "max": 1.0, "q": 0.3},
        "n": {"parameters": {"k": {"value": [1]}, "d": {"values": [{"x": 1}, None]}}},
    },
}


def test_values_that_are_one_to_w_and_b_are_one_cell_and_others_are_not():
    assert len(list(Grid(MIXED).rest())) == size(MIXED) == 3 * 6 * 3 * 2


@pytest.mark.slow
def test_w_and_b_s_engine_has_the_same_cells_in_the_same_order(oracle):
    assert oracle([{"grid": MIXED}]) == [list(Grid(MIXED).rest())]


def test_the_size_of_a_grid_is_known_before_its_cells_are_made():
    huge = {"method": "grid", "parameters": {f"k{number}": {"min": 1, "max": 10**9} for number in range(50)}}
    assert size(huge) == 10 ** (9 * 50)


def test_seeds_that_are_no_numbers_come_last():
    found = Grid({"method": "grid", "parameters": nested(train={"seed": {"values": ["b", 10, None, 2.5, "a"]}})}).rest()
    assert [cell["train"]["seed"] for cell in found] == [None, 2.5, 10, "a", "b"]
