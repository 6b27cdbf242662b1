"""What the published study claims of training times: an epoch of one arm against an epoch of another, all arms in turns.

Whole runs are timed one after the other, beside whatever else a machine does; here all arms are in one process and train an epoch each
in turn, as many times as there are rounds, on images of noise. So a ratio is of epochs that were trained within seconds of each other.
There is no evaluation; seconds are those of 50,000 images. The rows are the ratios of claims 5, 7 and 9, and each final model against
the baseline.

    reglab bench turns [--rounds N] [KEY=VALUE …]

`model.width=16` and `train.batch_size=128`, say, are laid over all arms; `data.train_limit=2560` is the number of images.
"""

from collections.abc import Iterator, Sequence

from benchmarks import measure as shared
from benchmarks.epoch import EPOCH, Ours
from benchmarks.measure import Outcome, Result
from reglab.config.arms import FINAL_ARMS
from reglab.training.step import Precision

ROUNDS = 5
IMAGES = 2_560

_AUGMENTED = ("batchnorm.layers=2", "dropout.layers=3", "dropout.p=0.2")
_CLIPPED = ("agc.enabled=true",)

ARMS: dict[str, tuple[str, ...]] = {
    **{arm: (f"arm={arm}",) for arm in FINAL_ARMS},
    **{f"BN {layers}": (f"batchnorm.layers={layers}",) for layers in (1, 2, 3)},
    **{f"AGC {clip}": (*_CLIPPED, f"agc.clip={clip}") for clip in (0.01, 0.02, 0.04)},
    **{f"AGC, batch {size}": (*_CLIPPED, f"train.batch_size={size}") for size in (64, 128, 256)},
    **{f"cutout {images}": (*_AUGMENTED, f"cutout.images={images}") for images in (8, 16)},
}
"""What each differs in from the baseline. A batch size that is asked for is that of all but the arms which are about it."""

PAIRS = (
    *((f"AGC, batch {larger}", f"AGC, batch {smaller}") for smaller, larger in ((64, 128), (128, 256))),
    *((f"AGC {clip}", "AGC 0.02") for clip in (0.01, 0.04)),
    *(("AGC 0.02", f"BN {layers}") for layers in (1, 2, 3)),
    *(("symmetric_augmentation", f"cutout {images}") for images in (8, 16)),
    *((arm, "baseline") for arm in FINAL_ARMS[1:]),
)


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    device = shared.device()
    configs = {name: shared.configured([*overrides, *words]) for name, words in ARMS.items()}
    count = configs["baseline"].data.train_limit or IMAGES
    images = shared.random_images(count)
    sides = {name: Ours(config, images, device) for name, config in configs.items()}
    spent = shared.alternate({name: side.epoch for name, side in sides.items()}, rounds or ROUNDS, device)
    seconds = {name: [each * EPOCH / count for each in series] for name, series in spent.items()}
    for over in PAIRS:
        config = configs[over[0]]
        above, below = (seconds[name] for name in over)
        ratios = [one / other for one, other in zip(above, below, strict=True)]
        facts = {
            "range": f"{min(ratios):.3g} to {max(ratios):.3g}",
            "images": count,
            "width": config.model.width,
            "precision": Precision.resolve(config.train.precision, device).name,
        }
        yield Result.of("turns", f"{over[0]} over {over[1]}", seconds, over, device, facts)


if __name__ == "__main__":
    shared.main(measure, __doc__)
