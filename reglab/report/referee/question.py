"""What `reglab judge` is asked: `arm=a > arm=b in test/accuracy by 0.5`, read, and in which unit its numbers are."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from reglab.errors import UserError, excerpt
from reglab.report.programs.roles import each_word, words_of
from reglab.report.studies.measures import POINTS, is_time

EXAMPLE = "arm=a > arm=b in test/accuracy by 0.5"

_FORM = re.compile(r"(?P<one>.+?) (?P<sign>[<>=]) (?P<other>.+?) in (?P<metric>\S.*?)(?: (?P<word>by|within) (?P<margin>.+))?")
_PERCENT = "percent"
_MARGIN = re.compile(r"(?P<number>(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)\s*(?P<unit>\S.*)?", re.IGNORECASE)


@dataclass(frozen=True)
class JudgedQuestion:
    """Whether `one` has more (`>`) or less (`<`) than `other` in `metric`, by more than `margin`; with `=`, whether they are within it.

    `in_points`: whether the margin is said to be one of points. Times are compared by their ratio: there it is a share of the time of
    `other`, `in_percent`.
    """

    one: str
    sign: str
    other: str
    metric: str
    margin: float
    in_points: bool = False
    in_percent: bool = False

    @classmethod
    def read(cls, text: str) -> "JudgedQuestion":
        """Raises UserError for what is none, and for a margin that could be two things."""
        words = " ".join(text.split())
        if len(re.findall(r" [<>=] ", words)) != 1 or not (found := _FORM.fullmatch(words)):
            raise UserError(f"{excerpt(text)}: ask as in `{EXAMPLE}`, with one >, < or = between spaces")
        one, sign, other, metric, word, margin = found.group("one", "sign", "other", "metric", "word", "margin")
        if (sign == "=") != (word == "within"):
            raise UserError(f"{excerpt(text)}: alike is asked as `A = B in METRIC within 0.5`, more or less as `A > B in METRIC by 0.5`")
        number, unit = _margin(margin, is_time(metric)) if margin else (0.0, "")
        if sign == "=" and not number:
            raise UserError(f"{excerpt(text)}: no two arms are within 0 of each other; give what difference does not matter")
        return cls(one, sign, other, metric, number, unit == POINTS, unit == _PERCENT)

    @property
    def text(self) -> str:
        """As it was read."""
        margin = f"{100 * self.margin:.12g} %" if self.in_percent else f"{self.margin:g}{' points' if self.in_points else ''}"
        return f"{self.one} {self.sign} {self.other} in {self.metric}" + (
            f" {'within' if self.sign == '=' else 'by'} {margin}" if self.margin else ""
        )

    def claimed(self) -> tuple[float, float]:
        """The range in which the difference, `one` less `other`, is claimed to lie; of times that of their logarithms."""
        below, above = (math.log1p(-self.margin), math.log1p(self.margin)) if self.in_percent else (-self.margin, self.margin)
        if self.sign == "=":
            return below, above
        return (above, math.inf) if self.sign == ">" else (-math.inf, below)


def _margin(text: str, is_of_times: bool) -> tuple[float, str]:
    """The number, in percentage points, in per cent (a share), or in the unit of the metric."""
    found = _MARGIN.fullmatch(text)
    number = float(found["number"]) if found else math.nan
    if not found or not math.isfinite(number):
        raise UserError(f"by {excerpt(text)}: give a number of at least 0, such as 0.5")
    unit = (found["unit"] or "").lower()
    is_percent = unit in ("%", "percent", "per cent")
    if is_of_times:
        if number and not (is_percent and number < 100):
            raise UserError(f"by {excerpt(text)}: times are compared by their ratio, so give a part of the other's time, such as `by 10 %`")
        return number / 100, _PERCENT if number else ""
    if is_percent:
        raise UserError(_two_things(number))
    if unit not in ("", "points", "point"):
        raise UserError(f"by {excerpt(text)}: give the number alone, in the unit of the metric, or `points`")
    return number, POINTS if unit else ""


def _two_things(percent: float) -> str:
    return (
        f"by {percent:g} % may be {percent:g} points (from 80 to {80 + percent:g} %), or {percent:g} % of the value (from 80 to "
        f"{80 * (1 + percent / 100):g} %): write `{percent:g} points` for the former; for the latter, or where the metric is no "
        "share (seconds, a loss), the number in the metric's own unit"
    )


@dataclass(frozen=True)
class Unit:
    """`name` is `points` of per cent, `times` of a ratio, or empty for the metric's own; `scale` times a result is in it, of a ratio its
    logarithm. `said`: how it was found."""

    name: str
    scale: float = 1.0
    said: str = ""

    def told(self, value: float) -> float:
        """A difference as it is told."""
        return math.exp(min(value, 700)) if self.name == TIMES else value


TIMES = "times"
"""The unit of a ratio."""

UNITS = ("share", "percent", "own")
"""What a person may say: results from 0 to 1, from 0 to 100, or in a unit of their own."""

_SHARES = each_word("accuracy acc acc1 acc5 top1 top5 auc auroc auprc f1 iou miou map precision recall dice ndcg mrr")
_AMOUNTS = each_word("loss perplexity ppl rmse mse mae nll bpb bpc fid psnr logloss reward return elo seconds runtime")


def unit_of(question: JudgedQuestion, values: Sequence[float], given: str | None = None) -> Unit:
    """The unit of a metric of another program, by what a person says, else by its name and values.

    Raises UserError where what is said cannot be, and where the margin would mean two things.
    """
    low, high = min(values), max(values)
    lies = f"{question.metric} lies between {low:.6g} and {high:.6g}"
    if question.in_percent:  # its name is that of a time of reglab's runs
        raise UserError(_two_things(100 * question.margin))
    if given is not None:
        if given not in UNITS:
            raise UserError(f"--unit {excerpt(given)}: give {', '.join(UNITS[:-1])} or {UNITS[-1]}")
        most = {"share": 1, "percent": 100, "own": math.inf}[given]
        if given != "own" and not 0 <= low <= high <= most:
            raise UserError(f"--unit {given}: {lies}, and not between 0 and {most}")
        if given == "own" and question.in_points:
            raise UserError(f"by {question.margin:g} points: results in a unit of their own (--unit own) have none")
        return {"share": Unit(POINTS, 100.0), "percent": Unit(POINTS), "own": Unit("")}[given]
    parts = words_of(question.metric)
    if question.in_points or parts & _SHARES:
        if 0 <= low <= high <= 1:
            points = question.margin or 1
            example = f"{points:g} point{'s are' if points != 1 else ' is'} {points / 100:g} of it"
            return Unit(POINTS, 100.0, f"{lies}: taken as a share of 1, so that {example} (--unit says otherwise)")
        if 1 < low <= high <= 100:
            return Unit(POINTS, 1.0, f"{lies}: taken as per cent, from 0 to 100 (--unit says otherwise)")
        raise UserError(f"{lies}: is that from 0 to 1, from 0 to 100, or no share? say --unit share, percent or own")
    if question.margin and 0 <= low <= high <= 1 and not parts & _AMOUNTS:
        raise UserError(
            f"{lies}: by {question.margin:g} may be {question.margin:g} points ({question.margin / 100:g} of a share), or "
            f"{question.margin:g} in its own unit: say --unit share or --unit own"
        )
    return Unit("", 1.0, f"{lies}: taken in its own unit (--unit says otherwise)" if question.margin else "")
