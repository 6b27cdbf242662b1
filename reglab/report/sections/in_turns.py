"""What an epoch takes of arms that took turns, on one machine at one time: `reglab study time`."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reglab.report import charts, stats
from reglab.report.charts.effects import Effect
from reglab.report.claims.evidence import Evidence
from reglab.report.comparisons.parts import LEVEL, Part
from reglab.report.comparisons.seen import OfMeans
from reglab.report.sections.extra import Extra
from reglab.report.studies.cells import Cell, told_apart
from reglab.report.studies.columns import Condition, written
from reglab.report.studies.measures import TRAIN_SECONDS
from reglab.report.studies.study import Study
from reglab.report.writing.numbers import NONE, counted, plain
from reglab.tracking.record import RunRecord

STEM = "epoch_seconds"
FIGURE = "training_time"


def extra(study: Study) -> Extra | None:
    """The section on all arms that took turns; None where none did. Beside its seconds stands how many times that of the plain arm its
    training takes, or that of the first where the plain one took none; both of the first session that an arm took quiet turns in."""
    arms = [arm for arm in study.timed_cells if _turns(arm)]
    if not arms:
        return None
    base = next((arm for arm in arms if arm.treatment and not study.departures[arm.treatment]), arms[0])
    ratios = {arm.identity: _ratio(study, arm, base) for arm in arms}
    there = {cell.identity for cell in study.cells}
    drawn = told_apart(
        [arm for arm in arms if ratios[arm.identity] or arm is base], study.design
    )  # what all of these have is not said again
    effects = [
        Effect(arm.label, _part(arm, base, ratio), False, arm.identity if arm.identity in there else "")
        for arm in drawn
        if (ratio := ratios[arm.identity])
    ]
    turns = [turn for arm in arms for turn in _turns(arm)]
    machines = list(dict.fromkeys(where for turn in turns if (where := stats.place(turn))))
    images = " and ".join(dict.fromkeys(turn.environment.data for turn in turns if turn.environment))
    rounds = max(len(_turns(arm)) for arm in arms)
    said = f"{images}, {counted(rounds, 'rounds')} on {' / '.join(stats.short_machines(machines).values())}, with 95 % intervals"
    figure = (
        FIGURE,
        f"Training time, as many times that of {base.label}",
        f"Each arm's training time over that of {base.label}: the estimate with its 95 % interval, and every round.",
        lambda title, _: charts.effects.draw(effects, title, said),
    )
    return Extra(
        STEM,
        "What does an epoch take?",
        "Arms took turns, an epoch each in a round: the seconds of one over all training images, and how many times that of "
        f"{base.label} the training takes. Claims on training time are decided by these, and not by whole runs, beside which others "
        "may have run.",
        pd.DataFrame([_row(arm, ratios[arm.identity], base) for arm in arms]),
        arms,
        [figure] if effects else [],
        [f"On {machine}." for machine in machines] + _compared(arms, ratios, base) + _left_out(study, turns),
        numbers=pd.DataFrame([_numbers(arm, ratios[arm.identity], base) for arm in arms]),
    )


def _turns(arm: Cell) -> list[RunRecord]:
    """The quiet turns of an arm in the first session in which it took some."""
    quiet = [turn for turn in arm.records if stats.is_quiet(turn)]
    first = min((turn.created for turn in quiet), default=None)
    return [turn for turn in quiet if turn.created == first]


def _compared(arms: Sequence[Cell], ratios: Mapping[str, OfMeans | None], base: Cell) -> list[str]:
    """What of the seconds compares with what, where not all of it does."""
    sessions = len({_turns(arm)[0].created for arm in arms})
    without = sum(not ratios[arm.identity] for arm in arms if arm is not base)
    said = [f"Seconds are of the first session that an arm took turns in, one of {sessions}; a ratio is within one."] * (sessions > 1)
    arms_took = "1 arm took" if without == 1 else f"{without} arms took"
    return said + [f"{arms_took} no turns in a session of {base.label}, and no ratio to it is told."] * (without > 0)


def _left_out(study: Study, turns: Sequence[RunRecord]) -> list[str]:
    shared = sum(not stats.is_quiet(turn) for turn in study.turns)
    later = len(study.turns) - len(turns) - shared
    said = [f"Left out: {counted(shared, 'turns')} that shared their cores with others."] * (shared > 0)
    return said + [f"Beside them in turns.jsonl: {counted(later, 'turns')} of later sessions."] * (later > 0)


def _ratio(study: Study, arm: Cell, base: Cell) -> OfMeans | None:
    """Of an arm's training time over that of another, by the rounds that both have on one machine; none of an arm with itself."""
    if arm is base or arm.treatment is None or base.treatment is None:
        return None
    one, other = (_condition(study, cell) for cell in (arm, base))
    return Evidence(study, None).difference(TRAIN_SECONDS, one, other)


def _condition(study: Study, cell: Cell) -> Condition:
    assert cell.treatment
    return {name: (written(cell.treatment[name]),) for name in study.design.names}


def _part(arm: Cell, base: Cell, ratio: OfMeans) -> Part:
    low, high = ratio.interval(LEVEL) or (None, None)
    return Part(f"{arm.label} against {base.label}", ratio.unit, ratio.estimate, low, high, ratio.n, None, each=ratio.each, over=ratio.over)


def _seconds(turns: Sequence[RunRecord]) -> list[float]:
    """Of an epoch, round by round."""
    return [turn.summary.time_train_seconds / turn.summary.epochs for turn in turns if turn.summary]


def _row(arm: Cell, ratio: OfMeans | None, base: Cell) -> dict[str, str]:
    seconds = _seconds(_turns(arm))
    places = 1 if min(seconds) >= 10 else 2
    part = _part(arm, base, ratio) if ratio else None
    return {
        "model": arm.label,
        "rounds": str(len(seconds)),
        "s an epoch": plain(statistics.median(seconds), places),
        "from": plain(min(seconds), places),
        "to": plain(max(seconds), places),
        f"training, times {base.label}": part.amount() if part else NONE,
        "95 % interval": part.range_in_words() if part else NONE,
    }


def _numbers(arm: Cell, ratio: OfMeans | None, base: Cell) -> dict[str, Any]:
    """The same for programs."""
    seconds, part = _seconds(_turns(arm)), _part(arm, base, ratio) if ratio else None
    return {
        "model": arm.label,
        "identity": arm.identity,
        "rounds": len(seconds),
        "epoch_seconds": statistics.median(seconds),
        "epoch_seconds_least": min(seconds),
        "epoch_seconds_most": max(seconds),
        "against": base.label if part else None,
        "ratio": part.estimate if part else None,
        "ratio_low": part.low if part else None,
        "ratio_high": part.high if part else None,
    }
