"""Many questions at once: what may be said of each so that all verdicts together err as seldom as one."""

from collections.abc import Callable

import numpy as np

from reglab.statistics.moderation import Array


def share_of(question: int) -> float:
    """Of alpha, for a question in a family without end: 1/2, 1/6, 1/12, … sum to 1 (alpha spending; Foster and Stine 2008, section 2)."""
    return 1 / (question * (question + 1))


def decided(p_values: Array, alpha: float, levels_of: Callable[[float], Array]) -> Array:
    """At which look each of some claims is decided so that all of them together err with a probability of `alpha` at most.

    `p_values` (…, looks, claims) are two-sided ones at the looks so far, in their order; `levels_of` gives the level of each look,
    (looks, claims) or (looks, 1), of claims that may err by so much over all of their looks. Gives (…, claims): the place of the look, or
    -1 of what is open. Holm's (1979) steps with alpha spent over looks: what a claim that is decided had of alpha goes to those that are
    open, from that look on (Maurer and Bretz 2013). A p-value that is NaN decides nothing, and its claim counts as one of all.
    """
    *studies, looks, claims = p_values.shape
    tables = [np.broadcast_to(levels_of(alpha / claims), (looks, claims))]  # by how many are decided
    found = np.full((*studies, claims), -1)
    for place in range(looks):
        for _ in range(claims):  # each decision may bring another
            gone = (found >= 0).sum(axis=-1)
            while len(tables) <= min(int(gone.max()), claims - 1):
                tables.append(np.broadcast_to(levels_of(alpha / (claims - len(tables))), (looks, claims)))
            level = np.array(tables)[np.minimum(gone, claims - 1), place]
            new = (found < 0) & (p_values[..., place, :] < level)
            if not new.any():
                break
            found = np.where(new, place, found)
    return found
