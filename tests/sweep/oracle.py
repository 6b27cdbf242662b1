"""W&B's own engine, as it answers in an environment of its own: run by that environment's Python, a question a line, an answer a line.

`{"verdict": config}`: null where it takes the sweep, else why not. `{"draws": config, "seeds": […]}`: the values that random search
draws from each seed. `{"grid": config}`: its cells. `{"stops": config, "runs": […]}`: the names of the runs that it would end.
"""

import json
import random
import sys
import warnings
from copy import deepcopy

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import sweeps  # noqa: E402
from sweeps.params import HyperParameterSet  # noqa: E402

EXPONENTS = "specify base-e exponents"
"""Of a distribution that W&B warns of, and draws from."""


def plain(value):
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value


def values(run):
    return {key: plain(entry["value"]) for key, entry in run.config.items()}


def verdict(config):
    try:
        faults = [fault for fault in sweeps.schema_violations_from_proposed_config(deepcopy(config)) if EXPONENTS not in fault]
        if not faults and "parameters" in config:
            HyperParameterSet.from_config(deepcopy(config["parameters"]))
            if config["method"] in ("grid", "random", "bayes") and "scheduler" not in config:
                sweeps.next_run(deepcopy(config), [])
    except Exception as error:
        faults = [f"{type(error).__name__}: {error}"]
    return faults[0] if faults else None


def draws(config, seeds):
    drawn = []
    for seed in seeds:
        random.seed(seed)
        drawn.append(values(sweeps.next_run(deepcopy(config), [])))
    return drawn


def cells(config):
    return [values(run) for run in sweeps.next_runs(deepcopy(config), [], n=10**6) if run]


def stops(config, runs):
    made = [sweeps.SweepRun(name=run["name"], state=run["state"], history=run["history"]) for run in runs]
    return [run.name for run in sweeps.stop_runs(deepcopy(config), made)]


def answer(question):
    if "verdict" in question:
        return verdict(question["verdict"])
    if "draws" in question:
        return draws(question["draws"], question["seeds"])
    return cells(question["grid"]) if "grid" in question else stops(question["stops"], question["runs"])


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
