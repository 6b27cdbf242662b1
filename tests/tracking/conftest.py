from tests.loopback.conftest import wandb_server as wandb_server
