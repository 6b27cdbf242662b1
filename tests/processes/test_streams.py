"""In processes of their own: what a command says on the way costs neither its work nor its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import reglab

CODE = """
import sys
from reglab.processes import streams
streams.outlive_their_reader()
from reglab.console import complain, say
for number in range(3):
    say(f"epoch {number}")
    complain("something")
print("done – ok")
sys.exit(75)
"""


def run(stderr, **variables):
    environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])} | variables
    return subprocess.run([sys.executable, "-c", CODE], check=False, env=environment, stdout=subprocess.PIPE, stderr=stderr, timeout=60)


@pytest.mark.parametrize("kind", ["a pipe without a reader", "a full disk"])
def test_what_cannot_be_said_is_not_said(kind):
    if kind == "a full disk":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        gone, stderr = os.pipe()
        os.close(gone)
    done = run(stderr)
    os.close(stderr)
    assert (done.returncode, done.stdout) == (75, "done – ok\n".encode())


def test_a_command_without_standard_error_does_its_work():
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, CODE],
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])},
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (75, "done – ok\n".encode())


def test_what_an_encoding_lacks_is_a_question_mark(tmp_path):
    done = run(subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout) == (75, b"done ? ok\n")
