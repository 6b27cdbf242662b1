"""Comparisons of arms: their two sides, what these come to, and what that tells of a range."""
