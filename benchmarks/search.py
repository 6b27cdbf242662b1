"""What each search engine finds in so many draws: its regret, on three noisy functions and on a surrogate of real runs.

The peers are draws by chance and a grid of as many cells; ours are `method: bayes` (Optuna's Gaussian process), and what a sweep may ask
for instead: `scheduler: {engine: optuna}` (its tree-structured Parzen estimator, by W&B's own optimizer) and `{engine: wandb}` (W&B's
Gaussian process, in the environment of `make oracle`, or that of SWEEPS_ORACLE). Every engine is driven as a local sweep drives it, one
run at a time; only the processes that some of them have are spared, since their start would be most of the time.

The regret is in points of accuracy: the true value at the best place less that at the draw with the best (noisy) result so far. The
surrogate is the mean of the 131 runs of `reports/digits_quick`, weighted by their nearness (Nadaraya 1964, Watson 1964).

A round is a repetition of each engine on each function.

    reglab bench search [--rounds N]
"""

import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from reglab.sweep import engines
from reglab.sweep.engines.random import Random
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Summary

ROUNDS, DRAWS, LOOKS = 20, 30, (10, 20, 30)
HERE = Path(__file__).parents[1]
ORACLE = Path(os.environ.get("SWEEPS_ORACLE") or HERE / ".venv-oracle" / "bin" / "python")
REPORT = HERE / "reports" / "digits_quick"

Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Function:
    """Accuracy in points over parameters, with the standard deviation of the noise of a run, and a grid of about `DRAWS` cells."""

    name: str
    parameters: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]
    true: Callable[[Values], float]
    noise: float

    @cache  # noqa: B019  there are four
    def best(self) -> float:
        """The largest value of some thousands of draws, and of a climb from the best of them."""
        search = Random({"method": "random", "parameters": self.parameters})
        draws = sorted((search.draw(number) for number in range(4000)), key=self.true, reverse=True)[:5]
        return max(self._climbed(values, search) for values in draws)

    def _climbed(self, values: Values, search: Random) -> float:
        chance, best, width = random.Random(0), dict(values), 0.2
        while width > 1e-3:
            near = []
            for _ in range(60):
                there = dict(best)
                for parameter in search.parameters:
                    name, distribution = parameter.path, parameter.distribution
                    if distribution.is_numeric:
                        share = distribution.share(there[name]) + chance.gauss(0, width)
                        there[name] = distribution.at(min(max(share, 0.0), 1.0))
                near.append(there)
            top = max(near, key=self.true)
            best, width = (top, width) if self.true(top) > self.true(best) + 1e-4 else (best, width / 2)
        return self.true(best)


def _log(low: float, high: float) -> dict[str, Any]:
    return {"distribution": "log_uniform_values", "min": low, "max": high}


def _valley(values: Values) -> float:
    """A learning rate and a decay of which only the product matters much, and a rate of dropout: a bent valley."""
    rate, decay, p = math.log10(values["lr"]), math.log10(values["decay"]), float(values["p"])
    return 93 - 4 * (rate + decay + 6) ** 2 - 0.8 * (rate + 2.3) ** 2 - 30 * (p - 0.15 - 0.05 * (rate + 3)) ** 2


def _hartmann(values: Values) -> float:
    """Hartmann's function of three variables, with its four hills, from 60 to 93 points."""
    a: list[list[float]] = [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]
    p = [[0.3689, 0.1170, 0.2673], [0.4699, 0.4387, 0.7470], [0.1091, 0.8732, 0.5547], [0.0381, 0.5743, 0.8828]]
    at = [values["x"], values["y"], values["z"]]
    hills = [
        weight * math.exp(-sum(a[hill][axis] * (at[axis] - p[hill][axis]) ** 2 for axis in range(3)))
        for hill, weight in enumerate((1.0, 1.2, 3.0, 3.2))
    ]
    return 60 + 33 * sum(hills) / 3.8628


def _mixed(values: Values) -> float:
    """An optimizer, each with a rate of its own, a width in whole numbers and a switch."""
    place, height = {"adam": (-3.0, 91.0), "sgd": (-1.0, 92.5), "adamw": (-3.3, 91.5)}[values["optimizer"]]
    off = math.log10(values["lr"]) - place
    return height - 3 * off**2 - 0.15 * (float(values["depth"]) - 6) ** 2 + (0.6 if values["flip"] else 0.0)


