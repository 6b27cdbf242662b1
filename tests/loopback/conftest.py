"""`wandb_server`: a W&B server of the test's own, which the environment points at."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.server import Server


def _forget_client() -> None:
    """W&B's client keeps the first settings it saw, and a process of its own: end both."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own; the client, here and in child processes, talks to it and writes under `tmp_path`."""
    with Server() as server:
        for name, value in server.environment(tmp_path / "wandb").items():
            monkeypatch.setenv(name, value)
        _forget_client()
        yield server
        _forget_client()
