"""The run in Weights & Biases: offline without a key, online with one, as W&B's own settings say otherwise (`client`).

Training waits for W&B some seconds, no more: a server that is away gets the whole run when it is back, or by `reglab sync`.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab import exits
from reglab.console import say
from reglab.errors import ReglabError, UserError, in_one_line
from reglab.tracking import client
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.tracking.record import RunRecord
    from reglab.tracking.results import Epoch

BEGIN_SECONDS = 5.0
"""How long a run waits for W&B as it begins."""

AGAIN_SECONDS = 60.0
"""Between two tries to begin there, beside the training, which wait half of it; the last, at the end of a run, waits as long."""

FINISH_SECONDS = 300.0
"""How long the end of a run waits for a server that is away: GPU time costs more, and `reglab sync` sends the rest later."""

PREEMPTED_SECONDS = 8.0
"""How long the end of a preempted run waits: its machine has half a minute in all. W&B has heard before that it was preempted."""

_POLL_SECONDS = 0.2

_EXIT_CODES = {State.failed: exits.FAILED, State.crashed: exits.FAILED, State.preempted: exits.PREEMPTED}
"""Whatever is not here ended well, as W&B sees it."""

_AWAY = re.compile(
    r"timed? ?out|deadline|retrying|giving up|\bdial\b|connect|EOF|reset|no such host|lookup|certificate|\b(5\d\d|429)\b", re.I
)
"""What the client says of a server that does not answer, or not as it should; everything else is an answer."""

_DELETED = re.compile(r"\bdeleted\b", re.I)
_TAKEN = re.compile(r"already exists, but your `resume` setting", re.I)
_KEY = re.compile(r"\b401\b|api.?key|logged in|unauthori[sz]ed|authenticat|credential", re.I)


class AwayError(ReglabError):
    """W&B does not answer; it may later."""


class DeletedError(ReglabError):
    """The run was deleted at W&B, which gives its name to no other."""


class TakenError(ReglabError):
    """W&B has another training under the run's id, and this one can have no other."""


