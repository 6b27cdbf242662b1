from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import write_run
from tests.loopback.conftest import wandb_server as wandb_server

WORDS = ["data.source=digits", "data.train_limit=64", "data.test_limit=32", "model.width=4", "train.epochs=1", "train.batch_size=32"]


def test_a_run_that_was_trained_offline_goes_up_once(wandb_server, reglab, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert reglab("train", *WORDS) == 0
    assert reglab("sync") == 2
    assert "W&B is offline here" in capsys.readouterr().err
    monkeypatch.setenv("WANDB_MODE", "online")
    for said in ("1 sent, 0 there before, 0 going on", "0 sent, 1 there before, 0 going on"):
        assert reglab("sync", "--project", "p") == 0
        assert said in capsys.readouterr().err
    damaged = tmp_path / "runs" / "train" / "damaged" / "run.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    assert reglab("sync", "--project", "p") == 1
    assert f"left out: {damaged} is damaged" in capsys.readouterr().err
    (run,) = wandb_server.world.project("p").runs.values()
    assert (run.state, run.group, len(run.history)) == ("finished", "train", 1)


def test_a_run_of_another_program_is_left_to_w_and_b_s_own_command(wandb_server, reglab, monkeypatch, capsys, tmp_path):
    record = RunRecord(run_id="x", sweep="s", label="x", identity="x", seed=0, config={}, program="python x.py", state=State.finished)
    write_run(tmp_path / "runs" / "s" / "x", record)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert reglab("sync", "--project", "p") == 0
    said = capsys.readouterr().err
    assert "0 sent, 0 there before, 0 going on" in said
    assert "not sent: 1 run of another program; `wandb sync`" in said
    assert not wandb_server.world.projects
