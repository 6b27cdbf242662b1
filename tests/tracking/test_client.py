import os
import socket

import pytest
import wandb
from wandb.cli import cli
from wandb.sdk.lib import wbauth

from reglab.errors import UserError
from reglab.tracking import client

KEY = "0123456789" * 4


@pytest.fixture
def server(monkeypatch):
    """Where wandb's server would be: a port that keeps whoever knocks waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening


@pytest.fixture
def account(monkeypatch, tmp_path, server):
    """The home of a user who has none of wandb's settings."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "config"))
    monkeypatch.delenv("WANDB_MODE")
    forget()
    yield home
    forget()


def forget():
    """wandb's client keeps settings and keys for as long as its process lives."""
    wandb.teardown()
    wbauth.unauthenticate_session(update_settings=False)


def test_without_a_key_runs_are_offline(account):
    assert client.mode() == "offline"


def test_with_a_key_runs_are_online_and_nobody_is_asked(account, monkeypatch, server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert client.mode() == "online"
    with pytest.raises(BlockingIOError):
        server.accept()


def test_a_key_that_a_login_left_counts(account, server):
    port = server.getsockname()[1]
    (account / "netrc").write_text(f"machine 127.0.0.1:{port}\n  login user\n  password {KEY}\n")
    (account / "netrc").chmod(0o600)
    assert client.mode() == "online"


@pytest.mark.parametrize("mode", ["online", "offline", "disabled", "shared"])
@pytest.mark.parametrize("key", [None, KEY])
def test_wandb_mode_wins(account, monkeypatch, mode, key):
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_MODE", mode)
    assert client.mode() == mode


def as_the_client_has_it():
    """What `wandb.init()` would do with the settings as they are."""
    forget()
    known = wandb.setup().settings
    return "disabled" if known._noop else "offline" if known._offline else "shared" if known._shared else "online"


@pytest.mark.parametrize("where", ["variable", "folder", "home"])
@pytest.mark.parametrize("mode", ["online", "offline", "dryrun", "disabled", "shared", "run"])
def test_nothing_is_sent_where_the_client_would_send_nothing(account, monkeypatch, tmp_path, mode, where):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    if where == "variable":
        monkeypatch.setenv("WANDB_MODE", mode)
    else:
        path = tmp_path / "wandb" / "settings" if where == "folder" else account / "config" / "settings"
        path.parent.mkdir()
        path.write_text(f"[default]\nmode = {mode}\n")
    assert client.mode() == as_the_client_has_it()


@pytest.mark.parametrize(
    ("command", "mode"),
    [(cli.offline, "offline"), (cli.disabled, "disabled"), (cli.enabled, "online")],
    ids=lambda each: getattr(each, "name", each),
)
def test_what_wandb_s_own_commands_leave_is_heeded(account, monkeypatch, tmp_path, command, mode):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    forget()
    command.callback(*[True] * len(command.params))
    assert (tmp_path / "wandb" / "settings").exists()
    assert client.mode() == mode
    forget()
    cli.online.callback()
    assert client.mode() == "online"


def test_a_variable_wins_over_a_settings_file_and_this_folder_s_over_the_user_s(account, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path, mode in ((account / "config" / "settings", "disabled"), (tmp_path / "wandb" / "settings", "shared")):
        path.parent.mkdir()
        path.write_text(f"[default]\nmode = {mode}\n")
    assert client.mode() == "shared"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert client.mode() == "offline"


@pytest.mark.parametrize("mode", ["", "off", "Offline", "online "])
def test_a_mode_that_the_client_does_not_take_is_refused_in_one_line(account, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(UserError, match=f"WANDB_MODE = '{mode}': Input should be 'online', 'offline'"):
        client.mode()


def test_a_bad_key_and_a_token_count_as_keys(account, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert client.has_key()
    monkeypatch.delenv("WANDB_API_KEY")
    assert not client.has_key()
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    assert client.has_key()


# Where runs go


def test_the_destination_is_the_command_s_the_variable_s_the_file_s_the_settings_or_reglab(account, monkeypatch, tmp_path):
    """As `wandb sweep` and `wandb.init()` have it."""
    monkeypatch.chdir(tmp_path)
    assert client.destination() == (None, "reglab")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nentity = team\nproject = set\n")
    assert client.destination() == ("team", "set")
    file = {"entity": "their team", "project": "filed"}
    assert client.destination(file=file) == ("their team", "filed")
    monkeypatch.setenv("WANDB_PROJECT", "variable")
    monkeypatch.setenv("WANDB_ENTITY", "variables")
    assert client.destination(file=file) == ("variables", "variable")
    assert client.destination("given", "also", file) == ("given", "also")


def test_an_empty_variable_is_none(account, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "")
    monkeypatch.setenv("WANDB_ENTITY", " ")
    monkeypatch.setenv("WANDB_MODE", "")
    client.forget_other_runs()
    assert client.destination() == (None, "reglab")
    assert "WANDB_MODE" not in os.environ
    assert client.mode() in ("online", "offline")


def test_a_project_that_w_and_b_does_not_take_is_refused_in_one_line(account, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "a/b")
    with pytest.raises(UserError, match="Invalid project name 'a/b'"):
        client.destination()


@pytest.mark.parametrize(
    ("set_to", "file", "mode"),
    [
        (None, None, "offline"),
        ("online", None, "online"),
        ("disabled", None, "disabled"),
        ("dryrun", None, "offline"),
        (None, "disabled", "disabled"),
    ],
)
def test_a_local_sweep_is_offline_unless_told_otherwise_and_goes_where_runs_go(account, monkeypatch, tmp_path, set_to, file, mode):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    if set_to:
        monkeypatch.setenv("WANDB_MODE", set_to)
    if file:
        (tmp_path / "wandb").mkdir()
        (tmp_path / "wandb" / "settings").write_text(f"[default]\nmode = {file}\n")
    assert client.of_local_sweep({"project": "filed"}) == {"WANDB_MODE": mode, "WANDB_PROJECT": "filed"}


# What another run left

LEFT = ["SWEEP_ID", "RUN_ID", "RESUME", "RESUME_FROM", "FORK_FROM", "NAME", "RUN_GROUP", "CONFIG_PATHS", "LAUNCH", "SERVICE"]


@pytest.mark.parametrize("parameters", [None, ""])
def test_variables_of_a_run_that_is_over_are_none_of_ours(monkeypatch, parameters):
    for name in LEFT:
        monkeypatch.setenv(f"WANDB_{name}", "x")
    if parameters is not None:
        monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", parameters)
    monkeypatch.setenv("WANDB_TAGS", "mine")
    client.forget_other_runs(handed_over=True)
    assert not [name for name in (*LEFT, "SWEEP_PARAM_PATH") if f"WANDB_{name}" in os.environ]
    assert os.environ["WANDB_TAGS"] == "mine"


def test_a_run_that_is_handed_over_keeps_its_sweep_where_runs_are_trained(monkeypatch):
    for name in (*LEFT, "SWEEP_PARAM_PATH"):
        monkeypatch.setenv(f"WANDB_{name}", "x")
    client.forget_other_runs(handed_over=True)
    kept = {"SWEEP_ID", "RUN_ID", "SWEEP_PARAM_PATH"}
    assert {name for name in (*LEFT, "SWEEP_PARAM_PATH") if f"WANDB_{name}" in os.environ} == kept
    client.forget_other_runs()
    assert not [name for name in kept if f"WANDB_{name}" in os.environ]
