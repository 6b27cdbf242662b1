"""The commands, one file a group. Modules that import torch or W&B are imported inside the command that needs them."""
