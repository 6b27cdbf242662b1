from tests.loopback.conftest import away as away
from tests.loopback.conftest import wandb_server as wandb_server
