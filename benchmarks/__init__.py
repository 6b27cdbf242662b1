"""Measured ratios, one file each, against a named peer. Each prints a table and JSON; none is a test."""
