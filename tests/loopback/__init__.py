"""A W&B server on 127.0.0.1 for tests: the far end that the real `wandb` client, its agent and its Api talk to.

`server.Server` is the door. `conftest.wandb_server` opens one for a test; another folder's conftest.py takes it in with
`from tests.loopback.conftest import wandb_server`. A test reads what the client left in `server.world`, plans faults with
`server.faults.plan("file_stream", Fault.error_500, times=2)`, and counts what was asked with `server.count("Runs")`.
"""
