"""Arms that take turns on a GPU: each is captured anew, and gives its memory back before the next."""

import gc

import pytest
import torch

from reglab.config import RunConfig
from reglab.running.turns import Session
from reglab.settings import settings
from tests.fake_gpu import fake

ARMS = {"plain": {}, "layers": {"batchnorm": {"layers": 3}}, "clipped": {"agc": {"enabled": True}}, "larger": {"train": {"batch_size": 64}}}


@pytest.fixture
def arms(monkeypatch):
    monkeypatch.setenv("REGLAB_DEVICE", "cuda")
    settings.cache_clear()
    tiny = {"data": {"source": "digits", "train_limit": 128}, "model": {"width": 16}, "train": {"batch_size": 32}}
    return {
        name: RunConfig.parse({section: {**tiny.get(section, {}), **keys.get(section, {})} for section in tiny.keys() | keys.keys()})
        for name, keys in ARMS.items()
    }


def test_arms_take_turns_captured_and_leave_nothing_behind(arms):
    used, took = [], []
    for now in Session(arms, 3, 64).run():
        took = now
        gc.collect()
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
        used.append(fake.used())
    assert [len(each.seconds) for each in took] == [3] * 4
    assert all(each.environment.captured and each.environment.cuda for each in took)
    assert {share for each in took for share in each.cpu_shares} == {None}
    assert used[0] == used[1] == used[2]
