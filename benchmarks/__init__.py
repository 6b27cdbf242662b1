"""Measured ratios, one file each, against a named peer. Each prints a table and JSON; none is a test.

Every file has `measure(overrides, rounds)`, which yields its outcomes; `reglab bench` runs it by the file's name.
"""

QUICK = ("agc", "batches", "epoch", "overhead", "bounds", "kernels", "startup")
"""Some minutes in all on two CPU cores."""

NAMES = (*QUICK, "growth", "between_runs", "reading_back", "search", "verdicts", "settling", "page")
