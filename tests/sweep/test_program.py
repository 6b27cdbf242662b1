"""Another program is started as W&B's agent starts it, and its runs are told apart by command and parameters."""

import json
import os
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from wandb import wandb_agent

from reglab.errors import UserError
from reglab.sweep import program, spec
from reglab.sweep.program import Program

MACROS = (
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_equals",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_json",
    "args_dict",
    "args_append_hydra",
    "args_override_hydra",
    "args_json_file",
    "nonsense",
)
WORDS = (*(f"${{{name}}}" for name in MACROS), "--fast", "3", "${envvar:PLACE}", "--at=${envvar:PLACE}/${envvar:NOWHERE}", "$HOME", "a b")

names = some.text(string.ascii_letters + "_.-", min_size=1, max_size=8)
plain = some.one_of(some.none(), some.booleans(), some.integers(), some.floats(allow_nan=False), some.text(max_size=8))
values = some.recursive(plain, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(names, inner, max_size=3), max_leaves=6)


def by_wandb(command, arguments, folder, monkeypatch):
    """The words by which W&B's own agent starts a run, and what is in the file of its arguments."""
    started = []
    monkeypatch.setattr(wandb_agent, "AgentProcess", lambda **given: started.append(given) or type("Process", (), {})())
    variables = {"WANDB_DIR": str(folder), "WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "", "WANDB_SWEEP_PARAM_PATH": ""}
    for name, value in variables.items():  # the agent itself sets the last two, which nothing would take back
        monkeypatch.setenv(name, value)
    agent = wandb_agent.Agent(api=None, queue=None)
    agent._sweep_command = list(command)
    wrapped = {name: {"value": value} for name, value in arguments.items()}
    agent._command_run({"type": "run", "run_id": "r", "program": "train.py", "args": wrapped})
    file = folder / "wandb" / "sweep-s" / "config-r.json"
    return started[0]["command"], file, file.read_text() if file.exists() else None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=some.lists(some.sampled_from(WORDS), min_size=1, max_size=5), arguments=some.dictionaries(names, values, max_size=4))
def test_a_command_is_filled_in_as_by_w_and_b_s_own_agent(command, arguments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLACE", "/data")
        theirs, file, content = by_wandb(command, arguments, folder, patch)
        file.unlink(missing_ok=True)
        mine = Program(tuple(command), "train.py", ()).words(arguments, file, os.environ)
    assert mine == theirs
    assert (file.read_text() if file.exists() else None) == content


def test_without_a_command_it_is_python_on_the_program_with_all_arguments(monkeypatch, tmp_path):
    theirs, file, _ = by_wandb([], {"lr": 0.1}, tmp_path, monkeypatch)
    mine = Program.of({"program": "train.py", "parameters": {"lr": {"value": 0.1}}})
    assert mine.words({"lr": 0.1}, file, {}) == theirs == ["/usr/bin/env", "python", "train.py", "--lr=0.1"]
    assert mine.shown == "python train.py ${args}"


@pytest.mark.parametrize("config", [{}, {"command": ["reglab", "train"]}, {"command": ["reglab", "train"], "program": "x.py"}])
def test_reglab_train_is_no_other_program(config):
    assert Program.of(config) is None
    assert not list(program.faults(config))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"command": ["reglab", "train", "train.epochs=3"]}, "for `reglab train` have `command: [reglab, train]`"),
        ({"command": ["${env}", "/opt/bin/reglab", "train"]}, "those words alone"),
        ({"command": ["python", "-m", "reglab", "train"]}, "those words alone"),
        ({"command": ["${interpreter}", "${program}"]}, "add `program: train.py`"),
        ({"command": []}, "add `program: train.py`"),
        ({"command": [["a"]]}, "must be a list of words"),
        ({"command": "python x.py"}, "must be a list of words"),
        ({"program": ["x.py"]}, "must be text"),
    ],
)
def test_a_command_that_cannot_be_started_or_is_not_what_it_seems_is_told(config, said):
    (fault,) = program.faults(config)
    assert said in fault.said


