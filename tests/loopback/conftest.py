"""`wandb_server`: a W&B server of the test's own, which the environment points at."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.server import Server

PATIENCE_SECONDS = 30.0


def _forget_client() -> None:
    """W&B's client keeps the first settings it saw, and a process of its own: end both.

    That process was once seen not to end when it was told to, and the client waits for it without a limit.
    """
    if "wandb" not in sys.modules:
        return
    client = sys.modules["wandb"].sdk.wandb_setup._singleton
    service = client and client._connection and client._connection._proc
    late = threading.Timer(PATIENCE_SECONDS, service._process.kill) if service else None
    if late:
        late.start()
    sys.modules["wandb"].teardown()
    if late:
        late.cancel()


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own; the client, here and in child processes, talks to it and writes under `tmp_path`."""
    with Server() as server:
        for name, value in server.environment(tmp_path / "wandb").items():
            monkeypatch.setenv(name, value)
        _forget_client()
        yield server
        _forget_client()
