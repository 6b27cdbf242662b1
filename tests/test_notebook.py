"""The notebook in `docs/` runs from its first cell to its last, and shows what it says."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]

RUNNER = """
import ast, json, sys

def shown(value):
    for kind, ask in (("mimebundle", "_repr_mimebundle_"), ("html", "_repr_html_")):
        if hasattr(value, ask):
            return {"kind": kind, "text": str(getattr(value, ask)())}
    return None if value is None else {"kind": "text", "text": repr(value)}

space, found = {"__name__": "__main__"}, []
for source in json.load(sys.stdin):
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    found.append(shown(eval(compile(ast.Expression(last.value), "cell", "eval"), space)) if last else None)
print(json.dumps(found))
"""
"""What Jupyter does with the cells of code, without Jupyter: each in turn, and of the value of its last line what that shows of itself."""


@pytest.mark.slow
def test_it_runs_from_sweep_to_figure(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "REGLAB_RUNS"} | {
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(CODE), capture_output=True, text=True, env=environment, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _, accuracy, runs, frame, comparison, figure, report = json.loads(done.stdout.splitlines()[-1])
    assert 0 <= float(accuracy["text"]) <= 1
    assert runs["text"].count("<tr") == 5  # four arms and the heading
    assert frame["text"].count("<tr") >= 6
    assert "lr 0.01" in comparison["text"]
    assert figure["kind"] == "mimebundle"
    assert "arms.png" in report["text"]


def test_each_cell_that_shows_something_has_it_in_the_file():
    """GitHub shows a notebook as it is stored."""
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code" and isinstance(ast.parse("".join(cell["source"])).body[-1], ast.Expr):
            assert cell["outputs"], cell["source"]


def test_nothing_of_the_machine_that_ran_it_stands_in_it():
    text = json.dumps(NOTEBOOK)
    assert "/tmp" not in text
    assert "/home" not in text
    assert "/work" not in text
