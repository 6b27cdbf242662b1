"""`reglab evaluate`: the weights that a run kept, on the images that it was tested on, or on others."""

from typing import Annotated

import typer

from reglab.console import say, tell
from reglab.extras import need_training


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's folder, or its id.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="Other images of the same classes: data.source=folder data.folder=…; train.metrics=…."),
    ] = None,
) -> None:
    """Test a finished run again, from the weights that it kept (train.keep_weights=true).

    On its own images it gives the recorded test accuracy; data.* keys name others, of which the test part is taken, all of it
    unless data.test_limit says otherwise. train.metrics=package.module:function measures what the run did not.
    """
    need_training()
    from reglab.training import retest

    result = retest.of_run(retest.find(run), words or [])
    said = f"test accuracy {result.accuracy!r} ({result.correct:,} of {result.images:,}), test loss {result.loss!r}"
    tell(f"{result.record.label} s{result.record.seed} on {result.data}: {said}")
    for name, value in result.own.items():
        tell(f"{name} {value!r}")
    if result.note:
        say(result.note)
