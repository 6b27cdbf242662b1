"""The metrics that ship, against others' values and a reference written otherwise."""

import math

import pytest
import torch

from reglab import metrics
from reglab.metrics import class_accuracy, ece, metric


def plainly(logits, labels, bins=15):
    """Expected calibration error as Guo et al. write it (2017, eq. 3): bin by bin, ((m - 1)/M, m/M], image by image."""
    images = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        images.append((max(powers) / sum(powers), row.index(max(row)) == label))
    error = 0.0
    for number in range(1, bins + 1):
        inside = [(sure, right) for sure, right in images if (number - 1) / bins < sure <= number / bins]
        if inside:
            accuracy, confidence = (sum(values) / len(inside) for values in zip(*((right, sure) for sure, right in inside), strict=True))
            error += len(inside) / len(images) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("sharpness", [0.1, 1, 4, 100])
def test_the_calibration_error_is_that_of_the_paper(sharpness):
    draws = torch.Generator().manual_seed(0)
    logits, labels = sharpness * torch.randn(400, 5, generator=draws), torch.randint(5, (400,), generator=draws)
    assert ece(logits, labels) == pytest.approx(plainly(logits.double(), labels), abs=1e-12)


def test_the_calibration_error_is_that_of_torchmetrics_example(monkeypatch):
    """`MulticlassCalibrationError(num_classes=3, n_bins=3, norm="l1")` in its documentation."""
    shares = torch.tensor([[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]])
    monkeypatch.setattr(metrics, "BINS", 3)
    assert ece(shares.log(), torch.tensor([0, 1, 2, 0])) == pytest.approx(0.2, abs=1e-6)


def test_who_is_sure_and_right_is_calibrated_and_who_is_sure_and_wrong_is_not():
    sure = 1000 * torch.eye(3)
    assert ece(sure, torch.arange(3)) == 0
    assert ece(sure, torch.tensor([1, 2, 0])) == 1
    assert ece(torch.zeros(4, 4), torch.zeros(4, dtype=torch.long)) == pytest.approx(0.75)  # all guess the first class, at a quarter


def test_each_class_has_its_accuracy_and_one_without_images_none():
    logits = torch.eye(3)[[0, 0, 1, 2]]
    assert class_accuracy(logits, torch.tensor([0, 1, 1, 1]), ["cat", "dog", "frog"]) == {"cat": 1, "dog": pytest.approx(1 / 3)}


def test_a_metric_declares_what_its_numbers_are():
    @metric(title="Brier score", better="lower")
    def brier(logits, labels):
        return 0.0

    assert (brier.declared.title, brier.declared.share, brier.declared.better) == ("Brier score", False, "lower")
    assert ece.declared.share and ece.declared.better == "lower"
    with pytest.raises(ValueError, match="better='less': must be 'higher' or 'lower'"):
        metric(better="less")
