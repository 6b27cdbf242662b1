"""What was read of a project is kept, and never so that another reader waits for W&B, or ends."""

import sqlite3
from contextlib import closing

import pytest

from reglab.tracking import wandb_cache
from reglab.tracking.wandb_api import Project

HERE = Project("loopback", "cache")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The database of a project of this test's own, where nobody waits for another."""
    monkeypatch.setattr(wandb_cache, "settings", lambda: type("Settings", (), {"cache": tmp_path}))
    connect = sqlite3.connect
    monkeypatch.setattr(wandb_cache.sqlite3, "connect", lambda path: connect(path, timeout=0.1))
    wandb_cache.opened(HERE).close()
    (path,) = (tmp_path / "wandb").glob("*.sqlite")
    return path


def kept(name):
    return wandb_cache.row({"name": name, "state": "finished", "heartbeatAt": "2026-01-02"}, None)


def names(cache):
    return [name for (name,) in cache.execute("SELECT name FROM runs ORDER BY name")]


def test_an_open_cache_locks_out_nobody(path, caplog):
    with closing(wandb_cache.opened(HERE)) as first, closing(wandb_cache.opened(HERE)) as later:
        wandb_cache.keep(first, [kept("a")])
        wandb_cache.keep(later, [kept("b")])
        assert names(first) == names(later) == ["a", "b"]
    assert not caplog.messages


def test_a_cache_that_another_holds_later_on_ends_no_reader(path, caplog):
    with closing(wandb_cache.opened(HERE)) as cache, closing(sqlite3.connect(path)) as other:
        wandb_cache.keep(cache, [kept("a"), kept("b")])
        other.execute("BEGIN IMMEDIATE")
        wandb_cache.keep(cache, [kept("c")], gone=["b"])
        wandb_cache.keep(cache, [kept("d")])
        assert names(cache) == ["a", "c", "d"]
        assert caplog.messages == ["what W&B sends is not kept in the cache from here on (database is locked)"]
        other.rollback()
        assert names(other) == ["a", "b"]