class WandbRun:
    """A run of W&B's client; a `Sink`. Its files go to `folder`; `stop` is called, in another thread, when W&B's page stops the run.

    `destination`: its entity and project; W&B's own settings say where none is given. `anew`: the run begins at its first step, so what
    W&B has under its id, if anything, is another training, whose epochs would stand among its own: this one gets an id of its own.
    `hurried`: whether this process is asked to end; its run's end then waits for W&B no longer than that of a preempted one.
    """

    def __init__(
        self,
        folder: Path,
        stop: Callable[[], None] | None = None,
        destination: tuple[str | None, str] | None = None,
        hurried: Callable[[], object] = lambda: False,
    ):
        self.folder, self.stop, self.destination, self.hurried = folder, stop, destination, hurried
        self.anew = False
        self._run: Any = None
        self._begun = self._replays = self._preempting = self._over = False
        self._lacks: list[Epoch] | None = None  # what a server that was away is to hear of
        self._record: RunRecord | None = None
        self._trying: Future[Any] | None = None
        self._try_at = 0.0

    def begin(self, record: "RunRecord") -> "RunRecord":
        """Begin at W&B before the run does; where W&B is away, or has deleted the run, it goes on without, and that is said.

        Returns the record, which tells what W&B calls the run. Raises UserError where W&B refuses it: a bad key, a project that is
        not the user's.
        """
        self._begun, self._record = True, record
        own = record if _is_named_by_its_sweep() else record.model_copy(update={"wandb_id": record.wandb_id or record.id_of_its_own})
        try:
            self._run = self.connect(record, BEGIN_SECONDS)
        except AwayError as error:
            self._lacks = []
            if self.anew:  # whatever W&B has under the run's id
                self._record = own
            self._say(f"{error}; the run goes on with its record in {self.folder}, and goes up when W&B is back, or by `reglab sync`")
        except TakenError as error:
            if own != record:
                return self.begin(own)
            self._say(f"{error}; the run goes on with its record in {self.folder}")
        except DeletedError as error:
            self._say(f"{error}; the run goes on with its record in {self.folder}")
        return self._record

    def connect(self, record: "RunRecord", seconds: float) -> Any:
        """The client's run. Raises AwayError after so many seconds without an answer, DeletedError, TakenError; UserError for a refusal."""
        from reglab.tracking.wandb_library import wandb, warn_of_listeners  # half a second: not for commands that log nothing

        self.folder.mkdir(parents=True, exist_ok=True)
        entity, project = self.destination or client.destination()
        if (mode := client.mode()) == "online":
            warn_of_listeners()
        settings = wandb.Settings(
            console="off",
            silent=True,
            stop_fn=self.stop,
            finish_timeout=FINISH_SECONDS,
            init_timeout=seconds,
            disable_git=True,  # what the folder is configured to run would run, and its changes go to W&B
        )
        try:
            return wandb.init(
                entity=entity,
                project=project,
                id=record.wandb_id or record.run_id,
                name=f"{record.label} s{record.seed}",
                group=record.sweep,
                config=record.logged_config,
                dir=str(self.folder),
                resume="never" if self.anew else "allow",
                mode=mode,
                settings=settings,
            )
        except Exception as error:
            _forget_client()
            raise _fault(error, record, f"{entity + '/' if entity else ''}{project}") from None

    def replay(self, record: "RunRecord") -> None:
        """Log a run that is over as it was logged: the client sends the epochs that the server lacks, and the end. Raises as `connect`."""
        try:
            self._run = self.connect(record, BEGIN_SECONDS)
        except AwayError:  # it has just answered: it is slow
            self._run = self.connect(record, AGAIN_SECONDS)
        self._begun = self._replays = True
        self.started(record)
        self.ended(record)

    def started(self, record: "RunRecord") -> None:
        """Describe the run on its page, and begin it there unless it has begun."""
        self._record = record
        if not self._begun:
            self.begin(record)
        if self._lacks is not None:
            self._lacks = list(record.history)
        self._try(lambda run: _describe(run, record))

    def preempting(self) -> None:
        """Tell W&B that the run will go on, so that its sweep hands it out again."""
        self._preempting = True
        self._try(lambda run: run.mark_preempting())

    def epoch(self, row: "Epoch") -> None:
        """Log an epoch, or keep it until W&B answers."""
        if self._lacks is not None:
            self._lacks.append(row)
            self._try_to_begin(AGAIN_SECONDS / 2)
        else:
            self._try(lambda run: _log(run, row))

    def ended(self, record: "RunRecord") -> None:
        """Log the summary and finish at W&B, and wait: briefly where the run is preempted now; `reglab sync` sends what W&B lacks then."""
        if not self._begun:  # it failed before it could begin
            self.started(record)
        if record.state == State.preempted and not self._preempting:
            self.preempting()
        finish = threading.Thread(target=self._finish, args=(record,), daemon=True)
        finish.start()
        is_brief = record.state == State.preempted and not self._replays  # the machine that was taken away is not this one
        while finish.is_alive() and not is_brief and not self.hurried():
            finish.join(_POLL_SECONDS)
        finish.join(PREEMPTED_SECONDS)
        self._over = True

    def _finish(self, record: "RunRecord") -> None:
        if self._lacks is not None:
            self._try_at = 0.0
            self._try_to_begin(PREEMPTED_SECONDS / 2 if record.state == State.preempted else AGAIN_SECONDS / 2)
            while self._trying and self._lacks is not None:
                self._trying.exception()  # waits for it
                self._adopt()
            if self._lacks is not None:
                self._say("W&B has not answered; `reglab sync` sends the run")
            elif record.state == State.preempted:
                self.preempting()
        ended = record.model_dump(mode="json", include={"state", "reason", "updated", "weights", "per_image"})
        # What it lacks is said, too: W&B would keep what the last epoch logged under that name.
        unmeasured = {name: None for row in record.history for name in row.own}
        summary = ended | unmeasured | (record.summary.model_dump(by_alias=True, mode="json") if record.summary else {})
        self._try(lambda run: run.summary.update(summary))
        self._try(lambda run: run.finish(exit_code=_EXIT_CODES.get(record.state, 0)))

    def _try_to_begin(self, seconds: float) -> None:
        """Begin at a W&B that was away: in a thread of its own, since training does not wait; what came of it is seen a call later."""
        self._adopt()
        if self._lacks is None or self._trying or time.monotonic() < self._try_at:
            return
        trying: Future[Any] = Future()

        def connect() -> None:
            try:
                assert self._record
                trying.set_result(self.connect(self._record, seconds))
            except Exception as error:
                trying.set_exception(error)

        self._trying, self._try_at = trying, time.monotonic() + AGAIN_SECONDS
        threading.Thread(target=connect, daemon=True).start()

    def _adopt(self) -> None:
        """Take over what the last try to begin came to, if it came to anything; W&B hears what it has missed."""
        if not self._trying or not self._trying.done():
            return
        error, trying, self._trying = self._trying.exception(), self._trying, None
        if isinstance(error, AwayError):
            return
        missed, self._lacks = self._lacks or [], None
        if error:
            self._say(f"{error}; the run goes on with its record in {self.folder}")
            return
        self._run = trying.result()
        assert self._record
        record = self._record.model_copy(update={"history": missed})
        self._say("W&B is back, and has the run")
        self._try(lambda run: _describe(run, record))

    def _try(self, log: Callable[[Any], object]) -> None:
        """Logging that breaks (the client's service was killed, say) does not end the training: the local record is whole."""
        if self._run is None:  # it never began, or broke before
            return
        try:
            log(self._run)
        except Exception as error:
            self._run = None
            reason = in_one_line(error)
            self._say(f"W&B's client failed ({reason}); the run goes on without it, with its record in {self.folder}")

    def _say(self, line: str) -> None:
        if self._over:  # nobody waits for it any more, and the run does not go on
            return
        say(line)


