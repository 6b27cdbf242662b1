"""Sweeps and runs that nobody wrote, to hold one engine against another: the same each time."""

import random
from copy import deepcopy

NUMBERS = (0, 1, 2, 5, 0.0, 0.5, 1.0, 2.5, -1, -0.5, 100, 1e-4)
ODD = (None, True, "1", "x", "", [], [1], {}, {"a": 1}, 1.5, -3, 0)
NAMES = ("a", "lr", "_x", "a.b", "a-b", "9", "", "é", "a b")
DISTRIBUTIONS = (
    *("constant", "categorical", "categorical_w_probabilities", "int_uniform", "uniform", "q_uniform"),
    *("log_uniform", "log_uniform_values", "inv_log_uniform", "inv_log_uniform_values", "q_log_uniform", "q_log_uniform_values"),
    *("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta", "gauss"),
)
TOP = {
    "method": ("grid", "random", "bayes", "custom", "gird"),
    "metric": (
        {"name": "m"},
        {"name": "m", "goal": "maximize", "target": 0.5, "impute": "best"},
        {"goal": "minimize"},
        {"name": "m", "goal": "up"},
    ),
    "metrics": ([{"name": "m"}, {"name": "n", "goal": "maximize"}], [{"name": "m"}], [{"name": "m"}, {"goal": "minimize"}]),
    "scheduler": (
        {"engine": "wandb"},
        {"engine": "optuna", "source": "s.py", "optimizer": "f"},
        {"engine": "ax", "search_space": "f"},
        {"engine": "tpe"},
    ),
    "early_terminate": (
        *({"type": "hyperband", "min_iter": 3}, {"type": "hyperband", "max_iter": 27, "s": 2, "eta": 3, "strict": False}),
        *({"type": "hyperband"}, {"type": "median", "min_iter": 3}, {"type": "hyperband", "min_iter": 3, "eta": 1}),
    ),
    "controller": ({"type": "local"}, {"type": "cloud"}, {"type": "mine"}, {}),
    "run_cap": (1, 10, 0, -1, "3"),
    "command": (["a", "${args}", 3], "a b"),
    "name": ("x", 3),
    "program": ("train.py", ["x"]),
    "description": ("x", None),
    "job": ("x",),
    "image_uri": ("x",),
    "entity": ("x",),
    "project": ("x",),
    "apiVersion": ("v1", 1),
    "kind": ("sweep", "swep"),
    "settings": ({},),
}


def configs(count):
    """As many sweeps, good and bad ones."""
    chance = random.Random(0)
    return [_config(chance) for _ in range(count)]


def stops(count):
    """Rules of hyperband, each with runs that it looks at."""
    chance = random.Random(1)
    return [_stop(chance) for _ in range(count)]


def _config(chance):
    config = {"method": chance.choice(("grid", "random", "bayes", "random", "custom")), "parameters": _parameters(chance)}
    if config["method"] == "bayes" or chance.random() < 0.3:
        config["metric"] = {"name": "m", "goal": "maximize"}
    if config["method"] == "custom" and chance.random() < 0.7:
        config["scheduler"] = {"engine": "optuna"}
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        key = chance.choice(tuple(TOP))
        config[key] = deepcopy(chance.choice(TOP[key]) if chance.random() < 0.9 else chance.choice(ODD))
    if chance.random() < 0.05:
        config.pop(chance.choice(tuple(config)))
    return config


def _parameters(chance, depth=0):
    if chance.random() < 0.02:
        return deepcopy(chance.choice(ODD))
    names = NAMES if chance.random() < 0.05 else NAMES[:5]
    return {chance.choice(names): _definition(chance, depth) for _ in range(chance.choice((1, 1, 2, 3)))}


def _definition(chance, depth):
    if depth < 2 and chance.random() < 0.15:
        return {"parameters": _parameters(chance, depth + 1)} | ({"value": 1} if chance.random() < 0.1 else {})
    kind = chance.randrange(8)
    if kind == 0:
        found = {"value": deepcopy(chance.choice((*NUMBERS, *ODD)))}
    elif kind <= 2:
        found = {"values": [deepcopy(chance.choice((*NUMBERS, *ODD))) for _ in range(chance.choice((0, 1, 2, 3, 3)))]}
        if chance.random() < 0.3:
            found["probabilities"] = chance.choice(([0.5, 0.5], [0.2, 0.3, 0.5], [1], [0.5, 0.4], [1.5, -0.5], "x"))
    elif kind <= 4:
        low, high = sorted((chance.choice(NUMBERS), chance.choice(NUMBERS)), reverse=chance.random() < 0.1)
        found = {"min": low, "max": high}
    else:
        found = {"distribution": chance.choice(DISTRIBUTIONS)}
        for key in _keys(found["distribution"]):
            found[key] = chance.choice(NUMBERS)
        if "min" in found and chance.random() < 0.8:
            found["min"], found["max"] = sorted((found["min"], found["max"]))
    if chance.random() < 0.12:
        found[chance.choice(("min", "max", "q", "mu", "value", "distribution", "extra"))] = deepcopy(chance.choice(ODD))
    if chance.random() < 0.05:
        found.pop(chance.choice(tuple(found)))
    return found if chance.random() < 0.98 else deepcopy(chance.choice(ODD))


def _keys(distribution):
    keys = ("min", "max") if "uniform" in distribution else ("mu", "sigma") if "normal" in distribution else ()
    keys = ("a", "b") if "beta" in distribution else keys
    return (*keys, "q") if distribution.startswith("q_") else keys


def _stop(chance):
    rule = {"type": "hyperband", "eta": chance.choice((1.5, 2, 3, 4))}
    rule |= {"min_iter": chance.randint(1, 5)} if chance.random() < 0.6 else {"max_iter": chance.randint(5, 30), "s": chance.randint(1, 4)}
    rule |= {"strict": chance.random() < 0.5} if chance.random() < 0.7 else {}
    metric = {"name": "m"} | ({"goal": chance.choice(("minimize", "maximize"))} if chance.random() < 0.8 else {})
    config = {"method": "random", "parameters": {"a": {"values": [1, 2]}}, "metric": metric, "early_terminate": rule}
    return config, [_run(chance, str(number)) for number in range(chance.randint(1, 8))]


def _run(chance, name):
    state = chance.choice(("running", "running", "running", "finished", "failed", "killed"))
    rows = [{"m": round(chance.gauss(0, 1), 2)} for _ in range(chance.randint(0, 20))]
    for row in rows:
        if chance.random() < 0.05:
            row["m"] = chance.choice((None, "x", True))
        if chance.random() < 0.05:
            row["other"] = row.pop("m")
    return {"name": name, "state": state, "history": rows}
