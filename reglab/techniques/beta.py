"""Of which Beta distributions shares can be drawn (`shares.py` draws them, and imports torch)."""

from collections.abc import Callable

LEAST = 0.01
"""The least alpha above 0. Of smaller ones both gamma draws often are too small for a float, and their share comes out as one half."""


def drawable(key: str) -> Callable[[float], float]:
    """Look at an alpha, the value of `key`: it is 0, for none, or large enough. Raises ValueError for any between."""

    def look(alpha: float) -> float:
        if 0 < alpha < LEAST:
            raise ValueError(f"{key} = {alpha:g}: must be 0, for none, or at least {LEAST}: shares of a smaller one cannot be drawn")
        return alpha

    return look
