"""What is what in runs of another program: which key is the metric, the seed, the time, and which ones are settings that differ.

What is not said is guessed, by names and values, and each guess is told with its reason. Where two keys could be meant, neither is
taken: the error names both.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from reglab.config import nearest
from reglab.errors import UserError, excerpt
from reglab.report.studies.columns import written
from reglab.report.writing.numbers import counted
from reglab.tracking.program_run import CLOCK, ProgramRun, Value
from reglab.tracking.state import State

Goal = Literal["maximize", "minimize"]

DO_WITHOUT = "none"
"""In place of a key: there is none."""


@dataclass(frozen=True)
class AskedRoles:
    """What a person says of the keys; None is for guessing."""

    metric: str | None = None
    goal: str | None = None
    seed: str | None = None
    time: str | None = None
    group_by: tuple[str, ...] | None = None

    @property
    def says_something(self) -> bool:
        """Whether any role is given."""
        return self != AskedRoles()


class Roles(BaseModel):
    """What is what. `factors` are the settings by which runs are one arm or another; `time` may be `CLOCK`.

    `alike` names, for a factor, the settings that differ with it and only with it: what it does may be theirs. `guessed` are lines for
    people: what was guessed, and why.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    goal: Goal
    seed: str | None = None
    time: str | None = None
    factors: tuple[str, ...] = ()
    alike: dict[str, tuple[str, ...]] = {}
    guessed: tuple[str, ...] = ()

    def value(self, run: ProgramRun) -> float | None:
        """What the run came to in the metric."""
        return number(result(run, self.metric))

    def seconds(self, run: ProgramRun) -> float | None:
        """How long it took, in the unit of its program."""
        return None if self.time is None else run.seconds if self.time == CLOCK else number(result(run, self.time))


def result(run: ProgramRun, key: str) -> Value:
    """Return a run's value under `key` as a result: its summary's, else its configuration's, else what is told of the run itself."""
    return run.summary.get(key, run.config.get(key, run.about.get(key)))


def setting(run: ProgramRun, key: str) -> Value:
    """Return a run's value under `key` as a setting: its configuration's, else its summary's, else what is told of the run itself."""
    return run.config.get(key, run.summary.get(key, run.about.get(key)))


def number(value: Value) -> float | None:
    """The value as a finite number; None of a text, a truth, a NaN and infinity."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


# Words of names.


def each_word(words: str) -> frozenset[str]:
    """Of a list of them."""
    return frozenset(words.split())


_HIGHER = each_word(
    "accuracy acc acc1 acc5 top1 top5 auc auroc auprc f1 score reward return iou miou map bleu rouge r2 psnr ssim precision "
    "recall success elo dice kappa mcc spearman pearson ndcg mrr likelihood loglikelihood loglik"
)
_LOWER = each_word(
    "loss error err errors perplexity ppl rmse mse mae wer cer fid nll bpb bpc mape regret logloss brier ece misclassification"
)
_OF_CHANGES = each_word("drop gap reduction improvement gain change delta diff difference std stdev var variance stderr sem")
"""Of a quality, what may be good or bad however it is told."""
_TURNED = re.compile(
    r"(^|[/.(]|(?<![a-z])(val|valid|validation|eval|dev|test|train|training|mean|avg)[ _-])\s*((1|one)[ _]*([-−–]|minus)|[-−–]|minus)"
    r"[ _]*[a-z(]",
    re.IGNORECASE,
)
"""`1-accuracy`, `val/one_minus_acc`, `-loss`: more of it is less. `top-1-accuracy` is none."""
_TIMES = each_word("runtime duration elapsed seconds secs sec time hours minutes walltime wallclock")
_RATES = each_word("per step steps to target inference latency zone out limit max budget embedding")
"""What makes a time another thing than how long the run took."""
_SEEDS = re.compile(r"(^|[._/ -])(random_?|rng_?|manual_?|global_?|np_?|torch_?)?seed$|random_?state$", re.IGNORECASE)
_COUNTERS = frozenset({"epoch", "step", "global_step", "iteration", "iter", "timestamp"})
_OF_THE_BEST = re.compile(r"(^|[./ _-])(best|last|final|stopped)[ _-](epoch|step|iteration|iter)$", re.IGNORECASE)
"""What a run came to, and none of its settings."""
_SETTINGS = each_word(
    "lr rate decay wd momentum dropout beta beta1 beta2 betas eps epsilon gamma alpha lambda temperature width depth batch "
    "size hidden layers dim heads warmup smoothing clip noise weight scale tau coef coefficient rho sigma fn function type "
    "name threshold reduction policy optimizer schedule augment"
)
_IDENTITIES = each_word(
    "id ids uuid uid pid port job trial index number name dir folder path file host hostname user url date time timestamp "
    "created updated commit git sha log logs output checkpoint ckpt command cmd run group notes note tag tags"
)
_NAMING = each_word("name run group tags job experiment arm model")
"""Of what a table calls a run, or a group of runs: of them, and not of who ran it and where, settings may be made."""
_OF_REGLAB = frozenset({"arm", "model"})
"""What tables of reglab's call an arm: no run has such a name of its own."""
_OF_MLFLOW = "tags.mlflow."
"""Tags that MLflow itself gives: who ran a run, from which source."""
_OWN, _EITHER = "they are of one run each", "they may name arms or runs"
_OF_NUMBERS = ("--metric", "--time-key")
"""Options that name what must be numbers."""

