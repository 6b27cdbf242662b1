"""What W&B takes: its own verdicts, in `wandb_verdicts.jsonl`, are those of sweeps 0.3 on the sweeps of its own tests."""

import json
from pathlib import Path

import pytest

from reglab.sweep.definition import faults
from tests.sweep import made_up

VERDICTS = [json.loads(line) for line in (Path(__file__).parent / "wandb_verdicts.jsonl").read_text(encoding="utf-8").splitlines()]

STRICTER = (
    "sigma = 0: must be above 0",
    "a = 0: must be above 0",
    "b = 0: must be above 0",
    "searches over nothing",
    "give each value one",
)
"""What W&B takes and cannot use: distributions of no width, a search over nothing, and, in nested parameters, probabilities of others."""


@pytest.mark.parametrize("case", VERDICTS, ids=[str(number) for number in range(len(VERDICTS))])
def test_w_and_b_s_verdict_is_ours(case):
    assert bool(faults(case["config"])) == (case["fault"] is not None), case["fault"]


def test_there_are_good_and_bad_ones_among_them():
    assert sum(case["fault"] is None for case in VERDICTS) > 30
    assert sum(case["fault"] is not None for case in VERDICTS) > 30


@pytest.mark.slow
def test_w_and_b_s_verdict_on_sweeps_that_nobody_wrote_is_ours(oracle):
    configs = made_up.configs(1500)
    said = [[fault.said for fault in faults(config)] for config in configs]
    verdicts = oracle({"verdict": config} for config in configs)
    for config, ours, theirs in zip(configs, said, verdicts, strict=True):
        if ours and any(text in ours[0].replace("0.0", "0") for text in STRICTER):
            continue
        assert bool(ours) == (theirs is not None), (config, ours, theirs)


def parameters(definition):
    return {"method": "random", "parameters": {"optimizer": {"parameters": {"lr": definition}}}}


LR = ("parameters", "optimizer", "parameters", "lr")


@pytest.mark.parametrize(
    ("definition", "place", "said"),
    [
        ({"min": 1, "max": "x"}, (*LR, "max"), "optimizer.lr.max = x: must be a number"),
        ({"min": 1}, LR, "optimizer.lr.max: is missing, and int_uniform needs it"),
        ({"min": 2, "max": 1}, LR, "optimizer.lr: min = 2 is not below max = 1"),
        ({"min": 0.1, "max": float("inf")}, (*LR, "max"), "optimizer.lr.max = inf: must be a number"),
        ({"values": []}, (*LR, "values"), "optimizer.lr.values: has 0 items: must have at least 1"),
        ({"valeus": [1]}, LR, "optimizer.lr: says nothing to draw: give it `value`, `values`, `min` and `max`, or a `distribution`"),
        ({"values": [1], "min": 0}, (*LR, "min"), "optimizer.lr.min: unknown key min; known are values, distribution"),
        ({"distribution": "norml"}, (*LR, "distribution"), "optimizer.lr: distribution = norml: must be one of constant, "),
        ({"distribution": "normal", "sigma": -1}, (*LR, "sigma"), "optimizer.lr.sigma = -1: must be above 0"),
        ({"values": [1, 2], "probabilities": [0.5, 0.4]}, LR, "optimizer.lr: probabilities come to 0.9, not to 1"),
        ({"parameters": {}, "value": 1}, LR, "optimizer.lr: value stands beside `parameters`: keep one of them"),
        (
            {"distribution": "log_uniform", "min": 0, "max": 1000.0},
            LR,
            "optimizer.lr: max = 1000.0 is an exponent of e, and e to its power",
        ),
        (None, LR, "optimizer.lr = None: must be a mapping, such as {value: …} or {values: […]}"),
        ([0.1], LR, "optimizer.lr = [0.1]: must be a mapping"),
    ],
    ids=str,
)
def test_a_fault_of_a_parameter_is_told_with_its_place_its_value_and_the_reason(definition, place, said):
    found = faults(parameters(definition))[0]
    assert found.place == place
    assert found.said.startswith(said)


@pytest.mark.parametrize(
    ("keys", "place", "said"),
    [
        ({"run_cap": 0}, ("run_cap",), "run_cap = 0: must be at least 1"),
        ({"run_cap": None}, ("run_cap",), "run_cap: has no value: give it one, or leave the key out"),
        ({"metric": {"name": "m", "goal": "up"}}, ("metric", "goal"), "metric.goal = up: must be one of minimize, maximize"),
        ({"metric": {"nam": "m"}}, ("metric",), "metric.name: is missing"),
        ({"metirc": {"name": "m"}}, ("metirc",), "metirc: unknown key metirc; did you mean metric?"),
        ({"metrics": [{"name": "m"}]}, ("metrics",), "metrics: has 1 items: must have at least 2"),
        ({"metrics": [{"name": "m"}, {"name": "n"}]}, ("metrics",), "metrics: several objectives need `method: custom`"),
        ({"scheduler": {"engine": "optuna"}}, ("method",), "method = random: the engine optuna goes with custom"),
        (
            {"scheduler": {"engine": "wandb", "optimizer": "f"}},
            ("scheduler",),
            "scheduler: `optimizer` names a function and needs `source`",
        ),
        (
            {"scheduler": {"engine": "wandb"}, "early_terminate": {"type": "hyperband", "min_iter": 1}},
            ("early_terminate",),
            "early_terminate: stands beside `scheduler`",
        ),
        ({"early_terminate": {"type": "hyperband"}}, ("early_terminate",), "early_terminate: needs `min_iter`"),
        ({"method": "bayes", "metric": {"name": "m"}}, ("parameters",), "method = bayes: searches over nothing"),
        ({"command": "reglab train"}, ("command",), "command = reglab train: must be a list"),
    ],
    ids=str,
)
def test_a_fault_of_a_sweep_is_told_with_its_place_its_value_and_the_reason(keys, place, said):
    found = faults(parameters({"value": 1}) | keys)[0]
    assert found.place == place
    assert found.said.startswith(said)


def test_a_scheduler_with_a_function_for_the_space_needs_no_parameters():
    sweep = {"method": "custom", "scheduler": {"engine": "optuna", "source": "space.py", "search_space": "space"}}
    assert faults(sweep) == []
    assert faults({"method": "custom", "scheduler": {"engine": "optuna"}})[0].said.startswith("parameters: is missing")
