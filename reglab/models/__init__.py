"""Networks, built from a configuration."""
