"""Spending runs where a claim is open: which runs a study asks for next, and what it will take until its claims are settled."""
