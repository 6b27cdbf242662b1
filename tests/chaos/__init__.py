"""Faults on purpose: processes that are killed, disks and a W&B server that fail, while real runs go on. Nothing may be lost.

`make chaos` takes a minute or two, `make chaos-long` tries every moment. `docs/faults.md` has what was tried and what was lost.
"""
