"""The child process of `wandb.py`: W&B's own engine. A line of JSON for each question and each answer, until there are no more.

It is told the sweep and what its runs came to, and answers with what to draw next. It keeps nothing from one question to the next, so an
answer depends on its question only.
"""

import json
import logging
import os
import random
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from reglab.errors import in_one_line


def main() -> None:
    """Answer each line of standard input with one on standard output, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.simplefilter("ignore")  # of the fit of its Gaussian process
    import sweeps
    import sweeps.bayes_search  # now: it draws from the generators as it is imported

    logging.getLogger("sweeps").setLevel(logging.ERROR)
    for line in sys.stdin:
        asked = json.loads(line)
        random.seed(asked["seed"])  # it draws from both global generators
        np.random.seed(asked["seed"])
        try:
            run = sweeps.next_run(asked["config"], [sweeps.SweepRun(**told) for told in asked["runs"]])
            answer: dict[str, Any] = {"values": {key: _plain(entry["value"]) for key, entry in run.config.items()}}
        except Exception as error:
            answer = {"fault": in_one_line(error) or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _plain(value: Any) -> Any:
    """It draws numpy's numbers, which neither JSON nor YAML can write."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


if __name__ == "__main__":
    main()
