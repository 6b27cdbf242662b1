"""What W&B's client takes from the folder where it runs, which may be another's: with the real client, which only logs in."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
from wandb import wandb_agent
from wandb.sdk.lib import wbauth

from reglab.errors import UserError
from reglab.tracking import client, wandb_library

ROOT = Path(__file__).parents[2]
KEY = "0123456789" * 4
MINE = "https://mine.example.org"
THEIRS = """[default]
base_url = http://127.0.0.1:9977
app_url = http://127.0.0.1:9977
api_key = 0123456789012345678901234567890123456789
https_proxy = http://127.0.0.1:9977
insecure_disable_ssl = true
x_extra_http_headers = {"a": "b"}
identity_token_file = token
mode = online
entity = them
project = their project
"""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A working folder; the user's own settings name a server."""
    (tmp_path / "here").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "settings").write_text(f"[default]\nbase_url = {MINE}\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "own"))
    forget()
    yield tmp_path / "here"
    forget()


def forget():
    """wandb's client keeps settings and keys for as long as its process lives, and notes are said once in it."""
    wandb.teardown()
    wbauth.unauthenticate_session(update_settings=False)
    wandb_library._tell.cache_clear()
    wandb_library._warn.cache_clear()


@pytest.mark.parametrize("name", ["wandb", ".wandb"])
def test_of_the_folder_s_settings_three_keys_count_and_the_others_are_named_once(folder, capsys, name):
    (folder / name).mkdir()
    (folder / name / "settings").write_text(THEIRS)
    known = wandb.setup().settings
    assert (known.entity, known.project, known.mode) == ("them", "their project", "online")
    assert (known.base_url, known.https_proxy, known.insecure_disable_ssl) == (MINE, None, False)
    assert (known.api_key, known.identity_token_file, known.x_extra_http_headers) == (None, None, None)
    assert client.mode() == "online"
    assert client.destination() == ("them", "their project")
    (note,) = [line for line in capsys.readouterr().err.splitlines() if "left alone" in line]
    assert note.startswith(f"note: {folder / name / 'settings'}: base_url, app_url, api_key, https_proxy, ")


def test_the_user_s_own_file_and_the_environment_name_the_server(folder, monkeypatch):
    assert wandb.setup().settings.base_url == MINE
    forget()
    monkeypatch.setenv("WANDB_BASE_URL", "https://chosen.example.org")
    assert wandb.setup().settings.base_url == "https://chosen.example.org"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "binary", "sparse", "a loop"])
def test_what_is_no_file_of_settings_is_refused_in_one_line(folder, kind):
    path = folder / "wandb" / "settings"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"[default]\nmode = \xff\n")
    elif kind == "a loop":
        path.symlink_to(path)
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 30)
    with pytest.raises(UserError, match=re.escape(f"{path} ")):
        client.mode()


def test_a_file_in_the_place_of_the_folder_is_none(folder):
    (folder / "wandb").write_text("")
    assert client.mode() == "offline"


@pytest.mark.slow
def test_so_it_is_in_the_process_of_w_and_b_s_agent_which_imports_nothing_from_the_folder(folder):
    """As `reglab agent` starts it."""
    (folder / "wandb").mkdir()
    (folder / "wandb" / "settings").write_text(THEIRS)
    for module in ("wandb", "reglab", "sitecustomize", "socket", "click", "yaml"):
        (folder / f"{module}.py").write_text("raise SystemExit('imported from the folder')")
    command = [sys.executable, "-P", "-m", "reglab.tracking.wandb_library", "status", "--settings"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    known = json.loads(done.stdout.partition("Current Settings")[2])
    assert (known["base_url"], known["entity"]) == (MINE, "them")
    assert "left alone" in done.stderr


@pytest.mark.parametrize(
    ("address", "is_told"),
    [
        ("https://api.wandb.ai", False),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost", False),
        (f"http://{socket.gethostname()}:8080", False),
        ("http://10.0.0.5:8080", True),
        ("http://wandb.example.org", True),
        ("http://127.0.0.1.example.org", True),
        ("http://localhost@example.org", True),
        ("http://2130706433", True),
    ],
)
def test_a_server_elsewhere_without_tls_is_told_of(address, is_told):
    line = wandb_library.in_the_clear(address)
    assert (line is not None) == is_told
    assert line is None or (address in line and "https://" in line)


def test_it_is_said_once_before_the_key_is_sent(folder, monkeypatch, capsys):
    monkeypatch.setattr(wandb, "Api", lambda: None)
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example.org")
    for _ in range(2):
        wandb_library.server_api()
    said = capsys.readouterr().err
    assert said.count("note: W&B's server is http://wandb.example.org, without TLS") == 1


def test_w_and_b_s_agent_starts_programs_by_other_words(monkeypatch):
    started = []
    monkeypatch.setattr(wandb_agent, "AgentProcess", lambda env=None, command=None: started.append((env, command)))
    wandb_library._start_programs_by(["a", "b"])
    wandb_agent.AgentProcess(command=["python", "x.py"], env={"c": "d"})
    assert started == [({"c": "d"}, ["a", "b", "python", "x.py"])]


def test_a_client_whose_agent_starts_programs_otherwise_is_told(monkeypatch):
    monkeypatch.setattr(wandb_agent, "AgentProcess", lambda words: words)
    with pytest.raises(UserError, match=r"wandb [\d.]+ starts programs otherwise than 0.31"):
        wandb_library._start_programs_by(["a"])
