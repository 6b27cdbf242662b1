import pytest

from tests.loopback.conftest import away as away
from tests.loopback.conftest import wandb_server as wandb_server
from tests.report.conftest import make_record as make_record
from tests.report.conftest import make_turns as make_turns
from tests.report.conftest import study as study


@pytest.fixture
def table(tmp_path):
    """`table(text)` is the path of a table of runs that holds it."""

    def written(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written
