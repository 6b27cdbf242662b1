"""What later looks are likely to say: of a question that is open, the p-values at looks to come, drawn from what its runs tell so far.

The predictive distribution of Spiegelhalter, Freedman and Blackburn (1986), "Monitoring clinical trials: conditional or predictive power?",
with the uncertainty of the spread as well: the variance and the difference are drawn from their posterior, then the runs to come from
these. Shapes: p-values are (draws, looks), two-sided as `Contrast.p_inside` and `p_outside` give them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reglab.statistics.contrast import Contrast
from reglab.statistics.moderation import Array
from reglab.statistics.tails import t_sf

DRAWS = 1000


def of_difference(
    found: Contrast, seeds: int, looks: Sequence[int], limits: tuple[float, float], draws: int = DRAWS, stream: int = 0
) -> tuple[Array, Array]:
    """P-values of a difference (or a mean) lying outside of some limits, and of its lying inside, at later looks.

    `found` is what a look at `seeds` seeds saw; `looks` are numbers of seeds that rise from there. `stream` tells draws of several
    questions apart: the same numbers each time.
    """
    rng = np.random.default_rng(stream)
    mean, freedom, variance = float(found.mean), float(found.freedom), float(found.error) ** 2 * seeds  # of what one seed says
    true = freedom * variance / rng.chisquare(freedom, draws)
    centre = mean + np.sqrt(true / seeds) * rng.standard_normal(draws)
    total, squares, before, known = np.full(draws, seeds * mean), np.full(draws, freedom * variance), seeds, freedom
    holding, failing = [], []
    for look in looks:
        total = total + (look - before) * centre + np.sqrt((look - before) * true) * rng.standard_normal(draws)
        more = freedom * (look - before) / max(seeds - 1, 1)
        squares = squares + true * rng.chisquare(more, draws)
        before, known = look, known + more
        error, at = np.sqrt(squares / known / look), total / look
        holding.append(_doubled(np.minimum(at - limits[0], limits[1] - at), error, known))
        failing.append(_doubled(np.maximum(limits[0] - at, at - limits[1]), error, known))
    return np.stack(holding, axis=-1), np.stack(failing, axis=-1)


def _doubled(away: Array, error: Array, freedom: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(error > 0, np.minimum(1.0, 2 * t_sf(away / error, freedom)), np.where(away > 0, 0.0, 1.0))
    return found


PValues = Callable[[float, float], tuple[float, float]]
"""Of so many cases of so many being so: that their share is as is claimed, and that it is not."""


def of_new_cases(
    share: float, known: float, later: Sequence[float], p_values: PValues, draws: int = DRAWS, stream: int = 0
) -> tuple[Array, Array]:
    """The same of a share that is known as by so many independent cases, where it will be by `later` of them at each look.

    Those that are there stay as they are, and new ones come to them, of which the share is drawn from its posterior (Jeffreys' prior).
    """
    rng = np.random.default_rng(stream)
    there = share * known
    truth = rng.beta(there + 0.5, known - there + 0.5, draws)
    counts, before = np.full(draws, there), 0
    found = []
    for cases in later:
        new = round(cases - known)
        counts = counts + rng.binomial(new - before, truth)
        before = new
        found.append(counts)
    return _by_counts(found, later, p_values)


def of_means(
    cases: Sequence[Array], best: int, looks: Sequence[int], p_values: PValues, draws: int = DRAWS, stream: int = 0
) -> tuple[Array, Array]:
    """The same of the share of cases in which one of some means is the largest, where more seeds move the means, and bring no new cases.

    `cases` are (levels, seeds) each, of which the row `best` is asked about. The spread between seeds is that of all cases, and a mean is
    drawn from its posterior.
    """
    rng = np.random.default_rng(stream)
    squares = [float(case.var(axis=-1, ddof=1).mean()) for case in cases if case.shape[-1] > 1]
    spread = float(np.sqrt(np.mean(squares))) if squares else 0.0
    counts = np.zeros((len(looks), draws), dtype=int)
    for case in cases:
        seeds = case.shape[-1]
        truth = case.mean(axis=-1)[:, None] + spread / np.sqrt(seeds) * rng.standard_normal((len(case), draws))
        total, before = np.repeat(case.sum(axis=-1)[:, None], draws, axis=1), seeds
        for place, look in enumerate(looks):
            more = max(look - before, 0)
            total = total + more * truth + np.sqrt(more) * spread * rng.standard_normal(truth.shape)
            before = max(look, before)
            counts[place] += total.argmax(axis=0) == best
    return _by_counts(list(counts), [len(cases)] * len(looks), p_values)


def _by_counts(counts: Sequence[NDArray[Any]], of: Sequence[float], p_values: PValues) -> tuple[Array, Array]:
    found = []
    for so, cases in zip(counts, of, strict=True):
        each, places = np.unique(so, return_inverse=True)
        found.append(np.array([p_values(float(count), cases) for count in each])[places])
    both = np.stack(found, axis=1)
    return both[..., 0], both[..., 1]
