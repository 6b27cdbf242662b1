"""`reglab agent`: this machine's part in a sweep on W&B."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reglab.cli.commands import MOST_AT_ONCE, Entity, Project
from reglab.cli.settle import conclude, in_words, tell_claims
from reglab.cli.study import folder_of
from reglab.cli.sweep import Quick
from reglab.cli.sweep_view import STYLES, duration
from reglab.console import is_terminal, progress, say, styled
from reglab.errors import ReglabError, UserError
from reglab.exits import FAILED, PREEMPTED
from reglab.extras import need_training
from reglab.processes.signals import Signals
from reglab.tracking import client

if TYPE_CHECKING:
    from reglab.sweep.agent import SweepAgent
    from reglab.sweep.remote import RemoteSweep
    from reglab.sweep.slots import Slot

_GPU_WIDTH = 12
"""Of a GPU's name in the table: a UUID begins so, and is not read further."""


def agent(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="ENTITY/PROJECT/SWEEP", help="As `reglab sweep create` prints it; with --study KEY=VALUE words, or none."),
    ] = None,
    gpus: Annotated[str, typer.Option("--gpus", metavar="all|0,2", help="The GPUs to use.")] = "all",
    per_gpu: Annotated[
        int, typer.Option("--per-gpu", min=1, max=MOST_AT_ONCE, help="Runs at a time on each GPU, or on the processor without one.")
    ] = 1,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Take this many runs and end.")] = None,
    study: Annotated[
        str | None, typer.Option("--study", metavar="FILE", help="A study with `looks`: follow its rounds until its claims are settled.")
    ] = None,
    quick: Quick = False,
    entity: Entity = None,
    project: Project = None,
) -> None:
    """Work on a W&B sweep with every GPU of this machine, until no run is left; or on a study, until its claims are settled.

    Exit code 0: every run of the sweep is well, or every claim of the study settled; 1: some failed, or this machine took no more;
    4: a claim of the study stays undecided; 75: preempted.
    """
    words = words or []
    if study is None:
        if len(words) != 1:
            raise UserError("give one ENTITY/PROJECT/SWEEP, as `reglab sweep create` prints it, or --study FILE")
        if quick or entity or project:
            raise UserError("--quick, --entity and --project go with --study: the sweep's path says where it is")
    elif count is not None:
        raise UserError(f"--count {count}: goes with a sweep; a study ends by itself")
    from reglab.processes import sockets
    from reglab.sweep import remote

    with Signals() as signals, signals.at_once():
        client.check_online()
        sockets.folder()  # before a run is taken
        if study is None:
            _close(_work(remote.find(words[0]), gpus, per_gpu, count, signals))
        else:
            _follow(study, words, quick, entity, project, partial(_work, gpus=gpus, per_gpu=per_gpu, count=None, signals=signals))


def _work(sweep: "RemoteSweep", gpus: str, per_gpu: int, count: int | None, signals: Signals) -> "SweepAgent":
    """This machine's part in a sweep, to its end."""
    from reglab.running import worker
    from reglab.settings import settings
    from reglab.sweep import machine, notice
    from reglab.sweep.agent import SweepAgent
    from reglab.sweep.program import LACKS
    from reglab.sweep.slots import slots

    if sweep.program:
        sweep.program.check_is_here()
        start, hand_back = worker.starts(sweep.program)
        say(f"{sweep.path}: starts `{sweep.program.shown}`: {LACKS}")
    else:
        need_training()
        start, hand_back = worker.start, worker.hand_back
    places = slots(_chosen(gpus, machine.visible_gpus()), per_gpu, machine.cores(), count)
    crew = SweepAgent(sweep, settings().runs / sweep.sweep_id, places, start, hand_back, say)

    def taken_back() -> None:
        say("the cloud takes this machine back")
        crew.preempt()

    with signals.calling(crew.preempt), notice.Watch(taken_back), _display(crew) as show:
        for _ in crew.run():
            show()
    return crew


