from pathlib import Path

import pytest

from reglab.errors import UserError
from reglab.settings import settings


@pytest.fixture
def fresh(monkeypatch):
    """Settings read from an environment without, or with other, variables."""

    def read(**variables):
        for name in ("REGLAB_RUNS", "REGLAB_CACHE", "REGLAB_DEVICE", "REGLAB_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return settings()

    return read


def test_without_variables_runs_are_in_the_current_folder_and_the_device_is_chosen(fresh):
    found = fresh()
    assert found.runs == Path("runs")
    assert found.device == "auto"
    assert found.threads is None
    assert found.cache.name == "reglab"


def test_variables_are_read(fresh):
    found = fresh(REGLAB_RUNS="/elsewhere", REGLAB_CACHE="/images", REGLAB_DEVICE="cuda:1", REGLAB_THREADS="3")
    assert (found.runs, found.cache, found.device, found.threads) == (Path("/elsewhere"), Path("/images"), "cuda:1", 3)


def test_an_empty_variable_is_none(fresh):
    found = fresh(REGLAB_THREADS="", REGLAB_DEVICE="")
    assert (found.threads, found.device) == (None, "auto")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGLAB_DEVICE", "tpu"),
        ("REGLAB_DEVICE", "cuda:"),
        ("REGLAB_DEVICE", "CPU"),
        ("REGLAB_THREADS", "0"),
        ("REGLAB_THREADS", "many"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_line(fresh, name, value):
    with pytest.raises(UserError) as caught:
        fresh(**{name: value})
    assert str(caught.value).startswith(f"{name} = {value}: ")
    assert "\n" not in str(caught.value)


def test_settings_are_read_once_a_process(fresh, monkeypatch):
    found = fresh(REGLAB_THREADS="3")
    monkeypatch.setenv("REGLAB_THREADS", "4")
    assert settings() is found