@cache
def _runs() -> tuple[list[list[float]], list[float]]:
    """Where the real runs lie, each axis from 0 to 1, and what they came to, in points."""
    from reglab.config import flat
    from reglab.tracking.fetch import fetch

    there = [(flat(record.config), record.summary.test_accuracy) for record in fetch(str(REPORT)) if record.summary]
    return [_place(config) for config, _ in there], [100 * (accuracy or 0.0) for _, accuracy in there]


def _place(config: Values) -> list[float]:
    p = [config[key] for key in ("dropout.p1", "dropout.p2", "dropout.p3") if config.get(key) is not None]
    p = p or [config.get("dropout.p") or 0.0]
    clip = config["agc.clip"] if config["agc.enabled"] else 0.16
    return [
        config["batchnorm.layers"] / 3,
        config["dropout.layers"] / 3,
        statistics.fmean(p) if config["dropout.layers"] else 0.0,
        math.log2(clip / 0.01) / 4,
        math.log2(config["train.batch_size"] / 64) / 2,
    ]


_NEAR = 0.15


def _surrogate(values: Values) -> float:
    places, reached = _runs_here()
    at = [values["bn"] / 3, values["layers"] / 3, values["p"], math.log2(values["clip"] / 0.01) / 4, math.log2(values["batch"] / 64) / 2]
    weights = [math.exp(-sum((a - b) ** 2 for a, b in zip(at, place, strict=True)) / (2 * _NEAR**2)) for place in places]
    return sum(weight * value for weight, value in zip(weights, reached, strict=True)) / sum(weights)


def _runs_here() -> tuple[list[list[float]], list[float]]:
    """In the oracle's environment, which cannot read a report, as it was handed over."""
    handed = os.environ.get("SURROGATE")
    return _handed(handed) if handed else _runs()


@cache
def _handed(text: str) -> tuple[list[list[float]], list[float]]:
    return tuple(json.loads(text))


FUNCTIONS = (
    Function(
        "valley",
        {"lr": _log(1e-4, 1e-1), "decay": _log(1e-6, 1e-2), "p": {"min": 0.0, "max": 0.8}},
        {"lr": [3e-4, 3e-3, 3e-2], "decay": [5e-6, 1e-4, 2e-3], "p": [0.13, 0.4, 0.67]},
        _valley,
        0.5,
    ),
    Function(
        "hartmann",
        {name: {"min": 0.0, "max": 1.0} for name in "xyz"},
        {name: [1 / 6, 1 / 2, 5 / 6] for name in "xyz"},
        _hartmann,
        0.5,
    ),
    Function(
        "mixed",
        {
            "optimizer": {"values": ["adam", "sgd", "adamw"]},
            "lr": _log(1e-4, 1.0),
            "depth": {"min": 1, "max": 8},
            "flip": {"values": [True, False]},
        },
        {"optimizer": ["adam", "sgd", "adamw"], "lr": [5e-4, 1e-2, 0.2], "depth": [3, 6], "flip": [True, False]},
        _mixed,
        0.5,
    ),
    Function(
        "digits_quick",
        {
            "bn": {"min": 0, "max": 3},
            "layers": {"min": 0, "max": 3},
            "p": {"min": 0.0, "max": 0.8},
            "clip": _log(0.01, 0.16),
            "batch": {"values": [64, 128, 256]},
        },
        {"bn": [0, 2], "layers": [1, 3], "p": [0.2, 0.6], "clip": [0.02, 0.16], "batch": [64, 256]},
        _surrogate,
        1.5,
    ),
)

ENGINES: dict[str, dict[str, Any]] = {
    "grid": {"method": "grid"},
    "random": {"method": "random"},
    "bayes": {"method": "bayes"},
    "optuna": {"method": "custom", "scheduler": {"engine": "optuna"}},
    "wandb": {"method": "bayes", "scheduler": {"engine": "wandb"}},
}


