"""Runs of any program: which key is what, their arms, and their report."""
