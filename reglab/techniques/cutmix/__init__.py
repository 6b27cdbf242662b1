"""CutMix (Yun et al. 2019)."""
