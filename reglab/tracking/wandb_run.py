"""The run in Weights & Biases: offline without a key, online with one, as `WANDB_MODE` says otherwise."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from reglab import exits
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.tracking.record import Epoch, RunRecord

PROJECT = "reglab"

LOGGED_BESIDE = ("schema_version", "identity", "identity_version", "label", "created", "environment")
"""Fields of `RunRecord` that stand in W&B's configuration of a run, beside the keys of `RunConfig`."""

FINISH_SECONDS = 300.0
"""How long the end of a run waits for a server that is away: GPU time costs more, and `reglab sync` sends the rest later."""

PREEMPTED_SECONDS = 8.0
"""How long the end of a preempted run waits: its machine has half a minute in all. W&B has heard before that it was preempted."""

_POLL_SECONDS = 0.2

_EXIT_CODES = {State.failed: exits.FAILED, State.crashed: exits.FAILED, State.preempted: exits.PREEMPTED}
"""Whatever is not here ended well, as W&B sees it."""


def mode() -> Literal["online", "offline", "disabled", "shared"]:
    """`online`, `offline`, `disabled` or `shared`: WANDB_MODE, or online where a key is configured."""
    if (chosen := os.environ.get("WANDB_MODE", "")) in ("online", "offline", "disabled", "shared"):
        return chosen  # type: ignore[return-value]
    return "online" if has_key() else "offline"


def has_key() -> bool:
    """Whether a key for the server is configured; whether it is a good one, only the server knows."""
    return bool(os.environ.get("WANDB_API_KEY")) or _key_in_netrc()


def _key_in_netrc() -> bool:
    """Whether `wandb login` left a key for the server; read here, because wandb's own check asks the server."""
    import wandb

    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return netrc(path).authenticators(urlsplit(wandb.setup().settings.base_url).netloc) is not None
    except (OSError, NetrcParseError):
        return False


class WandbRun:
    """A run of W&B's client; a `Sink`. Its files go to `folder`; `stop` is called, in another thread, when W&B's page stops the run.

    `hurried`: whether this process is asked to end; its run's end then waits for W&B no longer than that of a preempted one.
    """

    def __init__(self, folder: Path, stop: Callable[[], None] | None = None, hurried: Callable[[], object] = lambda: False):
        self.folder, self.stop, self.hurried = folder, stop, hurried
        self._run: Any = None
        self._begun = False

    def started(self, record: "RunRecord") -> None:
        import wandb  # half a second: not for commands that log nothing

        self._begun = True
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=record.run_id,
            name=f"{record.label} s{record.seed}",
            group=record.sweep,
            config=record.config | record.model_dump(mode="json", include={*LOGGED_BESIDE} - {"environment"}),
            dir=str(self.folder),
            resume="allow",
            mode=mode(),
            settings=wandb.Settings(console="off", silent=True, stop_fn=self.stop, finish_timeout=FINISH_SECONDS),
        )
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="epoch")
        if record.environment:
            self._run.config.update({"environment": record.environment.metrics()}, allow_val_change=True)
        self._complete(record.history)

    def _complete(self, history: "Sequence[Epoch]") -> None:
        """Log the epochs of a resumed run that the server does not have: its client was killed before it could send them."""
        if self._run.offline or self._run.disabled:
            return
        for row in history:
            if row.epoch >= self._run.starting_step:
                self.epoch(row)

    def preempting(self) -> None:
        self._try(lambda run: run.mark_preempting())

    def epoch(self, row: "Epoch") -> None:
        # The epoch as W&B's own step too: rows that a resumed run repeats are dropped instead of rewinding the history.
        # Committed, else the client keeps each row until the next one comes.
        self._try(lambda run: run.log(row.metrics(), step=row.epoch, commit=True))

    def ended(self, record: "RunRecord") -> None:
        if not self._begun:  # it failed before it could begin
            self.started(record)
        ended = record.model_dump(mode="json", include={"state", "reason", "updated"})
        ended |= {"weights": record.weights} if record.weights else {}
        # What it lacks is said, too: W&B would keep what the last epoch logged under that name.
        summary = ended | (record.summary.model_dump(by_alias=True, mode="json") if record.summary else {})
        self._try(lambda run: run.summary.update(summary))
        finish = threading.Thread(target=self._try, args=(lambda run: run.finish(exit_code=_EXIT_CODES.get(record.state, 0)),), daemon=True)
        finish.start()
        while finish.is_alive() and record.state != State.preempted and not self.hurried():
            finish.join(_POLL_SECONDS)
        finish.join(PREEMPTED_SECONDS)

    def _try(self, log: Callable[[Any], object]) -> None:
        """Logging that breaks (the client's service was killed, say) does not end the training: the local record is whole."""
        if self._run is None:  # it never began, or broke before
            return
        try:
            log(self._run)
        except Exception as error:
            self._run = None
            reason = " ".join(str(error).split())
            print(f"W&B's client failed ({reason}); the run goes on without it, with its record in {self.folder}", file=sys.stderr)
