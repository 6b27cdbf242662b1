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


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client as it is when no server answers: it calls that a fault of the key. With a real one it takes 19 seconds to say so."""
    import wandb
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    def asks() -> None:
        try:
            raise WandbApiFailedError("the service process is busy and did not respond in time")
        except WandbApiFailedError as error:
            raise wandb.errors.AuthenticationError("Failed to verify credentials") from error

    monkeypatch.setattr(wandb, "Api", asks)
