import ast
from pathlib import Path

import reglab
from reglab import exits

PACKAGE = Path(reglab.__file__).parent


def test_the_exit_code_of_a_preemption_is_spelled_once():
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value == exits.PREEMPTED
    ]
    assert found == ["exits.py"]


def test_only_a_signal_kills():
    assert [exits.killed_by(code) for code in (0, exits.PREEMPTED, exits.SERVER_LOST, -9)] == [None, None, None, "killed by SIGKILL"]
