"""The statistics of verdicts: pure functions of numbers and arrays, each with its source, its shapes and its units."""
