"""`reglab demo`: the whole way once, on real images, without an account or a network."""

import os
from pathlib import Path
from typing import Annotated

import typer

from reglab.cli.commands import MOST_AT_ONCE
from reglab.console import say
from reglab.extras import need_training
from reglab.processes.signals import Signals

SWEEP = "demo"


def demo(
    workers: Annotated[int, typer.Option("--workers", min=1, max=MOST_AT_ONCE, help="Runs at a time.")] = 2,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The report's folder.")] = Path("reports/demo"),
) -> None:
    """Train the six final models on scikit-learn's digits, offline on a CPU, and report: two to four minutes."""
    from reglab.cli.local_sweep import Terms, run_locally
    from reglab.cli.report import show, write
    from reglab.report.studies.study_file import PUBLISHED
    from reglab.settings import settings
    from reglab.sweep.spec import shipped

    need_training()
    os.environ |= {"WANDB_MODE": "offline", "REGLAB_DEVICE": "cpu"}  # whatever account and GPU there are
    say(f"six final models on handwritten digits, {workers} at a time; the records go to {settings().runs / SWEEP}/")
    with Signals() as signals, signals.at_once():
        terms = Terms(["model.width=16", "train.epochs=20"], workers, quick=True, signals=signals)
        folder = run_locally(shipped("final"), terms, settings().runs / SWEEP)
    show(write([str(folder)], out, PUBLISHED), PUBLISHED)