_SPLITS = (
    frozenset({"test"}),
    frozenset({"val", "valid", "validation", "eval", "dev", "heldout", "holdout"}),
    frozenset[str](),
    frozenset({"train", "training"}),
)
"""The images, or whatever it is, by which a result is told: the first that there is counts."""


@cache
def words_of(key: str) -> frozenset[str]:
    """The words of a key's name, in small letters."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", key)
    return frozenset(word.lower() for word in re.split(r"[^A-Za-z0-9]+", parts) if word)


def _goal_of(key: str) -> Goal | None:
    """By its name; None where that does not tell."""
    words = words_of(key)
    is_low = bool(words & _LOWER)
    if words & _OF_CHANGES or (not is_low and not words & _HIGHER):
        return None
    is_low ^= bool(words & {"neg", "negative"} or _TURNED.search(key))
    return "minimize" if is_low else "maximize"


def _is_quality(key: str) -> bool:
    return bool(words_of(key) & (_LOWER | _HIGHER)) and not words_of(key) & (_SETTINGS - {"rate", "scale"})


def _is_time(key: str) -> bool:
    return bool(words_of(key) & _TIMES) and not words_of(key) & _RATES


def _is_counter(key: str) -> bool:
    return key.startswith("_") or _counts_rows(key) or bool(_OF_THE_BEST.search(key))


def _counts_rows(key: str) -> bool:
    return re.split(r"[./ ]", key)[-1].lower() in _COUNTERS


# Reading.


def read(runs: Sequence[ProgramRun], asked: AskedRoles) -> Roles:
    """What is what in these runs.

    Raises UserError where no run has finished, where what was asked for is not there, and where a guess could be two things.
    """
    ended = [run for run in runs if run.state == State.finished]
    if not ended:
        raise UserError(f"of {counted(len(runs), 'runs')} none has finished: there is nothing to report yet")
    return _Reader(ended, asked, len(runs)).read()


class _Reader:
    def __init__(self, ended: Sequence[ProgramRun], asked: AskedRoles, of: int):
        self.ended, self.asked, self.of, self.said = ended, asked, of, list[str]()
        self.is_sorted = any(run.summary for run in ended)  # else settings and results stand in one table
        self.about = list(dict.fromkeys(key for run in ended for key in run.about))
        self.keys = list(dict.fromkeys(key for run in ended for key in (*run.config, *run.summary))) + self.about
        self.config = [key for key in self.keys if any(key in run.config for run in ended)]
        self.results = [key for key in self.keys if any(key in run.summary for run in ended)] if self.is_sorted else self.config

    def read(self) -> Roles:
        if len(self.ended) < self.of and (states := [key for key in self.about if words_of(key) & {"state", "status"}]):
            self.said.append(f"state: {states[0]}, by its name and words: {len(self.ended)} of {self.of} runs have finished")
        seed = self._one("seed", self.asked.seed, "--seed-key", self._seeds)
        metric = self._metric(seed)
        goal = self._goal(metric)
        time = self._time(metric)
        words = {key: word for key in self.config if (word := self._word_of_two(key))}
        self.said += [f"{key}: what is {word}, and the text {word}, are one level" for key, word in words.items()]
        factors, alike = self._factors({metric, seed, time} - {None}, seed)
        self._look_for_epochs(factors, seed, {metric, time})
        return Roles(metric=metric, goal=goal, seed=seed, time=time, factors=factors, alike=alike, guessed=tuple(self.said))

    def _one(self, what: str, key: str | None, option: str, guess: Callable[[], str | None]) -> str | None:
        if key == DO_WITHOUT:
            return None
        if key is not None:
            self._require(key, option)
            return key
        found = guess()
        if found:
            self.said.append(f"{what}: {found}, by its name ({option} names another, or none)")
        return found

    def _require(self, key: str, option: str) -> None:
        if key not in self.keys:
            there = [each for each in self.keys if option not in _OF_NUMBERS or self._numbers(each)]
            raise UserError(f"{option} {excerpt(key)}: no finished run has it{nearest(key, there)}; there are {some(there)}")

    def _no_number(self, option: str, key: str) -> UserError:
        there = [each for each in self.keys if self._numbers(each)]
        return UserError(f"{option} {excerpt(key)}: it is {excerpt(self._example(key))}, say, and no number; numbers are {some(there)}")

    # The metric.

    def _metric(self, seed: str | None) -> str:
        if (key := self.asked.metric) is not None:
            self._require(key, "--metric")
            if not self._numbers(key):
                raise self._no_number("--metric", key)
            return key
        numeric = [key for key in self.results if key != seed and self._numbers(key) and not _is_counter(key)]
        named = [key for key in self.results if key != seed and key not in numeric and _is_quality(key) and not _is_counter(key)]
        for split in _SPLITS:
            if torn := [key for key in named if _split_of(key) == split and self._are_some(key)]:
                fault = f"is a metric by its name, and is {excerpt(self._example(torn[0]))}, say, which is no number"
                raise UserError(f"{torn[0]} {fault}: mend it, or name another with --metric")
            found = [key for key in numeric if _is_quality(key) and _split_of(key) == split]
            if len(found) == 1:
                self.said.append(f"metric: {found[0]}, by its name (--metric names another)")
                return found[0]
            if found:
                raise UserError(f"the metric may be {' or '.join(_few(found))}: say which with --metric")
        others = [key for key in numeric if not _is_time(key)] if self.is_sorted else []
        if len(others) == 1:
            self.said.append(f"metric: {others[0]}, the only result that is a number (--metric names another)")
            return others[0]
        if named:
            texts = f"{named[0]}, which is one by its name, is {excerpt(self._example(named[0]))}, say, and no number"
            raise UserError(f"no key with numbers is a metric by its name: say which with --metric; {texts}")
        raise UserError(f"no key is a metric by its name: say which with --metric; numbers are in {some(numeric) or 'none'}")

    def _goal(self, metric: str) -> Goal:
        if self.asked.goal == "maximize":
            return "maximize"
        if self.asked.goal == "minimize":
            return "minimize"
        if self.asked.goal is not None:
            raise UserError(f"--goal {excerpt(self.asked.goal)}: give maximize or minimize")
        if (goal := _goal_of(metric)) is None:
            raise UserError(f"is more or less of {metric} better? say so with --goal maximize or --goal minimize")
        self.said.append(f"goal: {goal} {metric}, by its name (--goal says otherwise)")
        return goal

    # Seed and time.

    def _seeds(self) -> str | None:
        found = [key for key in self.config if _SEEDS.search(key) and len(self._levels(key)) > 1]
        if len({self._partition(key) for key in found}) > 1:
            raise UserError(f"the seed may be {' or '.join(_few(found))}: say which with --seed-key (none: neither)")
        return found[0] if found else None

    def _time(self, metric: str) -> str | None:
        if self.asked.time == CLOCK:
            return CLOCK
        found = self._one("time", self.asked.time, "--time-key", lambda: self._times(metric))
        if found and not self._numbers(found):
            raise self._no_number("--time-key", found)
        if found is None and self.asked.time is None and any(run.seconds is not None for run in self.ended):
            self.said.append("time: the runtime that stands beside the runs (--time-key names a result, or none)")
            return CLOCK
        return found

    def _times(self, metric: str) -> str | None:
        found = [key for key in self.results if key != metric and _is_time(key) and self._numbers(key) and not key.startswith("_")]
        if len(found) > 1:
            raise UserError(f"the time of a run may be {' or '.join(_few(found))}: say which with --time-key (none: neither)")
        return found[0] if found else None

    # Settings.

    def _factors(self, taken: set[str | None], seed: str | None) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        differing = [key for key in self.config if key not in taken and len(self._levels(key)) > 1]
        if self.asked.group_by is not None:
            for key in self.asked.group_by:
                self._require(key, "--group-by")
                if key in taken:
                    raise UserError(f"--group-by {excerpt(key)}: it is the metric, the seed or the time already")
            guessed = self._guessed(differing, strict=False)
            guessed += self._naming(guessed, taken, seed, strict=False)
            guessed += [key for key in differing if key not in guessed and self._numbers_rows(key, self.asked.group_by)]
            if pooled := [key for key in guessed if key not in self.asked.group_by]:
                self.said.append(f"pooled over, since --group-by does not name them: {some(pooled)}")
            return self.asked.group_by, {}
        settings = self._guessed(differing, strict=True)
        factors, alike = self._leading([*settings, *self._naming(settings, taken, seed, strict=True)])
        counted = [f"{key} ({len(self._levels(key))} levels)" for key in factors]
        self.said.append(f"settings: {some(counted)} (--group-by names others)" if factors else "settings: none differs among the runs")
        self.said += [f"{' and '.join(_few(others))} {'goes' if len(others) == 1 else 'go'} with {key}" for key, others in alike.items()]
        return factors, alike

    def _guessed(self, keys: Iterable[str], strict: bool) -> list[str]:
        """Those that are settings. With `strict`, one that may be a result raises UserError, and what is left out is said."""
        kept, left_out, unclear = list[str](), list[str](), list[str]()
        for key in keys:
            if self._is_identity(key) or _SEEDS.search(key):
                left_out.append(key)
            elif self.is_sorted or not self._numbers(key):
                kept.append(key)
            elif _is_counter(key) or _is_time(key):
                continue
            elif _is_quality(key):
                unclear += [key] * self._repeats(key)
            elif self._is_drawn(key) and not words_of(key) & _SETTINGS:
                unclear.append(key)
            else:
                kept.append(key)
        if strict and unclear:
            raise UserError(
                f"{' and '.join(_few(unclear))} may be settings or results: name the settings with --group-by, such as {some(kept)}"
            )
        if strict:
            self._leave_out("they tell runs apart and nothing else", left_out)
        return kept

    def _look_for_epochs(self, factors: Sequence[str], seed: str | None, taken: Collection[str | None]) -> None:
        """Raises UserError where the rows of a table seem to be the epochs of its runs, or a setting seems to number them: what is left out
        of the settings differs between rows that have all else in common. Of durations any two runs differ in, those that repeat."""
        if self.is_sorted or self.asked.group_by is not None:
            return
        kept, rows = [*factors, *filter(None, [seed])], "one arm and seed" if seed else "one arm"
        for key in self.config:
            if key in taken or key in kept:
                continue
            if self._numbers_rows(key, kept):
                such = f"--group-by {','.join([*factors, key])}"
                mend = f"keep the row of the last {key} of each run, or, where it is a setting, name it with the others ({such})"
                raise UserError(f"{key} differs between rows of {rows}, and a run is one row: {mend}")
            if seed and _is_time(key) and self._numbers(key) and self._repeats(key) and self._parts([*kept, key]) > self._parts(kept):
                raise UserError(f"{key} may be a setting or a result: name the settings with --group-by, such as {some([*factors, key])}")

    def _numbers_rows(self, key: str, kept: Sequence[str]) -> bool:
        """Whether it is a counter of a table that differs between rows which have these keys in common."""
        return not self.is_sorted and _counts_rows(key) and self._numbers(key) and self._parts([*kept, key]) > self._parts(kept)

    def _leave_out(self, why: str, keys: Sequence[str]) -> None:
        if keys:
            self.said.append(f"no settings, since {why}: {some(keys)}")

    def _naming(self, settings: Sequence[str], taken: Collection[str | None], seed: str | None, strict: bool) -> list[str]:
        """What a table calls runs, or groups of them, that names arms. With `strict`, one that may name either raises UserError, and what
        is left out is said."""
        found, left_out = list[str](), dict[str, list[str]]()
        for key in self.about:
            if key not in taken and len(self._levels(key)) > 1:
                why = self._names_no_arm(key, [*settings, *found], seed)
                (found if why is None else left_out.setdefault(why, [])).append(key)
        unclear = left_out.pop(_EITHER, [])
        left_out.pop(_OWN, None)
        if strict and unclear:
            such = some(settings or unclear)
            raise UserError(f"{' and '.join(_few(unclear))} may name arms or runs: name the settings with --group-by, such as {such}")
        for why, keys in left_out.items() if strict else ():
            self._leave_out(why, keys)
        return found

    def _names_no_arm(self, key: str, settings: Sequence[str], seed: str | None) -> str | None:
        """Why a column makes no arms beside these settings; None where it does: its values repeat, and nothing else tells as much."""
        repeats, shared = self._repeats(key), [each for each in settings if not self._is_each(each)]  # a search draws one for each run
        others = shared if repeats else settings
        if "id" in words_of(key) or not words_of(key) & _NAMING or key.startswith(_OF_MLFLOW):
            return "they tell who ran it and where (--group-by takes them)" if repeats else _OWN
        if self._is_each(key) and key not in _OF_REGLAB:
            return "they tell runs apart and nothing else"
        if self._parts([*others, key]) == self._parts(others):
            return "others tell as much"
        if seed and not self._is_each(seed) and self._partition(key) == self._partition(seed):
            return f"they differ as {excerpt(seed)} does"
        if self._counts(key) and shared and self._parts([*shared, key]) == len(self.ended):
            return "they number the runs of each arm"
        is_of_all = all(setting(run, key) is not None for run in self.ended)  # else it may be a remark on some of them
        return None if (repeats and is_of_all) or key in _OF_REGLAB else _EITHER

    def _is_each(self, key: str) -> bool:
        """Whether it is another one in each run."""
        return len(self._levels(key)) == len(self.ended)

    def _word_of_two(self, key: str) -> str | None:
        """The word, such as `none` or `true`, that is a text in some runs, and in others what it says."""
        there = [setting(run, key) for run in self.ended]
        words = {written(level) for level in there if level is None or isinstance(level, bool)}
        return next((level for level in there if isinstance(level, str) and level in words), None)

    def _parts(self, keys: Sequence[str]) -> int:
        """How many arms some settings make."""
        return len(set(zip(*map(self._partition, keys), strict=True))) if keys else 1

    def _counts(self, key: str) -> bool:
        return all(isinstance(value := setting(run, key), int) and not isinstance(value, bool) for run in self.ended)

    def _leading(self, keys: Sequence[str]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        """One key for each way to part the runs, and the keys that part them likewise."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for key in keys:
            partition = self._partition(key)  # what a search draws has a say of its own
            groups.setdefault((*partition, -len(groups) - 1) if self._is_each(key) else partition, []).append(key)
        return tuple(first for first, *_ in groups.values()), {first: tuple(others) for first, *others in groups.values() if others}

    def _is_identity(self, key: str) -> bool:
        """Whether its values are names of runs: another one in each, under a name for such."""
        return len(self.ended) > 2 and self._is_each(key) and bool(words_of(key) & _IDENTITIES)

    def _is_drawn(self, key: str) -> bool:
        levels = self._levels(key)
        return len(levels) > 3 and len(levels) > 0.6 * len(self.ended)

    def _repeats(self, key: str) -> bool:
        return len(self.ended) > 3 and len(self._levels(key)) <= len(self.ended) / 2

    def _levels(self, key: str) -> set[str]:
        return {written(setting(run, key)) for run in self.ended}

    def _partition(self, key: str) -> tuple[int, ...]:
        places: dict[str, int] = {}
        return tuple(places.setdefault(written(setting(run, key)), len(places)) for run in self.ended)

    def _numbers(self, key: str) -> bool:
        """Whether there are numbers under it, and texts only that stand for none."""
        texts = {value for run in self.ended if isinstance(value := result(run, key), str)} - {"NaN", "Infinity", "-Infinity", ""}
        return not texts and self._are_some(key)

    def _are_some(self, key: str) -> bool:
        """Whether there are numbers under it."""
        return any(number(result(run, key)) is not None for run in self.ended)

    def _example(self, key: str) -> Value:
        return next((value for run in self.ended if number(value := result(run, key)) is None and value is not None), None)


def _split_of(key: str) -> frozenset[str]:
    return next((split for split in _SPLITS if split & words_of(key)), frozenset())


_SHOWN = 12
"""Keys in a line; the rest is counted."""


def _few(keys: Sequence[str]) -> Sequence[str]:
    return [*map(excerpt, keys[:4]), *([f"{len(keys) - 4} more"] if len(keys) > 4 else [])]


def some(keys: Sequence[str]) -> str:
    """Return them in a line, of very many the first."""
    rest = len(keys) - _SHOWN
    return ", ".join(map(excerpt, keys[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
