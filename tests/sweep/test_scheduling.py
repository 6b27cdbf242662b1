"""Looking after W&B's scheduler: a shell script says what it says, and ends as it may end. The real one is in end_to_end."""

import os
import time

import pytest

from reglab.errors import MachineError, ReglabError, UserError
from reglab.processes import supervisor
from reglab.sweep import scheduling
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.scheduling import SchedulerProcess

SWEEP = RemoteSweep("e", "p", "s", "custom", scheduler="optuna")
CHOSEN = """echo 'wandb: Enqueued run abc with config {"optimizer": {"lr": 0.1}, "seed": 1}.' >&2"""
ENDED = "echo 'wandb: Sweep scheduler for s exited: the sweep finished or was canceled (the run cap was hit).' >&2"


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """A scheduler that is this shell script."""
    monkeypatch.setattr(scheduling, "_LONGEST_WAIT", 0.0)

    def make(*script, folder="s"):
        path = tmp_path / "python"
        path.write_text("\n".join(["#!/bin/sh", *script, ""]))
        path.chmod(0o755)
        monkeypatch.setattr("reglab.sweep.scheduling.sys.executable", str(path))
        said = []
        made = SchedulerProcess(SWEEP, tmp_path / folder, [], said.append)
        made.said = said
        return made

    return make


def test_what_it_chooses_is_said_in_lines_and_its_end_in_w_and_b_s_words(scheduler):
    made = scheduler(CHOSEN, "echo 'wandb: Run abc is finished.'", "echo 'wandb: optuna optimizer is generating 1 new runs'", ENDED)
    list(made.run())
    assert made.said == ["abc: optimizer.lr 0.1, seed 1", "abc finished"]
    assert made.has_ended
    assert made.reason == "the sweep finished or was canceled (the run cap was hit)"


def test_one_that_is_killed_is_started_again_and_not_for_ever(scheduler):
    made = scheduler("kill -KILL $$")
    with pytest.raises(MachineError, match=r"e/p/s: W&B's scheduler died 5 times in a row \(killed by SIGKILL\); the same command goes on"):
        list(made.run())
    assert made.said == ["e/p/s: W&B's scheduler died (killed by SIGKILL): it is started again"] * 4


def test_a_run_that_it_chose_shows_that_it_works(scheduler, tmp_path):
    made = scheduler(CHOSEN, f"echo >> {tmp_path}/starts", f"[ $(wc -l < {tmp_path}/starts) -gt 7 ] && {{ {ENDED}; exit 0; }}", "exit 75")
    list(made.run())
    assert made.has_ended
    assert made.said.count("e/p/s: W&B's scheduler died (its client of W&B died): it is started again") == 7


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("wandb: ERROR Sweep scheduler for s failed to start: no normal", UserError, "does not take its file: no normal$"),
        (
            "wandb: ERROR Sweep scheduler for s exited: the sweep was deleted.",
            ReglabError,
            "ended with exit code 1: the sweep was deleted$",
        ),
        ("Traceback", ReglabError, "ended with exit code 1: Traceback$"),
    ],
)
def test_what_another_start_would_not_mend_ends_it_and_is_said(scheduler, line, kind, said):
    made = scheduler(f"echo '{line}'", "exit 1")
    with pytest.raises(kind, match=rf"^e/p/s: W&B's scheduler {said}") as caught:
        list(made.run())
    assert type(caught.value) is kind


def test_it_is_asked_to_end_and_leaves_what_it_is_at(scheduler, tmp_path):
    made = scheduler("trap 'echo told > told; exit 0' INT", f"cd {tmp_path}", "while :; do sleep 0.05; done")
    for number, _ in enumerate(made.run()):
        if number == 3:
            made.preempt()
    assert (tmp_path / "told").read_text() == "told\n"
    assert not made.has_ended


def test_one_that_does_not_end_is_killed(scheduler, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.5)
    made = scheduler("trap '' INT", "while :; do sleep 0.05; done")
    began = time.monotonic()
    for _ in made.run():
        made.preempt()
    assert time.monotonic() - began < 20


def test_a_sweep_has_one_scheduler_on_a_machine(scheduler):
    first = scheduler("while :; do sleep 0.05; done")
    going = first.run()
    next(going)
    with pytest.raises(UserError, match="e/p/s: another process is its scheduler"):
        next(SchedulerProcess(SWEEP, first.folder, [], print).run())
    going.close()


def test_its_process_is_gone_when_it_is_closed(scheduler, tmp_path):
    made = scheduler(f"echo $$ > {tmp_path}/pid", "while :; do sleep 0.05; done")
    going = made.run()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        next(going)
    going.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
