"""What is said of a run."""

import pytest

from reglab.running.announced import outcome
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Summary


@pytest.mark.parametrize(("epochs", "said"), [(1, "after 1 epoch, 9.0 s of"), (30, "after 30 epochs, 9.0 s of")])
def test_one_epoch_is_told_as_one(epochs, said):
    seconds = {"time_train_seconds": 9.0, "time_wall_seconds": 10.0}
    summary = Summary(test_accuracy=0.7, time_to_target_reached=False, parameters=1, epochs=epochs, **seconds)
    begun = RunRecord(run_id="a-s0", sweep="train", label="baseline", identity="a", seed=0, config={})
    assert said in outcome(begun.changed(state=State.finished, summary=summary))
