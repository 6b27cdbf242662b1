import pytest
from filelock import FileLock

from reglab.errors import UserError
from reglab.processes.held import held


def test_what_one_does_another_may_not(tmp_path):
    lock = tmp_path / "sweep" / ".lock"
    with held(lock, otherwise=""), pytest.raises(UserError, match="it is at work"), held(lock, otherwise="it is at work"):
        pytest.fail("both hold it")


@pytest.mark.parametrize("fault", [None, ValueError])
def test_it_is_free_again_however_it_ends(tmp_path, fault):
    try:
        with held(tmp_path / ".lock", otherwise=""):
            if fault:
                raise fault
    except ValueError:
        pass
    with FileLock(tmp_path / ".lock", timeout=0):
        pass
