"""Sections of a report beside the questions of its study."""
