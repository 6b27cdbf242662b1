"""Many questions at once: what may be said of each so that all verdicts together err as seldom as one."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Decisions = NDArray[np.bool_]
Places = NDArray[np.int_]


def share_of(question: int) -> float:
    """Of alpha, for a question in a family without end: 1/2, 1/6, 1/12, … sum to 1 (alpha spending; Foster and Stine 2008, section 2)."""
    return 1 / (question * (question + 1))


def decided(deciding: Callable[[float], Decisions], claims: int, alpha: float) -> tuple[Places, Places]:
    """At which look each of some claims is decided so that all of them together err with a probability of `alpha` at most.

    `deciding` tells of every claim whether it is decided at each of the looks so far, in their order, where it may err by so much over all
    of its looks: (…, looks, claims). What is decided at a level is so at all larger ones. Gives the place of the look, or -1 of what is
    open, and how many claims were decided before it (of what is open, as many as are): both (…, claims). Holm's (1979) steps with alpha
    spent over looks: what a claim that is decided had of alpha goes to those that are open, from that look on (Maurer and Bretz 2013). A
    claim that nothing is known of is decided at no look, and counts as one of all.
    """
    tables = [deciding(alpha / claims)]  # by how many are decided
    *studies, looks, _ = tables[0].shape
    found, before = np.full((*studies, claims), -1), np.zeros((*studies, claims), dtype=int)
    for place in range(looks):
        for _ in range(claims):  # each decision may bring another
            gone = (found >= 0).sum(axis=-1)
            while len(tables) <= min(int(gone.max()), claims - 1):
                tables.append(deciding(alpha / (claims - len(tables))))
            left = np.broadcast_to(np.minimum(gone, claims - 1)[..., None], found.shape)
            at = np.stack([table[..., place, :] for table in tables])
            new = (found < 0) & np.take_along_axis(at, left[None], axis=0)[0]
            if not new.any():
                break
            found, before = np.where(new, place, found), np.where(new, left, before)
    open_still = np.minimum((found >= 0).sum(axis=-1, keepdims=True), claims - 1)
    return found, np.where(found < 0, open_still, before)
