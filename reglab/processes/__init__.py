"""Signals and what they mean, how workers are started, sockets and standard error: what lies under sweeps and runs, without torch."""
