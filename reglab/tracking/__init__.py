"""What a run leaves behind: one schema, kept locally for every run and logged to Weights & Biases."""
