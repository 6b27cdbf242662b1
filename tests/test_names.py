"""What a folder of runs may be called, and every way by which a name comes."""

import pytest

from reglab import names
from tests.unprinted import UNPRINTED


@pytest.mark.parametrize("name", ["final", "lr 0.1", "4f0c9a1b2c3d-s0", "..x", ".x", "a" * 200, "学习", "[b]", "=1+1", "~", "-x"])
def test_a_name_is_a_name(name):
    assert names.fault(name) is None


@pytest.mark.parametrize("name", ["", " ", ".", "..", "/", "/tmp/x", "../x", "x/..", "a/b", "x/"])
def test_a_path_is_none(name):
    assert "it is a path, or nothing" in names.fault(name)


@pytest.mark.parametrize("name", ["a" * 201, "学" * 67])
def test_a_long_one_is_none(name):
    assert names.fault(name) == "it is longer than 200 bytes"


@pytest.mark.parametrize("name", UNPRINTED, ids=lambda text: ascii(text)[1:12])
def test_what_is_not_printed_is_none(name):
    assert "not printed" in names.fault(name)
