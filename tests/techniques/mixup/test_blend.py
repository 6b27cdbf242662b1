"""Mixup: against torchvision's, given the same share."""

import pytest
import torch
from scipy.stats import beta, kstest

from reglab.config import RunConfig
from reglab.techniques.mixup.blend import Mixup
from reglab.techniques.mixup.declared import MixupConfig

CPU = torch.device("cpu")


def mixup(alpha):
    return Mixup(MixupConfig(alpha=alpha), RunConfig.parse({}), CPU)


class Given:
    """A distribution that always gives this."""

    def __init__(self, value):
        self.value = value

    def sample(self, shape):
        return torch.tensor(self.value)


@pytest.mark.parametrize("seed", range(3))
def test_images_and_labels_are_torchvisions(seed):
    from torchvision.transforms import v2

    images, labels = torch.randn(6, 3, 8, 8), torch.tensor([0, 1, 2, 2, 1, 0])
    made, share = mixup(0.5).mix(images, images.roll(1, 0), torch.Generator().manual_seed(seed))
    peer = v2.MixUp(alpha=0.5, num_classes=3)
    peer._dist = Given(1 - float(share))
    expected, soft = peer(images, labels)
    torch.testing.assert_close(made, expected)
    hard = torch.eye(3)
    torch.testing.assert_close(hard[labels] * (1 - share) + hard[labels.roll(1)] * share, soft, atol=1e-6, rtol=0)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 8.0])
def test_shares_are_of_the_beta_distribution(alpha):
    own, generator, image = mixup(alpha), torch.Generator().manual_seed(0), torch.zeros(2, 3, 1, 1)
    drawn = [own.mix(image, image, generator)[1] for _ in range(2000)]
    assert own.sums == 0  # it tells of what was taken
    for share in drawn:
        own.mixed(share)
    shares = list(map(float, drawn))
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.001
    assert own.measured([float(own.sums)], 2000)["mixup/share"] == pytest.approx(sum(shares) / 2000)


def test_half_precision_stays_what_it_is():
    images = torch.randn(4, 3, 8, 8, dtype=torch.bfloat16)
    made, _ = mixup(1.0).mix(images, images.roll(1, 0), torch.Generator().manual_seed(0))
    assert made.dtype == torch.bfloat16
