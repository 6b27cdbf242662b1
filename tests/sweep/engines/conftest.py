import pytest
import yaml

from reglab.sweep import engines, spec
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Epoch, Summary


@pytest.fixture
def engine(tmp_path):
    """The engine of a sweep file with these keys, which has drawn these values before."""
    made = []

    def make(drawn=(), **keys):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(keys))
        made.append(engines.of(spec.read(path).config, drawn))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def record():
    """A run with these accuracies on held-out images, one an epoch."""
    return _record


def _record(name, state=State.finished, accuracies=(), summary=None):
    rows = [
        Epoch(
            epoch=number,
            train_loss=1,
            train_accuracy=0.5,
            val_accuracy=accuracy,
            lr=0.1,
            time_train_seconds=number,
            time_wall_seconds=number,
            throughput_images_per_second=1,
        )
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    if summary is not None:
        summary = Summary(val_accuracy=summary, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=len(rows))
    return RunRecord(run_id=name, sweep="s", label="", identity="", seed=0, config={}, state=state, history=rows, summary=summary)