def _follow(
    file: str, overrides: list[str], quick: bool, entity: str | None, project: str | None, work: "Callable[[RemoteSweep], SweepAgent]"
) -> None:
    """Work on the rounds of a study, one after the other, with whatever other machines follow them."""
    from reglab.report.studies.study_file import read
    from reglab.settling.courses import course_of
    from reglab.settling.remote import Rounds
    from reglab.sweep.spec import read as read_sweep
    from reglab.tracking.wandb_api import SCHEME, destination

    design = read(file)
    if not design.looks:
        raise UserError(f"{file}: nothing says when its claims are looked at, and machines must agree on it: add `looks: [3, 5, 8, 12]`")
    folder = folder_of(None, quick, design)
    course = course_of(design, [read_sweep(each, overrides, quick) for each in design.files], folder)
    rounds = Rounds(course, destination(entity, project), folder / "wandb")  # beside those of this machine alone
    over, asked_before = 0, frozenset[tuple[str, int]]()
    while True:
        now, number, sweep = rounds.next(over)
        if sweep is None:
            break
        asked = frozenset((wanted.arm.name, wanted.seed) for wanted in now.runs)
        if sweep.is_new and asked <= asked_before:
            tell_claims(now, course)
            raise ReglabError(f"{sweep.path} asks for nothing but what the round before did not bring to its end: see its runs at W&B")
        asked_before, over = asked, number
        say(f"round {number}, {sweep.path}: {in_words(now, now.runs)}")
        while True:
            crew = work(sweep)
            if crew.preempted or crew.complaint:
                _close(crew)
            if not rounds.leaves_some(sweep, has_worked=crew.ended.total() > 0):
                break
    tell_claims(now, course)
    report = f"reglab study report {file} --from {rounds.project}"
    conclude(now, str(rounds.project).removeprefix(SCHEME), "", report, "delete them at W&B, and they are asked for again")


def _chosen(asked: str, there: list[str]) -> list[str]:
    """The GPUs that `--gpus` names: as CUDA_VISIBLE_DEVICES does, or by nvidia-smi's numbers where it names them by UUID."""
    if asked == "all":
        return there
    numbers = {str(number): name for number, name in enumerate(there)} if not any(name.isdigit() for name in there) else {}
    names = [numbers.get(name.strip(), name.strip()) for name in asked.split(",")]
    if unknown := [name for name in names if name not in there]:
        raise UserError(f"--gpus {asked}: there is no GPU {unknown[0]}; this machine shows {', '.join(there) or 'none'}")
    return names


def _close(crew: "SweepAgent") -> None:
    if crew.ended:
        say("here: " + ", ".join(f"{count} {state}" for state, count in crew.ended.items()))
    if crew.preempted:
        say("preempted; W&B gives the runs to another agent")
        raise typer.Exit(PREEMPTED)
    states = crew.states_in_sweep()
    say(f"{crew.sweep.path}: " + (", ".join(f"{count} {state}" for state, count in states.items()) or "no run"))
    if crew.complaint:
        say(f"this machine took no more runs: {crew.complaint}")
    if crew.complaint or any(states[state] or crew.ended[state] for state in ("failed", "crashed")):  # W&B may not have heard
        raise typer.Exit(FAILED)


@contextmanager
def _display(crew: "SweepAgent") -> Iterator[Callable[[], None]]:
    """A live table on a terminal; elsewhere the lines that the agent says."""
    if is_terminal():
        with Live(console=progress, refresh_per_second=4, transient=True) as live:
            yield lambda: live.update(table(crew))
    else:
        yield lambda: None


def table(crew: "SweepAgent") -> Table:
    """How each slot of this machine stands."""
    view = Table("slot", "GPU", "run", "seed", "state", "epoch", "train", "test", "time", title=crew.sweep.path, title_justify="left")
    view.box, view.pad_edge = None, False
    for slot in crew.slots:
        view.add_row(str(slot.number), (slot.gpu or "–")[:_GPU_WIDTH], *_cells(slot))
    return view


def _cells(slot: "Slot") -> list[str | Text]:
    if slot.job is None:
        return [styled(slot.out or "waiting for W&B", "dim")]
    if slot.job.handed_back:
        return [styled(f"{slot.job.run_id} goes back to W&B", "yellow")]
    if (record := slot.job.record) is None:
        return [styled(f"{slot.job.run_id} begins", "dim")]
    row = record.history[-1] if record.history else None
    return [
        record.label,
        str(record.seed),
        styled(record.state, STYLES[record.state]),
        str(record.steps_done) if record.program else f"{record.steps_done}/{record.config['train']['epochs']}",
        f"{row.train_accuracy:.1%}" if row else "",
        f"{row.test_accuracy:.1%}" if row and row.test_accuracy is not None else "",
        duration(row.time_train_seconds) if row else "",
    ]
