"""CutMix: against torchvision's, given the same draws."""

import pytest
import torch

from reglab.config import RunConfig
from reglab.techniques.cutmix.declared import CutMixConfig
from reglab.techniques.cutmix.paste import CutMix, box
from tests.techniques.mixup.test_blend import Given


def cutmix(alpha=1.0):
    return CutMix(CutMixConfig(alpha=alpha), RunConfig.parse({}), torch.device("cpu"))


@pytest.mark.parametrize("extent", [(32, 32), (28, 28), (15, 40)])
@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.77, 0.999, 1.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, 0.5), (0.1, 0.9), (0.99, 0.3)])
def test_a_box_is_torchvisions(extent, kept, centre, monkeypatch):
    from torchvision.transforms import v2

    height, width = extent
    images, labels = torch.arange(2.0)[:, None, None, None].expand(2, 3, height, width).clone(), torch.tensor([0, 1])
    inside = box(torch.tensor(kept, dtype=torch.float64), torch.tensor(centre, dtype=torch.float64), height, width)
    peer, places = v2.CutMix(alpha=1.0, num_classes=2), [int(width * centre[1]), int(height * centre[0])]
    peer._dist = Given(kept)
    monkeypatch.setattr(torch, "randint", lambda *arguments, **options: torch.tensor([places.pop(0)]))
    expected, soft = peer(images, labels)
    assert torch.equal(torch.where(inside, images.roll(1, 0), images), expected)
    assert float(soft[0, 1]) == pytest.approx(float(inside.double().mean()), abs=1e-6)


def test_the_share_is_what_was_pasted():
    own, generator, images = cutmix(), torch.Generator().manual_seed(0), torch.arange(4.0)[:, None, None, None].expand(4, 3, 32, 32)
    for _ in range(20):
        made, share = own.mix(images, images.roll(1, 0), generator)
        assert float((made != images).double().mean()) == pytest.approx(float(share))
        own.mixed(share)
    assert 0 < own.measured([float(own.sums)], 20)["cutmix/share"] < 0.6


def test_boxes_lie_anywhere():
    own, generator, black = cutmix(), torch.Generator().manual_seed(0), torch.zeros(1, 3, 32, 32)
    covered = sum(own.mix(black, black + 1, generator)[0][0, 0] for _ in range(400))
    assert covered.min() > 20
    assert covered[16, 16] > covered[0, 0]  # a box that reaches beyond the image is cut off
