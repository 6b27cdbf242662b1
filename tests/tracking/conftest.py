from tests.loopback.conftest import away as away
from tests.loopback.conftest import wandb_server as wandb_server
from tests.report.conftest import make_record as make_record
from tests.report.conftest import make_turns as make_turns
from tests.report.conftest import study as study
