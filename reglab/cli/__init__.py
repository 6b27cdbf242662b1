"""The commands, one file a group. What takes long to import (torch, W&B, pydantic) is imported inside the command that needs them."""