def hand_back(folder: Path) -> None:
    """Have W&B give the run of this process, of another program, to another agent. Nothing of it changes there but that."""
    from reglab.tracking.wandb_library import wandb

    settings = wandb.Settings(
        console="off",
        silent=True,
        init_timeout=BEGIN_SECONDS,
        finish_timeout=PREEMPTED_SECONDS,
        finish_timeout_raises=False,
        disable_git=True,
    )
    try:
        run = wandb.init(dir=str(folder), resume="allow", settings=settings)
        run.mark_preempting()
        run.finish(exit_code=exits.PREEMPTED)
    except Exception as error:  # W&B takes it for crashed, then
        say(f"W&B does not hear that the run was preempted ({in_one_line(error)})")


def _is_named_by_its_sweep() -> bool:
    """Whether the client takes the run's id from the environment, and no other."""
    return "WANDB_SWEEP_ID" in os.environ


def _forget_client() -> None:
    """End the client's own process: it holds the name of a run that it could not begin, so that nobody begins it again."""
    from reglab.tracking.wandb_library import wandb

    ending = threading.Thread(target=wandb.teardown, daemon=True)  # it may end its caller, or wait for that process without a limit
    ending.start()
    ending.join(PREEMPTED_SECONDS / 2)


def _describe(run: Any, record: "RunRecord") -> None:
    """Say what its metrics are, where it runs, and the epochs that the server lacks: a client that was killed could not send them."""
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    if record.environment:
        run.config.update({"environment": record.environment.metrics()}, allow_val_change=True)
    if record.measures:
        run.config.update({"measures": [each.metrics() for each in record.measures]}, allow_val_change=True)
    if run.offline or run.disabled:
        return
    for row in record.history:
        if row.epoch >= run.starting_step:
            _log(run, row)


def _log(run: Any, row: "Epoch") -> None:
    """The epoch is W&B's own step too: rows that a resumed run repeats are dropped instead of rewinding the history.

    Committed, else the client keeps each row until the next one comes.
    """
    run.log(row.metrics(), step=row.epoch, commit=True)


def _fault(error: Exception, record: "RunRecord", where: str) -> ReglabError:
    """What it means that the client could not begin the run."""
    from reglab.tracking.wandb_library import wandb

    said = in_one_line(error).partition("Consider increasing the init_timeout")[0]
    if isinstance(error, ReglabError):
        return error
    name = record.wandb_id or record.run_id
    if _DELETED.search(said):
        return DeletedError(f"run {name} was deleted at W&B ({where}); `reglab sync --as-new` sends it under a new id")
    if _TAKEN.search(said):
        return TakenError(f"W&B ({where}) has another training of run {name}; `reglab sync` sends this one under an id of its own")
    answered = isinstance(error, (wandb.errors.CommError, wandb.errors.UsageError)) and not _AWAY.search(said)
    if isinstance(error, wandb.errors.AuthenticationError) or (answered and _KEY.search(said)):
        return UserError(f"W&B does not take the key ({said.strip()}); `wandb login` sets it, WANDB_MODE=offline trains without it")
    if answered:
        return UserError(f"W&B does not take the run into {where} ({said.strip()}); WANDB_MODE=offline trains without it")
    return AwayError(f"W&B does not answer ({said.strip()})")
