"""Regularization studies as Weights & Biases sweeps: a command line, and a few names for Python.

`RunConfig`, `train`, `runs`, `compare`, `judge` and `build_report` are imported when they are first used: `import reglab` takes no time,
and reports need no torch. `docs/notebook.ipynb` shows them at work.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "RunConfig": "reglab.config",
    "UserError": "reglab.errors",
    "build_report": "reglab.report.collection",
    "compare": "reglab.report.compare",
    "judge": "reglab.report.referee.judge",
    "runs": "reglab.report.collection",
    "train": "reglab.running.one_run",
}
"""Where each name is from; `__init__.pyi` tells type checkers the same."""

__all__ = ["RunConfig", "UserError", "__version__", "build_report", "compare", "judge", "runs", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
