"""Waiting for another process: it is told of, has an end, and hears a signal."""

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


@pytest.fixture
def on_line(monkeypatch):
    """`on_line(action)`: what happens instead of a line about the wait, each time there would be one."""

    def arrange(action):
        monkeypatch.setattr(waiting, "FIRST_LINE_SECONDS", 0)
        monkeypatch.setattr(waiting, "LINE_SECONDS", 0)
        monkeypatch.setattr(waiting, "say", action)

    return arrange


def enter(path):
    with waiting.alone(path, "decoding these images"):
        pass


def test_a_wait_for_another_process_is_told_of(held, on_line):
    def tell(line):
        assert line == f"waiting for another process that is decoding these images ({held}.lock)"
        raise AskedError

    on_line(tell)
    with pytest.raises(AskedError):
        enter(held)


def test_a_short_wait_is_not_told_of(tmp_path, monkeypatch, capfd):
    lock = FileLock(tmp_path / "set.npz.lock", thread_local=False)
    lock.acquire()
    threading.Timer(0.3, lock.release).start()
    enter(tmp_path / "set.npz")
    assert capfd.readouterr().err == ""


def test_a_holder_without_a_sign_of_life_is_given_up(held, monkeypatch):
    monkeypatch.setattr(waiting, "SILENCE_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"set.npz.lock: the process that holds it should be decoding these images, and has not gone on"):
        enter(held)


def test_a_holder_that_goes_on_is_waited_for(held, monkeypatch, on_line):
    signs = []

    def go_on(line):
        signs.append(line)
        held.with_name("set.npz.alive").write_text("")
        if len(signs) == 10:
            raise AskedError

    monkeypatch.setattr(waiting, "SILENCE_SECONDS", 0.5)
    on_line(go_on)
    with pytest.raises(AskedError):
        enter(held)


def test_a_holder_shows_that_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_BEAT_SECONDS", 0)
    beat = tmp_path / "set.npz.alive"
    with waiting.alone(tmp_path / "set.npz", "decoding these images") as alive:
        before = beat.stat().st_mtime_ns
        while beat.stat().st_mtime_ns == before:
            alive()
    assert not beat.exists()


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
