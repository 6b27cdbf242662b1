"""Cutout as the study uses it (after DeVries and Taylor 2017)."""