class _Within:
    """In place of an engine's child process: the same code in this one."""

    def __init__(self, engine: str):
        self.has_begun, self._engine = False, engine
        self._session: Any = None

    def answer(self, question: Callable[[bool], Mapping[str, Any]]) -> dict[str, Any]:
        asked, self.has_begun = dict(question(not self.has_begun)), True
        if self._engine == "bayes":
            suggested: dict[str, Any] = _suggest()(**asked)
            return suggested
        from reglab.sweep.engines import optuna_process

        self._session = self._session or optuna_process.Session.of(asked["config"])
        answered: dict[str, Any] = self._session.answer(asked)
        return answered

    def end(self) -> None:
        """There is none."""


@cache
def _suggest() -> Any:
    from reglab.sweep.engines import gaussian_process

    return gaussian_process._searching()


def regrets(function: Function, engine: str, seed: int) -> list[float]:
    """After each draw, of one search."""
    parameters = {key: {"values": values} for key, values in function.grid.items()} if engine == "grid" else function.parameters
    metric = {"name": "val/accuracy", "goal": "maximize"}
    config = {"name": f"{seed}", "run_cap": DRAWS, "metric": metric, "parameters": parameters} | ENGINES[engine]
    search = engines.of(config)
    if hasattr(search, "_process"):
        search._process = _Within(engine)
    chance, found = random.Random(f"{function.name} {seed}"), list[tuple[float, float]]()
    best, out = function.best(), list[float]()
    for number, values in enumerate(search.rest()):
        true = function.true(values)
        found.append((true + chance.gauss(0, function.noise), true))
        search.tell(number, _run(number, found[-1][0]))
        out.append(best - max(found)[1])
    return out + [out[-1]] * (DRAWS - len(out))


def _run(number: int, reached: float) -> RunRecord:
    accuracy = min(max(reached / 100, 0.0), 1.0)
    summary = Summary(val_accuracy=accuracy, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=1)
    return RunRecord(run_id=str(number), sweep="s", label="", identity="", seed=0, config={}, state=State.finished, summary=summary)


@dataclass(frozen=True)
class Found:
    """The regrets of an engine on a function, a list for each repetition."""

    benchmark: str
    function: str
    engine: str
    regrets: list[list[float]]

    def at(self, draws: int) -> tuple[float, float]:
        """Their mean after so many draws, and half the width of its 95 % interval."""
        from scipy.stats import t

        there = [each[draws - 1] for each in self.regrets]
        n = len(there)
        return statistics.fmean(there), float(t.ppf(0.975, n - 1)) * statistics.stdev(there) / math.sqrt(n) if n > 1 else math.nan

    def cells(self) -> dict[str, str]:
        looks = {f"after {draws}": "{:.2f} ± {:.2f}".format(*self.at(draws)) for draws in LOOKS}
        return {"case": self.function, "engine": self.engine} | looks | {"rounds": str(len(self.regrets))}


def measure(overrides: Sequence[str] = (), rounds: int | None = None) -> Iterator[Any]:
    from benchmarks.measure import Absent

    for function in FUNCTIONS:
        for engine in ENGINES:
            if engine != "wandb":
                yield Found("search", function.name, engine, [regrets(function, engine, seed) for seed in range(rounds or ROUNDS)])
        if ORACLE.exists():
            yield Found("search", function.name, "wandb", _in_the_oracle(function, rounds or ROUNDS))
        else:
            yield Absent("search", f"{function.name}, wandb", "W&B's own engine: `make oracle`")


def _in_the_oracle(function: Function, rounds: int) -> list[list[float]]:
    environment = os.environ | {"PYTHONPATH": str(HERE), "SURROGATE": json.dumps(_runs()), "PYTHONWARNINGS": "ignore"}
    command = [str(ORACLE), "-m", "benchmarks.search", function.name, str(rounds)]
    done = subprocess.run(command, env=environment, cwd=HERE, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """In the oracle's environment: the regrets of W&B's engine on a function, a line for each search."""
    name, rounds = sys.argv[1:]
    function = next(each for each in FUNCTIONS if each.name == name)
    for seed in range(int(rounds)):
        print(json.dumps(regrets(function, "wandb", seed)), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in {function.name for function in FUNCTIONS}:
        main()
    else:
        from benchmarks import measure as shared

        shared.main(measure, __doc__)
