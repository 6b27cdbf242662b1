"""`reglab judge`: its exit codes, its lines, and what it leaves behind."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def source(tmp_path):
    lines = ["arm,seed,acc"] + [
        f"{arm},{seed},{0.8 + 0.05 * (arm == 'a') + ((seed * 7 + ord(arm)) % 5) / 1000}" for arm in "abcd" for seed in range(6)
    ]
    (tmp_path / "runs.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "runs.csv"


@pytest.mark.parametrize(
    ("question", "code", "first"),
    [
        ("arm=a > arm=b in acc by 0.5", 0, "holds"),
        ("arm=a < arm=b in acc", 3, "fails"),
        ("arm=c > arm=b in acc", 4, "undecided"),
    ],
)
def test_the_answer_is_its_exit_code_and_its_first_line(reglab, source, capsys, question, code, first):
    assert reglab("judge", question, "--from", str(source)) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(first)
    assert "asked 1 time, question 1 of all in" in lines[2]
    assert source.with_name("runs.questions.jsonl").exists()


def test_a_question_waits_for_no_library_that_draws_or_trains(source):
    words = ["-X", "importtime", "-m", "reglab", "judge", "arm=a > arm=b in acc", "--from", str(source)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "numpy" in loaded
    assert not loaded & {"torch", "pandas", "altair", "wandb", "vl_convert"}


def test_a_program_reads_it_as_json(reglab, source, capsys):
    assert reglab("judge", "arm=c > arm=b in acc", "--from", str(source), "--json", "--group-by", "arm", "--seed-key", "seed") == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["exit_code"], found["asked"], found["unit"]) == ("undecided", 4, 1, "points")
    assert found["low"] < found["estimate"] < found["high"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["arm=a better than arm=b"], "ask as in `arm=a > arm=b in test/accuracy by 0.5`"),
        (["arm=a > arm=b in acc by 0.5 %"], "may be 0.5 points"),
        (["arm=a > arm=b in acc", "--ledger", "{source}/ledger"], "the ledger cannot be written"),
    ],
)
def test_what_is_not_answered_has_exit_code_2_and_a_line(reglab, source, capsys, words, said):
    assert reglab("judge", *(word.format(source=source) for word in words), "--from", str(source)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not source.with_name("runs.questions.jsonl").exists()
