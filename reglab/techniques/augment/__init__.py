"""The study's simple transformations."""
