"""The `.env` of a folder that may be another's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reglab import env_file
from reglab.errors import UserError
from reglab.settings import Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads a `.env` with this content, in the folder where commands run; returns the notes."""
    monkeypatch.chdir(tmp_path)
    for name in env_file.KEYS:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)

    def read(content):
        Path(".env").write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(env_file.load())

    yield read
    os.environ.clear()
    os.environ.update(before)


def test_the_keys_are_those_of_the_example():
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == env_file.KEYS
    assert {name.removeprefix("REGLAB_").lower() for name in named if name.startswith("REGLAB_")} == set(Settings.model_fields)


def test_what_the_example_names_is_set_where_the_environment_has_it_not(load, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert (
        load("WANDB_API_KEY=abc\nWANDB_PROJECT=theirs\nexport REGLAB_DEVICE='cpu'  # a comment\n\n# WANDB_MODE=offline\nREGLAB_RUNS=\n")
        == []
    )
    assert {name: os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_PROJECT", "REGLAB_DEVICE", "WANDB_MODE", "REGLAB_RUNS")} == {
        "WANDB_API_KEY": "abc",
        "WANDB_PROJECT": "mine",
        "REGLAB_DEVICE": "cpu",
        "WANDB_MODE": None,
        "REGLAB_RUNS": "",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("WANDB_BASE_URL", "WANDB_HTTPS_PROXY", "HTTPS_PROXY", "WANDB_INSECURE_DISABLE_SSL", "SSL_CERT_FILE", "WANDB_CONFIG_DIR", "NETRC"),
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PATH", "HOME", "BASH_ENV", "TMPDIR"),
        *("GIT_PYTHON_GIT_EXECUTABLE", "WANDB__EXECUTABLE", "TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "CC", "CUDA_VISIBLE_DEVICES"),
        *("REGLAB_AGENT_SOCKET", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID", "wandb_api_key", "WANDB_API_KEY "),
    ],
)
def test_every_other_variable_is_named_once_and_left_alone(load, name):
    before = os.environ.get(name)
    (note,) = load(f"'{name}'=/tmp/theirs\n'{name}'=/tmp/again\n")
    assert os.environ.get(name) == before
    assert note.startswith(f"note: .env: {name} left alone: ")
    assert "theirs" not in note


def test_many_others_are_one_line(load):
    (note,) = load("".join(f"V{number}={number}\n" for number in range(2000)))
    assert note.startswith("note: .env: V0, V1, V2 and 1997 more left alone")


def test_where_a_server_s_address_belongs_is_said(load):
    assert "your own settings (`wandb login --host=…`)" in load("WANDB_BASE_URL=http://x\n")[0]


def test_nothing_of_the_environment_is_put_into_a_value(load, monkeypatch):
    """A project's name went to W&B with whatever secret the file asked for."""
    monkeypatch.setenv("SECRET", "hidden")
    with pytest.raises(UserError, match=re.escape(".env, line 1: WANDB_PROJECT holds ${…}")):
        load("WANDB_PROJECT=x-${SECRET}\n")
    assert load("WANDB_PROJECT=$SECRET\n") == []
    assert os.environ["WANDB_PROJECT"] == "$SECRET"


@pytest.mark.parametrize("line", ["no equals sign", "WANDB_API_KEY", "=x", "'WANDB_MODE=x", "WANDB_MODE='x", "a b=c"])
def test_a_line_that_sets_nothing_is_named(load, line):
    notes = load(f"REGLAB_DEVICE=cpu\n{line}\n")
    assert notes[0].startswith("note: .env, line 2: not KEY=VALUE")
    assert os.environ["REGLAB_DEVICE"] == "cpu"
    assert "WANDB_MODE" not in os.environ


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF\xff\xfe", ".env is no text in UTF-8"),
        (b"WANDB_API_KEY=a\0b\n", ".env, line 1: WANDB_API_KEY holds a character that is not printed"),
        (b'\nWANDB_PROJECT="a\\nb"\n', ".env, line 1: WANDB_PROJECT holds a character that is not printed"),
        ("WANDB_PROJECT=a\u202eb".encode(), ".env, line 1: WANDB_PROJECT holds"),
        (b"A=1\n" * 20_000, ".env is larger than 64 kB"),
    ],
    ids=["binary", "NUL", "newline", "direction", "large"],
)
def test_what_is_no_file_of_settings_is_refused_in_one_line(load, content, said):
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        load(content)
    assert "a\\x00b" not in str(caught.value)  # it may be the key


def test_a_byte_order_mark_is_no_part_of_a_name(load):
    assert load(b"\xef\xbb\xbfREGLAB_DEVICE=cpu\n") == []
    assert os.environ["REGLAB_DEVICE"] == "cpu"


@pytest.mark.parametrize("kind", ["pipe", "device", "a sparse file of 1 GB", "a loop"])
def test_nothing_is_waited_for_or_read_without_end(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    if kind == "pipe":
        os.mkfifo(".env")
    elif kind == "device":
        os.symlink("/dev/zero", ".env")
    elif kind == "a loop":
        os.symlink(".env", ".env")
    else:
        with open(".env", "wb") as stream:
            stream.truncate(1 << 30)
    with pytest.raises(UserError, match=r"^\.env (is|cannot)"):
        list(env_file.load())


def test_a_folder_of_that_name_sets_nothing(tmp_path, monkeypatch):
    """Virtual environments are called so at times."""
    monkeypatch.chdir(tmp_path)
    Path(".env").mkdir()
    assert list(env_file.load()) == ["note: .env is a folder, so it sets nothing"]


def test_without_a_file_nothing_is_said(tmp_path):
    assert list(env_file.load(tmp_path / ".env")) == []


@pytest.mark.slow
def test_a_command_says_it_and_does_its_work(tmp_path):
    (tmp_path / ".env").write_text("LD_PRELOAD=/tmp/x.so\nREGLAB_DEVICE=cpu\n\x1b[2J=x\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "reglab", "sweep", "check", ROOT / "sweeps/final.yaml"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert any(line.startswith("note: .env: LD_PRELOAD, \\x1b[2J left alone") for line in done.stderr.splitlines())