PLAIN = {
    "program": "train.py",
    "method": "grid",
    "parameters": {"lr": {"values": [0.1, 0.01]}, "model": {"parameters": {"width": {"values": [4, 8]}, "name": {"value": "mlp"}}}},
}


@pytest.fixture
def read(tmp_path):
    def read(content, *words, seeds=None):
        path = tmp_path / "plain.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return spec.read(path, words, seeds=seeds)

    return read


def test_its_parameters_are_free_and_nested_ones_too(read):
    sweep = read(PLAIN)
    assert sweep.grid()[0] == {"lr": 0.1, "model": {"name": "mlp", "width": 4}}
    labels = [asked.label for _, asked in sweep.cells]
    assert labels == ["lr 0.1, model.width 4", "lr 0.1, model.width 8", "lr 0.01, model.width 4", "lr 0.01, model.width 8"]
    assert len({asked.identity for _, asked in sweep.cells}) == 4


def test_an_identity_is_that_of_command_and_parameters(read):
    first = read(PLAIN).cells[0][1].identity
    assert read({**PLAIN, "name": "x", "metric": {"name": "loss"}}).cells[0][1].identity == first
    assert read({**PLAIN, "program": "other.py"}).cells[0][1].identity != first
    assert read({**PLAIN, "command": ["${interpreter}", "${program}", "--fast", "${args}"]}).cells[0][1].identity != first
    program = read(PLAIN).program
    assert program.asked({"lr": 0.1, "model": {"width": 4.0, "name": "mlp"}, "added": 1}).identity == first  # as W&B gives it back


def test_what_only_reglab_train_can_do_is_said(read):
    (note,) = read(PLAIN).warnings
    assert note == program.LACKS


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lrr=1", "has no parameter lrr; did you mean lr"),
        ("lr", "not KEY=VALUE"),
        ("lr=[1", "lr=[1"),
        ("lr=010", "8 to YAML"),
    ],
)
def test_a_bad_word_is_told(read, word, said):
    with pytest.raises(UserError) as caught:
        read(PLAIN, word)
    assert said in str(caught.value)


def test_words_are_laid_over_its_parameters(read):
    sweep = read(PLAIN, "lr=1e-3", "model.width=[16, 32]")
    assert [values["model"]["width"] for values in sweep.grid()] == [16, 32]
    assert {values["lr"] for values in sweep.grid()} == {1e-3}


def test_a_number_that_is_a_text_to_yaml_is_pointed_out(read):
    text = "program: train.py\nmethod: grid\nparameters: {lr: {values: [1e-3, 1.0e-3]}}\n"
    assert any("lr: 1e-3 is a text to YAML" in note for note in read(text).warnings)
    assert not any("is a text to YAML" in note for note in read(text.replace("1e-3, ", "")).warnings)


def test_a_name_with_dots_of_its_own_stays_one(read):
    sweep = read({**PLAIN, "parameters": {"optimizer.lr": {"values": [0.1, 0.2]}}}, "optimizer.lr=0.5")
    assert sweep.grid() == [{"optimizer.lr": 0.5}]


def test_quick_is_for_reglab_train(read, tmp_path):
    read(PLAIN)
    with pytest.raises(UserError, match="--quick knows the keys of `reglab train`"):
        spec.read(tmp_path / "plain.yaml", quick=True)


def test_a_search_that_never_ends_is_refused_and_any_metric_is_not(read):
    with pytest.raises(UserError, match="never ends by itself"):
        read({**PLAIN, "method": "random"})
    assert read({**PLAIN, "method": "bayes", "run_cap": 3, "metric": {"name": "whatever"}}).size == 3


def test_a_program_that_is_not_here_is_told_before_anything_starts(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = read(PLAIN).program
    with pytest.raises(UserError, match=r"program = train.py: not in "):
        program.check_is_here()
    Path("train.py").touch()
    program.check_is_here()


def test_the_file_of_arguments_keeps_types_and_nesting(tmp_path):
    values = {"lr": 1e-5, "model": {"width": 4, "deep": True}}
    words = Program(("x", "${args_json_file}"), None, ()).words(values, tmp_path / "deep" / "a.json", {})
    assert json.loads(Path(words[1]).read_text()) == values
