"""Both ends over a real socket; clients are real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reglab
from reglab.exits import PREEMPTED
from reglab.processes.signals import PREEMPT, STOP
from reglab.sweep.relay import COMMAND, Relay
from tests.waiting import PATIENCE

CLIENT = "import sys; from reglab.sweep import relay; sys.exit(relay.train_there())"


@pytest.fixture
def relay():
    with Relay() as relay:
        yield relay


@pytest.fixture
def client(relay):
    """Starts a client of a slot, as W&B's agent does; or, with other code, one that starts it in turn, and `leads` a session."""
    started = []

    def start(slot=0, code=CLIENT, leads=False, **variables):
        environment = os.environ | relay.variables(slot) | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])} | variables
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=leads
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def poll(relay, until):
    """Poll until `until()` of the orders so far is true; returns them."""
    orders, deadline = [], time.monotonic() + PATIENCE
    while not until(orders):
        assert time.monotonic() < deadline, "waited in vain"
        orders.extend(relay.poll(0.05))
    return orders


def test_an_order_says_what_is_handed_over_and_its_client_ends_as_it_is_told(relay, client):
    process = client(3, WANDB_RUN_ID="abc", WANDB_API_KEY="secret")
    (order,) = poll(relay, len)
    assert order.slot == 3
    assert order.variables["WANDB_RUN_ID"] == "abc"
    assert "WANDB_API_KEY" not in order.variables
    assert not any("secret" in value for value in order.variables.values())
    order.answer(7)
    assert process.wait(PATIENCE) == 7


def test_several_clients_are_told_apart(relay, client):
    processes = {slot: client(slot) for slot in (0, 1, 2)}
    for order in poll(relay, lambda orders: len(orders) == 3):
        order.answer(order.slot + 10)
    assert {slot: process.wait(PATIENCE) for slot, process in processes.items()} == {0: 10, 1: 11, 2: 12}


@pytest.mark.parametrize(
    ("heard", "wanted"), [("SIGTERM", STOP), *((name, PREEMPT) for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"))]
)
def test_what_a_client_hears_is_passed_on_as_a_request(relay, client, heard, wanted):
    process = client()
    (order,) = poll(relay, len)
    process.send_signal(signal.Signals[heard])
    poll(relay, lambda _: order.wants)
    assert order.wants == [wanted]
    assert process.poll() is None  # it goes on waiting for its run
    order.answer(0)
    assert process.wait(PATIENCE) == 0


def test_a_client_that_is_killed_is_gone(relay, client):
    process = client()
    (order,) = poll(relay, len)
    process.kill()
    poll(relay, lambda _: order.gone)
    order.answer(0)  # nobody hears it, and nothing breaks


PARENT = f"""
import signal, subprocess, sys, time
done = subprocess.run([sys.executable, "-c", {CLIENT!r}], stderr=subprocess.PIPE, text=True)
print(done.stderr, file=sys.stderr)
time.sleep(600)
"""


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_client_without_its_agent_ends_the_one_that_started_it(client, when):
    """Else W&B's agent would take run after run that nobody trains."""
    with Relay() as relay:
        variables = relay.variables(0)
        if when == "while":
            parent = client(code=PARENT, leads=True, **variables)
            poll(relay, len)
    if when == "before":
        parent = client(code=PARENT, leads=True, **variables)
    assert parent.wait(PATIENCE) == -signal.SIGTERM


DEAF_PARENT = f"""
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
sys.exit(subprocess.call([sys.executable, "-c", {CLIENT!r}]))
"""


def test_its_exit_code_says_that_the_run_goes_on_another_time(client):
    with Relay() as relay:
        variables = relay.variables(0)
    process = client(code=DEAF_PARENT, leads=True, **variables)
    assert process.wait(PATIENCE) == PREEMPTED == 75
    assert "the agent of this machine is gone" in process.stderr.read()


ADOPTER = f"""
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # a subreaper, as systemd is
orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {CLIENT!r}])"
subprocess.run([sys.executable, "-c", orphan], start_new_session=True, check=True)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_client_that_was_adopted_ends_nobody(relay, client):
    """W&B's agent is gone; its place has whoever takes care of orphans."""
    process = client(code=ADOPTER, leads=True)
    (order,) = poll(relay, len)
    order.connection.close()
    assert process.wait(PATIENCE) == PREEMPTED


def test_only_this_user_may_come_in(relay):
    assert relay.address.parent.stat().st_mode & 0o777 == 0o700


def test_a_client_imports_nothing_that_is_slow(relay, client):
    slow = {"typer", "torch", "wandb", "pydantic", "yaml"}
    code = f"import sys; import reglab.__main__, reglab.sweep.relay; sys.exit(len({slow} & sys.modules.keys()))"
    assert client(code=code).wait(PATIENCE) == 0


def test_the_command_is_a_client_under_an_agent(relay, client):
    code = "import sys; sys.argv = ['reglab', 'train']; from reglab.__main__ import main; main()"
    process = client(code=code)
    (order,) = poll(relay, len)
    order.answer(5)
    assert process.wait(PATIENCE) == 5


def test_the_words_of_another_program_come_with_its_order(relay, client):
    words = "from reglab.sweep import relay; import sys; sys.exit(relay.train_there(['/usr/bin/env', 'python', 'x.py', '--a=b c']))"
    process = client(code=words, WANDB_RUN_ID="abc")
    (order,) = poll(relay, len)
    assert json.loads(order.variables[COMMAND]) == ["/usr/bin/env", "python", "x.py", "--a=b c"]
    order.answer(0)
    assert process.wait(PATIENCE) == 0
