"""The whole study: which sweeps it is made of."""

SWEEPS: tuple[str, ...] = (
    "final",
    "agc_batchnorm",
    "dropout_symmetric",
    "batchnorm",
    "agc",
    "augmentation",
    "cutout_screening",
    "dropout_arrays",
    "dropout_asymmetric",
    "dropout_bayes",
    "agc_rescue",
    "placement",
    "cutout_per",
    "cifar_stem",
)
"""Stems of the files in `sweeps/`, in order of value: what is cut short has answered the larger questions."""
