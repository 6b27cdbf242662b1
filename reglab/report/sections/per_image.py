"""What the answers to single test images tell of arms: how much of the spread between seeds is the test set's, and who is right where."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reglab.errors import UserError
from reglab.report.sections.extra import Extra
from reglab.report.stats import counts
from reglab.report.studies.cells import Cell
from reglab.report.studies.study import Study
from reglab.report.writing import numbers
from reglab.report.writing.numbers import NONE, plain
from reglab.statistics import per_image as statistics
from reglab.statistics.per_image import Answers, ShareOfImages, Spread
from reglab.tracking.record import RunRecord

STEM = "per_image"
"""Of the section and its files."""


def answers(records: Sequence[RunRecord]) -> Answers:
    """Return which images each run gets right, (runs, images). Raises UserError where they are not answers to the same images."""
    first: RunRecord | None = None
    found = []
    for record in records:
        if (mine := record.per_image) is None:
            raise UserError(f"{record.run_id} does not tell which images it gets right: an earlier version of reglab trained it")
        first = first or record
        if (its := _set_of(first)) != (mine.images, mine.count):
            fault = f"{first.run_id} and {record.run_id} were tested on other images, of fingerprints {its[0]} and {mine.images}"
            raise UserError(f"{fault}: right and wrong are compared on the same ones only")
        found.append(mine.bits())
    return np.stack(found)


def _set_of(record: RunRecord) -> tuple[str, int]:
    return (record.per_image.images, record.per_image.count) if record.per_image else ("", 0)


# Two settings.


@dataclass(frozen=True)
class OnTheSameImages:
    """Of two settings the shares of `images` test images that only one gets right, over pairs of runs.

    `seeds`: what two runs of one setting differ by in the same way, either way; None where no arm has two.
    """

    only_a: ShareOfImages
    only_b: ShareOfImages
    seeds: float | None

    @property
    def images(self) -> int:
        """How many there are."""
        return self.only_a.images

    def said(self, a: str, b: str) -> str:
        """In a sentence, under the names of the settings."""
        found = f"of the same {self.images:,} images, only {a} gets {share(self.only_a)} % right, only {b} {share(self.only_b)} %"
        return found if self.seeds is None else f"{found}; two seeds of one arm: {plain(100 * self.seeds, 1)} % either way"


def compared(cases: Iterable[Sequence[Mapping[int, RunRecord]]]) -> OnTheSameImages | None:
    """The two sides of each case, runs by their seeds; None where there is none, and where any of their runs tells no images.

    Raises UserError where they were tested on other images.
    """
    sides = [[list(by_seed.values()) for by_seed in case] for case in cases]
    records = [record for case in sides for runs in case for record in runs]
    if not records or any(record.per_image is None for record in records):
        return None
    answers(records)  # each case by itself may be of one set of images
    both = [(answers(mine), answers(its)) for mine, its in sides]
    seeds = statistics.between_seeds([arm for case in both for arm in case])
    return OnTheSameImages(statistics.only_right(both), statistics.only_right([(its, mine) for mine, its in both]), seeds)


# A report.


def extra(study: Study, cells: Sequence[Cell], baseline: Cell | None) -> Extra | None:
    """The section on some arms, against the baseline, else the best of them; None where no two of the study's runs tell anything.

    The spread between seeds is that of all arms of the study.
    """
    import pandas as pd

    told = Counter(_set_of(record) for record in study.records if counts(record) and record.per_image)
    if not told:
        return None
    images = told.most_common(1)[0][0]
    arms = {cell.identity: runs for cell in cells if (runs := _runs(cell.records, images))}
    spread = statistics.spread([answers(runs) for cell in study.cells if (runs := _runs(cell.records, images))])
    shown = [cell for cell in cells if cell.identity in arms]
    against = baseline if baseline in shown else max(shown, key=_accuracy, default=None)
    if against is None or (spread is None and len(shown) < 2):
        return None
    there = {identity: answers(runs) for identity, runs in arms.items()}
    rows = [_row(cell, there[cell.identity], against, there[against.identity]) for cell in shown]
    return Extra(
        STEM,
        "Which test images does each arm get right?",
        f"Every run tells which of the {images[1]:,} test images it gets right. Each arm is compared with {against.label} on the same "
        "images, over all pairs of their runs: the share that only one of the two gets right. Two seeds of one arm disagree as well, by "
        "chance alone: the last column is the share that one of them gets right and another wrong, one way, as each of the two before it.",
        pd.DataFrame(rows),
        shown,
        [],
        [*([_said(spread)] if spread else []), *_left_out(study, images)],
        arms=[cell.identity for cell in shown],
    )


def _runs(records: Sequence[RunRecord], images: tuple[str, int]) -> list[RunRecord]:
    return [record for record in records if counts(record) and _set_of(record) == images]


def _accuracy(cell: Cell) -> float:
    return cell.test_accuracy.mean if cell.test_accuracy else 0.0


def _row(cell: Cell, mine: Answers, against: Cell, its: Answers) -> dict[str, str]:
    spread = statistics.spread([mine])
    row = {
        "model": cell.label,
        "runs": str(len(mine)),
        "seeds differ by, points": _deviation(spread.seen) if spread else NONE,
        "by chance": _deviation(spread.by_chance) if spread else NONE,
    }
    # What held images out saw fewer of them: nothing to compare with.
    alike = cell is not against and cell.held_out == against.held_out
    row["only it is right, %"] = share(statistics.only_right([(mine, its)])) if alike else NONE
    row["only the other is right, %"] = share(statistics.only_right([(its, mine)])) if alike else NONE
    seeds = statistics.between_seeds([mine])
    return row | {"two of its seeds, %": NONE if seeds is None else plain(100 * seeds, 1)}


def share(found: ShareOfImages) -> str:
    """In per cent, with its interval where it has one: `3.1 (2.2 to 4.3)`."""
    if (interval := found.interval()) is None:
        return numbers.told(100 * found.share, None, None, 1)
    return numbers.told(100 * found.share, 100 * interval[0], 100 * interval[1], found.images)


def _deviation(variance: float) -> str:
    return plain(100 * math.sqrt(variance), 2)


def _said(spread: Spread) -> str:
    """What of the spread between seeds is the test set's, in a line."""
    seen = (
        f"{_deviation(spread.seen)} points by which seeds of one arm differ (standard deviation, {spread.freedom:.0f} degrees of freedom)"
    )
    chance = f"a test set of {spread.images:,} images"
    low, high = map(_deviation, spread.interval())
    drawn = "on all images that could be drawn, seeds would differ by"
    if spread.left <= 0:
        by_chance = f"no more than {chance} shows by chance, {_deviation(spread.by_chance)} (Jordan 2023)"
        return f"The {seen} are {by_chance}: {drawn} {high} at most."
    by_chance = f"{_deviation(spread.by_chance)} are what {chance} shows by chance (Jordan 2023)"
    return f"Of the {seen}, {by_chance}. Squares add: {drawn} {_deviation(spread.left)} ({low} to {high})."


def _left_out(study: Study, images: tuple[str, int]) -> list[str]:
    """In a line each, the finished runs that tell no images, and those of others."""
    ended = [record for record in study.records if counts(record)]
    without = sum(record.per_image is None for record in ended)
    others = [record for record in ended if record.per_image and _set_of(record) != images]
    said = []
    if without:
        said.append(f"{without} of {len(ended)} runs do not tell which images they get right, and are not in it.")
    if others:
        sets = ", ".join(sorted({_set_of(record)[0] for record in others}))
        tested = f"{len(others)} of {len(ended)} runs were tested on other images ({sets}, not {images[0]})"
        said.append(f"{tested}, and are not compared with these.")
    return said
