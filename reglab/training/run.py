"""One run in memory: it is built, captured, stepped, evaluated, and turned into a state and back."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor

from reglab import foreign, models
from reglab.config import RunConfig, acting, code_of, code_of_techniques, grown, revisions
from reglab.config import foreign as named_in
from reglab.data.batches import CleanBatches, Normalization, TrainingBatches
from reglab.data.images import ImageSet
from reglab.errors import UserError, first_line
from reglab.models import buffers
from reglab.processes.signals import Signals
from reglab.techniques.applied import apply
from reglab.tracking.per_image import PerImage
from reglab.tracking.results import Epoch
from reglab.training import checkpoint, memory, optimizer, shortage
from reglab.training.clock import Ahead, Clock, synchronize
from reglab.training.evaluation import Evaluation, evaluate
from reglab.training.flat import FlatParameters
from reglab.training.graph import CapturedStep, Step
from reglab.training.measured import Metrics
from reglab.training.step import EpochSums, Precision, Read, TrainingStep

_log = logging.getLogger(__name__)


def _import_all(config: RunConfig) -> None:
    """Import whatever a run takes of the user's, and its techniques, before anything is drawn for it.

    A module may draw, or seed, when it is imported, which only the first run of a process does.
    """
    for key, reference in named_in(config).items():
        foreign.load(key, reference)
    for technique in acting(config):
        technique.load()


class Run:
    """One run in memory: network, optimizer, generators, clocks, position and history.

    Two runs of one configuration on one CPU are the same bit for bit, interrupted or not.
    """

    def __init__(self, config: RunConfig, images: ImageSet, device: torch.device):
        self.config, self.images, self.device = config, images, device
        if device.type == "cpu":
            memory.keep_freed()
        else:  # convolutions that are matrix products (`models.convolution`) compute in fp32 as the others do: in TF32
            torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
        self.metrics = Metrics(config, images)
        _import_all(config)
        self.code = code_of(config)  # what was imported by now is what this says, and nothing else is any more
        self.clock = Clock(device)
        self.precision = Precision.resolve(config.train.precision, device)
        self.compiled = config.train.compile is True
        torch.manual_seed(config.train.seed)  # initial weights and dropout
        self.draws = torch.Generator(device).manual_seed(config.train.seed)  # order, transformations and cutout
        self.applied = apply(config, device)
        built = models.build(config, len(images.classes), *images.extent, self.applied)
        self.network = built.module.to(device).to(memory_format=torch.channels_last)
        self.flat = FlatParameters(built, self.precision.dtype, self._decay)
        self.optimizer = optimizer.build(config.optimizer, self.flat.groups)
        self.rate: float | None = None  # as the optimizer has it
        self.sums = EpochSums(device, self.applied)
        if self.compiled:
            self.network.compile()
        self.step = TrainingStep(self.network, self.flat, self.optimizer, config, self.precision, self.sums, self.applied)
        self._advance: Step = self._train_on
        normalization = Normalization.of(images.train.images, device)
        self.batches = TrainingBatches(images.train, config, normalization, device, self.precision.dtype, self.applied)
        self.clean_train = CleanBatches(images.train, normalization, device, self.precision.dtype)
        self.clean_test = CleanBatches(images.test, normalization, device, self.precision.dtype)
        self.clean_val = CleanBatches(images.validation, normalization, device, self.precision.dtype) if images.validation else None
        self.history: list[Epoch] = []
        self.correct: Tensor | None = None  # (test images,) bool, on the CPU; of the evaluation after the last epoch
        self.order: Tensor | None = None  # of the epoch under way
        self.steps_done = 0  # in the epoch under way
        self.seconds_before_epoch = 0.0  # training clock
        self.warmup_seconds = 0.0

    def _decay(self, parameter: Tensor) -> float:
        """How much of it decays in a step."""
        return sum(each.decay(parameter) for each in self.applied)

    @property
    def epochs_done(self) -> int:
        """How many epochs its history has."""
        return len(self.history)

    @property
    def captured(self) -> bool:
        """Whether its steps are CUDA graphs. None is before `warm_up`."""
        return isinstance(self._advance, CapturedStep)

    def warm_up(self) -> None:
        """Steps that leave no trace, outside the training clock: they compile, allocate, pick kernels, and are captured on a GPU."""
        start = time.perf_counter()
        self.network.train()
        with self._unchanged():
            if self._captures:
                self._capture()
            if not self.captured:
                with self._compiling():
                    for size in self.batches.sizes if self.compiled else self.batches.sizes[:1]:
                        self._train_on(torch.arange(size, device=self.device), probed=False)
        synchronize(self.device)
        self.warmup_seconds += time.perf_counter() - start

    @contextmanager
    def _compiling(self) -> Iterator[None]:
        """Around the first steps: a machine that cannot compile (no C++ compiler, say) is a UserError."""
        try:
            yield
        except Exception as error:
            if self.compiled and isinstance(error, torch._dynamo.exc.TorchDynamoException):
                remedy = "install what is missing (a C++ compiler, as g++), or leave train.compile out"
                raise UserError(f"train.compile = true: torch.compile does not work here ({first_line(error)}): {remedy}") from None
            raise

    @property
    def _captures(self) -> bool:
        return self.config.train.graph is not False and self.device.type == "cuda"

    def _capture(self) -> None:
        """A step that cannot be captured is trained as it is, and the log says why."""
        cases = [(size, False) for size in self.batches.sizes]
        if self.step.has_probes:
            cases += [(self.batches.sizes[0], True)]  # the epoch's first step
        kept = buffers.Kept(self.network)
        try:
            captured = CapturedStep(self._train_on, cases, self.device, [self.draws])
            if kept.replaced:  # replays would read those that were there when it was captured, and write to none that evaluations read
                fault = f"the network puts new tensors in the place of buffers ({', '.join(kept.replaced)})"
                raise ValueError(f"{fault}: self.{kept.replaced[0].rpartition('.')[2]}.copy_(…) changes one in place")
            self._advance = captured
        except Exception as error:  # an operation that waits for the device, say: PyTorch raises many kinds
            _log.warning("the training step is not captured as a CUDA graph, and takes longer: %s", first_line(error))
            self.step.renew_scaler()

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Whatever is trained while it is open is undone, in place."""
        state = [value for values in self.optimizer.state.values() for value in values.values()]
        changed = [self.flat.weights.data, *state, *self.sums.tensors]
        kept, kept_buffers = [value.clone() for value in changed], buffers.Kept(self.network)
        scaler, draws = self.step.scaler.state_dict(), self.draws.get_state()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            yield
        for value, before in zip(changed, kept, strict=True):
            value.copy_(before)
        kept_buffers.put_back()
        self.step.scaler.load_state_dict(scaler)
        self.draws.set_state(draws)

    def _train_on(self, index: Tensor, probed: bool) -> None:
        """One step on the images at `index`: everything that a CUDA graph holds."""
        batch = self.batches.batch(index, self.draws)
        with self.step.probing() if probed else nullcontext():
            self.step(batch)

    def shortage(self) -> str:
        """In a line, how many images would fit, when it had no memory left. Not to be trained on from here."""
        self._advance = self._train_on  # gives the graphs' memory back
        return shortage.explained(self.device, self.batches.size, self._try)

    def _try(self, size: int) -> None:
        """Warm up with batches of so many images, and evaluate beside the memory that their graph keeps; holds none of it afterwards."""
        self.network.train()
        self.step.renew_scaler()
        graphs = None
        with self._unchanged():
            if self._captures:
                with suppress(Exception):  # what cannot be captured, for memory or else, is trained eagerly
                    graphs = CapturedStep(self._train_on, [(size, False)], self.device, [self.draws])
            if graphs is None:
                self.step.renew_scaler()
                self._train_on(torch.arange(size, device=self.device), probed=False)
        self.evaluate(self.clean_train)

    def train_until(self, deadline: float, signals: Signals) -> None:
        """Train on in the epoch under way until it ends, a request comes or `deadline` (of `time.perf_counter`) passes; at least a step."""
        if self.order is None:
            self.order = self.batches.order(self.draws)
            self.sums.reset()
            self.steps_done, self.seconds_before_epoch = 0, self.clock.train_seconds
        self.network.train()
        ahead = Ahead(self.device)
        with self.clock.training():
            while self.steps_done < self.batches.steps_per_epoch:
                if (rate := self._rate(self.steps_done)) != self.rate:
                    optimizer.set_learning_rate(self.optimizer, rate)
                    self.rate = rate
                index = self.batches.positions(self.order, self.steps_done)
                self._advance(index, self.steps_done == 0 and self.step.has_probes)
                ahead.step()
                self.sums.images += grown(self.config, len(index))
                self.steps_done += 1
                if signals.received or time.perf_counter() >= deadline:
                    break

    def _rate(self, step: int) -> float:
        """The learning rate of a step (from 0) of the epoch under way."""
        progress = self.epochs_done + step / self.batches.steps_per_epoch
        return optimizer.learning_rate(self.config.optimizer, self.config.train.epochs, progress)

    @property
    def epoch_is_complete(self) -> bool:
        """Whether all steps of the epoch under way are done, and only its evaluation is left."""
        return self.order is not None and self.steps_done == self.batches.steps_per_epoch

    def end_epoch(self, sums: Read, signals: Signals | None = None) -> Epoch:
        """Evaluate where it is due, and turn the epoch's sums, as read, into a row of the history.

        Raises Interrupted for a preemption while it evaluates; the epoch has not ended then.
        """
        steps = self.steps_done
        seconds = self.clock.train_seconds - self.seconds_before_epoch
        number, last = self.epochs_done + 1, self.epochs_done + 1 == self.config.train.epochs
        train_accuracy = sums.correct / self.sums.images
        evaluated: dict[str, Any] = {}
        if last or number % self.config.train.eval_every == 0:
            test = self.evaluate(self.clean_test, signals)
            self.correct = test.correct if last else None
            evaluated = {"test_loss": test.loss, "test_accuracy": test.accuracy, "train_gap": train_accuracy - test.accuracy}
            evaluated["own"] = test.own
            if self.clean_val:
                validation = self.evaluate(self.clean_val, signals)
                evaluated |= {"val_loss": validation.loss, "val_accuracy": validation.accuracy}
        if self.config.train.target_on == "clean":
            evaluated["train_clean_accuracy"] = self.evaluate(self.clean_train, signals).accuracy
        row = Epoch(
            epoch=number,
            train_loss=sums.loss / self.sums.images,
            train_accuracy=train_accuracy,
            lr=self._rate(steps - 1),
            time_train_seconds=self.clock.train_seconds,
            time_wall_seconds=self.clock.wall_seconds,
            time_cpu_seconds=self.clock.cpu_seconds,
            throughput_images_per_second=self.sums.images / seconds,
            gpu_memory_gb=torch.cuda.max_memory_allocated(self.device) / 1e9 if self.device.type == "cuda" else None,
            **evaluated,
            **self.sums.probes(sums, steps),
        )
        self.history.append(row)
        self.leave_epoch()
        return row

    def leave_epoch(self) -> None:
        """The next step is the first of another epoch, whatever there was of this one."""
        self.order, self.steps_done = None, 0

    def diverged_step(self, sums: Read) -> int | None:
        """The step of the epoch under way (from 1) whose loss was the first not to be finite."""
        finite = int(sums.finite_steps)
        return finite + 1 if finite < self.steps_done else None

    @property
    def per_image(self) -> PerImage | None:
        """Which test images it classified rightly after its last epoch. None before, and of a run that an earlier version evaluated."""
        if self.correct is None or self.images.test_fingerprint is None:
            return None
        return PerImage.of(self.images.test_fingerprint, self.correct.numpy())

    def evaluate(self, batches: CleanBatches, signals: Signals | None = None) -> Evaluation:
        """Mean loss, accuracy and right answers over a part, and the metrics of the test part; waits for the device once.

        Raises Interrupted for a preemption meanwhile, and UserError where a metric fails.
        """
        return evaluate(self.network, batches, self.precision, signals, self.metrics if batches is self.clean_test else None)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a new `Run` of the same configuration needs to go on from here."""
        return {
            "config": self.config.model_dump(mode="json"),
            "code": self.code,
            "techniques": code_of_techniques(self.config),
            "revisions": revisions(self.config),
            "data": self.images.fingerprint,
            "device": self.device.type,
            "network": {name: value.clone() for name, value in self.network.state_dict().items()},  # a view is saved with its whole buffer
            "unsaved": {name: value.clone() for name, value in buffers.unsaved(self.network).items()},
            "optimizer": self.optimizer.state_dict(),
            "places": self.flat.places,  # of which the optimizer's state is
            "scaler": self.step.scaler.state_dict(),
            "clock": self.clock.state_dict(),
            "sums": self.sums.state_dict(),
            "draws": self.draws.get_state(),
            "rng": torch.get_rng_state(),
            "rng_device": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "order": self.order,
            "steps_done": self.steps_done,
            "seconds_before_epoch": self.seconds_before_epoch,
            "warmup_seconds": self.warmup_seconds,
            "history": [row.metrics() for row in self.history],
            "correct": self.correct,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises ValueError, TypeError or KeyError for what another kind of run gave."""
        assert not self.captured, "the graphs would go on with the optimizer's old state"
        unsaved: dict[str, Tensor] = state.get("unsaved", {})  # an earlier version kept none
        buffers.make_room(self.network, state["network"] | unsaved)
        self._expect_mine(state)
        for name, value in self.network.state_dict().items():
            value.copy_(state["network"][name])
        for name, value in buffers.unsaved(self.network).items() if unsaved else ():
            value.copy_(unsaved[name])
        optimizer.load(self.optimizer, state["optimizer"])
        if state["scaler"] and self.step.scaler.is_enabled():  # the other machine may have trained in bf16
            self.step.scaler.load_state_dict(state["scaler"])
        self.clock.load_state_dict(state["clock"])
        self.sums.load_state_dict(state["sums"])
        if state["device"] == self.device.type:
            self.draws.set_state(state["draws"])
            torch.set_rng_state(state["rng"])
            if state["rng_device"] is not None:
                torch.cuda.set_rng_state(state["rng_device"], self.device)
        else:  # generators of a GPU and of a CPU have nothing in common: fresh draws from here on
            self.draws.manual_seed(self.config.train.seed + len(state["history"]) + 1)
        self.order = None if state["order"] is None else state["order"].to(self.device)
        self.steps_done = state["steps_done"]
        self.seconds_before_epoch, self.warmup_seconds = state["seconds_before_epoch"], state["warmup_seconds"]
        self.history = [Epoch.model_validate(row) for row in state["history"]]
        self.correct = state.get("correct")  # an earlier version kept none

    def _expect_mine(self, state: dict[str, Any]) -> None:
        """Whether it fits this network, optimizer and epoch: what does not fit may load all the same, and train nonsense."""
        checkpoint.expect_alike("the network", self.network.state_dict(), state["network"])
        if state.get("unsaved"):
            checkpoint.expect_alike("the network", buffers.unsaved(self.network), state["unsaved"])
        slots = state["optimizer"]["state"]
        for key, slot in self.optimizer.state_dict()["state"].items():
            checkpoint.expect_alike("the optimizer", slot, slots[key])
        order, steps = state["order"], state["steps_done"]
        if not 0 <= steps <= self.batches.steps_per_epoch or (order is not None and len(order) != len(self.images.train)):
            raise ValueError(f"its epoch is not of {self.batches.steps_per_epoch} steps on {len(self.images.train)} images")
        if [row["epoch"] for row in state["history"]] != list(range(1, len(state["history"]) + 1)):
            raise ValueError("its history is not of epochs 1, 2 and on")
        if (correct := state.get("correct")) is not None and (correct.dtype, len(correct)) != (torch.bool, len(self.images.test)):
            raise ValueError(f"its last evaluation is not of {len(self.images.test)} test images")
