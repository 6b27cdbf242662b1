"""The child process of `optuna.py`: W&B's optimizer over an Optuna study, with what the sweep's file names beside it.

It is told what is new of each draw, and answers what to draw next and which runs to stop, a line of JSON each. A new process makes
the study anew and tells it of all draws, as W&B's scheduler does when it is started again.
"""

import json
import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.errors import in_one_line

if TYPE_CHECKING:
    from reglab.sweep.optimizers import RunWithMetrics

TRIES = 1000
"""Draws in a row that say nothing new, before the search is over."""


def main() -> None:
    """Answer each line of standard input with one on standard output, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints, or a function of the user's, is no answer
    session: Session | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            session = session or Session.of(asked["config"])
            answer = session.answer(asked)
        except ModuleNotFoundError as error:
            answer = {"missing": error.name} if error.name in ("optuna", "torch") else {"fault": _said(error, asked["config"])}
        except (Exception, SystemExit) as error:
            answer = {"fault": _said(error, asked["config"])}
        answers.write(json.dumps(answer, default=_plain) + "\n")
        answers.flush()


def _said(error: BaseException, config: Mapping[str, Any]) -> str:
    """What went wrong, in one line, and where in the user's own file if it went through that."""
    source = (config.get("scheduler") or {}).get("source")
    frames = [*traceback.extract_tb(error.__traceback__), *(traceback.extract_tb(error.__cause__.__traceback__) if error.__cause__ else ())]
    inside = [frame for frame in frames if source and Path(frame.filename).name == Path(source).name]
    where = f"{source}, line {inside[-1].lineno}: " if inside else ""
    return where + (in_one_line(error) or type(error).__name__)


def _plain(value: Any) -> Any:
    """A function of the user's may return numpy's numbers."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a draw is made of numbers, texts, true, false and null, not of {type(value).__name__}")


class Session:
    """The search that this process answers for. `ids` are the optimizer's names of the draws; `is_own`: it has the default sampler."""

    def __init__(self, optimizer: Any, is_own: bool):
        self.optimizer, self.is_own = optimizer, is_own
        self.ids: dict[int, str] = {}
        self.taken_over: list[dict[str, Any]] = []

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Session":
        """Make the optimizer that a sweep asks for. Raises whatever its library, or the user's own code, does."""
        import optuna

        from reglab.sweep import optimizers

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        name = str(config.get("name") or "sweep")
        optimizer = optimizers.make_optimizer(optimizers.SweepInfo(name, name, "", "", config, ""))
        return cls(optimizer, is_own=not config["scheduler"].get("optimizer"))

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Hear what is new of each draw; returns which runs to stop, and the next draw where that is asked for."""
        for number, trial in asked["told"]:
            if number in self.ids:
                self.optimizer.tell_run(self.ids[number], _data(trial))
            else:
                self.taken_over.append(trial["values"])
                self.ids[number] = self._take_over(trial)
        stop = [number for number, trial in asked["told"] if self._stops(self.ids[number], trial)]
        return {"stop": stop} | (self._ask(asked["ask"], asked["seed"]) if "ask" in asked else {})

    def _take_over(self, trial: Mapping[str, Any]) -> str:
        """A draw that another process made: epoch by epoch, so that later runs are compared with it, and pruned as it was."""
        id_: str = self.optimizer.tell_existing_active_run(_data(trial))
        self.optimizer.tell_run(id_, _data(trial, "running"))
        if trial["state"] != "killed" or not self._stops(id_, trial):
            self.optimizer.tell_run(id_, _data(trial))
        return id_

    def _stops(self, id_: str, trial: Mapping[str, Any]) -> bool:
        return bool(trial["history"]) and bool(self.optimizer.prune_runs([id_], [_data(trial)]))

    def _ask(self, number: int, seed: int) -> dict[str, Any]:
        for _ in range(TRIES):
            if self.optimizer.should_terminate_sweep():
                break
            if self.is_own:  # of the default sampler; a study of the user's has the one that it is made with
                sampler = self.optimizer.inner.study.sampler
                self.optimizer.inner.study.sampler = type(sampler)(seed=seed)
            if not (suggested := self.optimizer.ask_n_runs(1)):
                break
            values = suggested[0].config.flat_dict()
            if self.is_own or not self._is_taken_over(values):
                self.ids[number] = suggested[0].run_id
                return {"values": values}
            self.optimizer.forget_run(suggested[0].run_id)
        return {"values": None}

    def _is_taken_over(self, values: Mapping[str, Any]) -> bool:
        """Whether a study that was made anew draws once more what it drew before: its generator began anew as well."""
        drawn = json.loads(json.dumps(values, default=_plain))
        known = next((each for each in self.taken_over if _covers(each, drawn)), None)
        if known is not None:
            self.taken_over.remove(known)
        return known is not None


def _data(trial: Mapping[str, Any], state: str | None = None) -> "RunWithMetrics":
    """A draw as W&B's optimizers are told of it."""
    from reglab.sweep.optimizers import RunConfig, RunState, RunWithMetrics

    return RunWithMetrics(
        config=RunConfig.from_values(trial["values"]),
        state=RunState(state or trial["state"]),
        wandb_run_id="",
        summary_metrics=trial["summary"],
        history_metrics=trial["history"],
    )


def _covers(whole: Any, part: Any) -> bool:
    """Whether nested values have all that others have."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(name in whole and _covers(whole[name], value) for name, value in part.items())
    return bool(whole == part)


if __name__ == "__main__":
    main()
