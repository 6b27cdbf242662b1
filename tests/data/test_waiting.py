"""Waiting for another process: it is told of, has an end, and hears a request."""

import threading

import pytest
from filelock import FileLock

from reglab.data import waiting
from reglab.errors import UserError


class AskedError(BaseException):
    pass


@pytest.fixture
def held(tmp_path):
    """A lock that another holds."""
    with FileLock(tmp_path / "set.npz.lock"):
        yield tmp_path / "set.npz"


def enter(path, heed=lambda: None):
    with waiting.alone(path, "decoding these images", heed):
        pass


def test_a_wait_for_another_process_is_told_of(held, monkeypatch, capfd):
    monkeypatch.setattr(waiting, "FIRST_LINE_SECONDS", 0)

    def ask():
        if "waiting for another process that is decoding these images" in capfd.readouterr().err:
            raise AskedError

    with pytest.raises(AskedError):
        enter(held, ask)


def test_a_holder_without_a_sign_of_life_is_given_up(held, monkeypatch):
    monkeypatch.setattr(waiting, "SILENCE_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"set.npz.lock: the process that holds it should be decoding these images, and has not gone on"):
        enter(held)


def test_a_holder_that_goes_on_is_waited_for(held, monkeypatch):
    monkeypatch.setattr(waiting, "SILENCE_SECONDS", 0.3)
    calls = 0

    def ask():
        nonlocal calls
        calls += 1
        held.with_name("set.npz.alive").write_text(str(calls))
        if calls == 20:
            raise AskedError

    with pytest.raises(AskedError):
        enter(held, ask)


def test_a_holder_shows_that_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_BEAT_SECONDS", 0)
    beat = tmp_path / "set.npz.alive"
    with waiting.alone(tmp_path / "set.npz", "decoding these images", lambda: None) as heed:
        before = beat.stat().st_mtime_ns
        while beat.stat().st_mtime_ns == before:
            heed()
    assert not beat.exists()


def test_a_lock_that_is_let_go_is_taken(tmp_path):
    first, done = threading.Event(), threading.Event()

    def hold():
        with waiting.alone(tmp_path / "set.npz", "decoding", lambda: None):
            first.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    first.wait(60)
    enter(tmp_path / "set.npz", done.set)
    thread.join()


def test_what_fails_in_the_background_fails_here():
    with pytest.raises(ZeroDivisionError):
        waiting.in_background(lambda given_up: 1 / 0, lambda: None, lambda: "")


def test_work_that_nobody_waits_for_is_told_to_give_up():
    told = threading.Event()

    def work(given_up):
        given_up.wait(60)
        told.set()

    def ask():
        raise AskedError

    with pytest.raises(AskedError):
        waiting.in_background(work, ask, lambda: "")
    assert told.wait(60)
