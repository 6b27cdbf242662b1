"""Networks, built from a configuration: `build` gives what the rest works with, and nothing outside names one."""

from reglab.models.network import Network, build

__all__ = ["Network", "build"]
