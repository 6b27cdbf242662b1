import pytest
import torch

from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.techniques import beta, shares


@pytest.mark.parametrize("key", ["mixup.alpha", "cutmix.alpha"])
@pytest.mark.parametrize("alpha", [1e-9, 0.001, 0.00999])
def test_an_alpha_of_which_no_share_can_be_drawn_is_refused(key, alpha):
    section, name = key.split(".")
    with pytest.raises(UserError, match=rf"^{key} = {alpha:g}: must be 0, for none, or at least 0.01"):
        RunConfig.parse({section: {name: alpha}})


def test_of_the_least_that_is_taken_next_to_no_share_is_one_half():
    """By the distribution, one in 70 million lies within a hundred millionth of it."""
    generator, parameters = torch.Generator().manual_seed(0), torch.full((2,), beta.LEAST, dtype=torch.float64)
    drawn = torch.stack([shares.beta(parameters, generator) for _ in range(20_000)])
    assert ((drawn - 0.5).abs() < 1e-8).sum() <= 1
    assert ((drawn < 0.01) | (drawn > 0.99)).float().mean() > 0.9
