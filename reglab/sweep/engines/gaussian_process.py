"""The child process of `bayes.py`: a line of JSON for each question and each answer, until there are no more.

It is told where each trial lies on each axis and what it came to, and answers where the next should lie. It keeps nothing from one
question to the next, so an answer depends on its question only.
"""

import json
import os
import sys
import warnings
from importlib.util import find_spec
from typing import Any


def main() -> None:
    """Answer each line of standard input with one on standard output, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        suggest = _searching()
    except ModuleNotFoundError as error:
        missing = error.name
        suggest = lambda **asked: {"missing": missing}  # noqa: E731
    for line in sys.stdin:
        answers.write(json.dumps(suggest(**json.loads(line))) + "\n")
        answers.flush()


def _searching() -> Any:
    """`suggest(axes, trials, seed)`. Raises ModuleNotFoundError without Optuna or PyTorch."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if find_spec("torch") is None:  # the sampler imports it when it is first asked
        raise ModuleNotFoundError(name="torch")

    def of_axis(axis: dict[str, float]) -> BaseDistribution:
        if "choices" in axis:
            return CategoricalDistribution(list(range(int(axis["choices"]))))
        return IntDistribution(int(axis["from"]), int(axis["to"])) if "from" in axis else FloatDistribution(axis["low"], axis["high"])

    def suggest(axes: list[dict[str, float]], trials: list[dict[str, Any]], seed: int) -> dict[str, list[float]]:
        space = {str(number): of_axis(axis) for number, axis in enumerate(axes)}
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
        study = optuna.create_study(sampler=sampler)
        for trial in trials:
            state = optuna.trial.TrialState.RUNNING if trial["value"] is None else optuna.trial.TrialState.COMPLETE
            place = dict(zip(space, trial["at"], strict=True))
            study.add_trial(optuna.trial.create_trial(state=state, params=place, distributions=space, value=trial["value"]))
        place = study.ask(space).params
        return {"at": [place[name] for name in space]}

    return suggest


if __name__ == "__main__":
    main()
