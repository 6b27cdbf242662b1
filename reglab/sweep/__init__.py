"""Sweeps: their files, their search, and the runs they ask for. Nothing here imports torch: it steers, it does not train."""
