"""Regularization studies as Weights & Biases sweeps."""

__version__ = "0.1.0"
