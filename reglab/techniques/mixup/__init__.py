"""Mixup (Zhang et al. 2018)."""
