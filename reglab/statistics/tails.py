"""Tails and quantiles of the distributions that verdicts rest on, from scipy's special functions: `scipy.stats`, which has them too, takes
most of a second to import, and every command that reads runs would wait for it.

Arguments are numbers or arrays, and so is what comes back. Nothing is raised: outside of its range a function gives NaN.
"""

from typing import Any

from scipy.special import betaincinv, fdtrc, gammaincinv, ndtri, stdtr, stdtrit


def t_sf(statistic: Any, freedom: Any) -> Any:
    """The probability that Student's t with so many degrees of freedom lies above a value."""
    return stdtr(freedom, -statistic)


def t_isf(probability: Any, freedom: Any) -> Any:
    """The value above which Student's t lies with this probability."""
    return -stdtrit(freedom, probability)


def f_sf(statistic: Any, above: Any, below: Any) -> Any:
    """The probability that Fisher's F lies above a value; the degrees of freedom are those of its numerator and of its denominator."""
    return fdtrc(above, below, statistic)


def beta_ppf(probability: Any, a: Any, b: Any) -> Any:
    """The value below which a beta variable lies with this probability."""
    return betaincinv(a, b, probability)


def chi2_ppf(probability: Any, freedom: Any) -> Any:
    """The value below which a chi-square variable lies with this probability."""
    return 2 * gammaincinv(freedom / 2, probability)


def normal_ppf(probability: Any) -> Any:
    """The value below which a standard normal variable lies with this probability."""
    return ndtri(probability)
