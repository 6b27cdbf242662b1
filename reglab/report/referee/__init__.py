"""`reglab judge`: a question about runs, its answer, and the ledger that keeps the error over all questions together at its level."""
