from reglab.config import RunConfig, run_id


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
