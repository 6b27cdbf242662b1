"""Adaptive gradient clipping (Brock et al. 2021)."""
