"""What every test stands on: no key, no network, one thread, folders of its own; and runs small enough for any of them."""

import os
import signal
import sys
from contextlib import nullcontext

os.environ["OMP_NUM_THREADS"] = "1"  # of whatever the tests start, too: threads that share a core spin while they wait for each other
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell without job control starts what it leaves in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import hypothesis
import pytest
import torch

from reglab import techniques
from reglab.config import DataConfig, RunConfig, identity, run_id
from reglab.data import sources
from reglab.settings import settings
from reglab.tracking.record import RunRecord
from reglab.training.run import Run
from tests.fake_gpu import fake

hypothesis.settings.register_profile("whatever the pace", deadline=None)  # of a machine with other work
hypothesis.settings.load_profile("whatever the pace")

TINY = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "train": {"epochs": 2, "batch_size": 32},
}
"""Four steps an epoch, two epochs: a fifth of a second."""

TECHNIQUES = {
    "baseline": {},
    "batchnorm": {"batchnorm": {"layers": 2}},
    "dropout_symmetric": {"dropout": {"layers": 3, "p": 0.2}},
    "dropout_asymmetric": {"batchnorm": {"layers": 1}, "dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}},
    "agc": {"agc": {"enabled": True, "clip": 0.01}},
    "augment": {"augment": {"policy": "basic", "rotate": 15}},
    "cutout_per_batch": {"cutout": {"images": 2}},
    "cutout_per_image": {"cutout": {"images": 1, "per": "image"}},
    "sgd_cosine": {
        "optimizer": {
            "name": "sgd",
            "lr": 0.05,
            "schedule": "cosine",
            "warmup_epochs": 0.5,
        },
        "weight_decay": {"rate": 5e-4},
        "label_smoothing": {"rate": 0.1},
    },
    "adamw_step": {"optimizer": {"name": "adamw", "schedule": "step"}, "weight_decay": {"rate": 0.05, "of": "weights"}},
    "stochastic_depth": {"stochastic_depth": {"rate": 0.3}},
    "mixup": {"mixup": {"alpha": 0.2}},
    "cutmix": {"cutmix": {"alpha": 1.0}},
    "mixup_and_cutmix": {"mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1.0}, "cutout": {"images": 2}},
    "standardize": {"model": {"width": 4, "standardize": True}},
    "wide_resnet": {
        "model": {"name": "wide_resnet", "depth": 10, "widen": 1, "standardize": True},
        "batchnorm": {"layers": 1},
        "dropout": {"layers": 2, "p": 0.2},
        "stochastic_depth": {"rate": 0.3},
    },
    "network_of_ones_own": {"model": {"name": "tests.models.own:small"}, "agc": {"enabled": True}, "mixup": {"alpha": 0.2}},
    "bf16": {"train": {**TINY["train"], "precision": "bf16"}},
    "fp16": {"train": {**TINY["train"], "precision": "fp16"}, "agc": {"enabled": True}},
}
"""Every technique: a row here is trained, interrupted and resumed by the tests that ask for `technique`."""

EACH = {technique.name: {technique.name: dict(technique.example)} for technique in techniques.TECHNIQUES}
"""Each technique by itself, under the keys that it declares as its example."""


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(params=TECHNIQUES.values(), ids=TECHNIQUES)
def technique(request):
    """The sections that one technique adds to a tiny run."""
    return request.param


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Decoded images, shared by all tests and all workers of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    return (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "reglab-cache"


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path, cache):
    """A machine with nothing configured: whatever the developer has set is not there."""
    os.environ.pop("WANDB_SERVICE", None)  # of a client that an earlier test left: it must never come back
    for name in [name for name in os.environ if name.startswith(("WANDB_", "REGLAB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")  # nobody listens there
    monkeypatch.setenv("REGLAB_CACHE", str(cache))
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REGLAB_DEVICE", "cpu")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def reglab(monkeypatch):
    """Runs a command in this process: `reglab("train", "arm=baseline")`; returns its exit code."""
    from reglab.cli import app

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reglab", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        return ended.value.code or 0

    return run


@pytest.fixture(scope="session")
def make_config():
    """A tiny configuration with other values in some sections: `make_config(batchnorm={"layers": 2})`."""

    def make(**sections):
        names = TINY.keys() | sections.keys()
        return RunConfig.parse({name: {**TINY.get(name, {}), **sections.get(name, {})} for name in names})

    return make


@pytest.fixture(scope="session")
def images(cache):
    """The 128 training and 64 test digits of a tiny run."""
    return sources.load(DataConfig(**TINY["data"]), cache)


@pytest.fixture
def make_run(make_config, images):
    """A run in memory, on the CPU."""
    return lambda **sections: Run(make_config(**sections), images, torch.device("cpu"))


def on_gpu(config, images):
    """A run in memory, on the GPU. A fake one is told what to answer: Adam asks it whether 0 <= rate, SGD whether rate < 0."""
    with fake.answering(config.optimizer.name != "sgd") if fake.is_here() else nullcontext():
        return Run(config, images, torch.device("cuda"))


@pytest.fixture
def make_gpu_run(make_config, images):
    """A run in memory, on the GPU."""
    return lambda **sections: on_gpu(make_config(**sections), images)


@pytest.fixture(scope="session")
def make_record():
    """The record that a run starts with."""

    def make(run):
        config = run.config
        return RunRecord(
            run_id=run_id(config),
            sweep="train",
            label=config.label,
            identity=identity(config),
            seed=config.train.seed,
            config=config.model_dump(mode="json"),
        )

    return make


class _Acting:
    """A training step that does something more after its `number`-th call."""

    def __init__(self, step, number, action):
        self._step, self._left, self._action = step, number, action
        self.warming_up = False

    def __call__(self, batch):
        self._step(batch)
        if self.warming_up:
            return
        self._left -= 1
        if self._left == 0:
            self._action()

    def __getattr__(self, name):
        return getattr(self._step, name)


@pytest.fixture(scope="session")
def after_step():
    """`after_step(run, 3, action)`: the run does `action()` when its third step from now is done."""

    def arrange(run, number, action):
        run.step, warm_up = _Acting(run.step, number, action), run.warm_up

        def quietly():
            run.step.warming_up = True
            warm_up()
            run.step.warming_up = False

        run.warm_up = quietly

    return arrange
