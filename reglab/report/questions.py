"""What the study asks, question by question: which runs answer it, and what is drawn of them.

A question takes its runs by what they are, not by the sweep that made them: those that depart from the study's base in the
factors that it varies, and in nothing else. So runs made by hand, or for another question, answer it too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from reglab.arms import FINAL_ARMS
from reglab.config import RunConfig
from reglab.report import figures
from reglab.report.factors import CONFIGURATIONS, SYMMETRIC, Factors, factors

Draw = Callable[[pd.DataFrame, Factors, float, str, str], figures.Drawn]
"""Of a tidy table, the study's base, the target accuracy, a title and a subtitle."""


@dataclass(frozen=True)
class Drawing:
    """One figure of a question; `description` says in words what it shows."""

    stem: str
    title: str
    description: str
    draw: Draw


@dataclass(frozen=True)
class Question:
    """`stem` names its sweep and its tables; `among` narrows down the runs that depart from the base in `varies` only.

    `baseline` is the arm that its table compares with, given the base.
    """

    stem: str
    title: str
    asks: str
    varies: frozenset[str]
    among: Callable[[Factors, Factors], bool]
    baseline: Callable[[Factors], Factors]
    drawings: tuple[Drawing, ...]
    order: Literal["arms", "factors", "accuracy"] = "factors"
    """Of its table: the final models and then the best first, the factors one after the other, or the best first."""

    def is_about(self, treated: Factors, base: Factors) -> bool:
        return treated.departures(base) <= self.varies and self.among(treated, base)


_FINAL_MODELS = tuple(factors(RunConfig.parse({"arm": name})) for name in FINAL_ARMS)


def _is_final(treated: Factors, base: Factors) -> bool:
    return any(treated == arm.but(batch_size=base.batch_size, epochs=base.epochs) for arm in _FINAL_MODELS)


def _plain(base: Factors) -> Factors:
    return base


def _final_network(base: Factors) -> Factors:
    """The one of the final models on which augmentation is compared."""
    return base.but(batchnorm=2, dropout=SYMMETRIC)


def _on_final_network(treated: Factors) -> bool:
    return (treated.batchnorm, treated.dropout) == (2, SYMMETRIC)


QUESTIONS: tuple[Question, ...] = (
    Question(
        stem="final",
        title="Which of the six final models is best, and which overfits least?",
        asks="Accuracy, overfitting and time of the final models (claim 10).",
        varies=frozenset({"batchnorm", "dropout", "transformations", "cutout"}),
        among=_is_final,
        baseline=_plain,
        order="arms",
        drawings=(
            Drawing(
                "figure_11",
                "Figure 11: the final models",
                "For each final model: test and training accuracy, the overfitting between them, training time, and time to the target.",
                figures.final_models,
            ),
        ),
    ),
    Question(
        stem="dropout_symmetric",
        title="Which dropout probability, in how many layers?",
        asks="Is 0.2 better than 0.5 and 0.8 whatever the layers (claim 1), and are two layers best at 0.2, fewer at more (claim 2)?",
        varies=frozenset({"batchnorm", "dropout"}),
        among=lambda treated, base: treated.symmetric,
        baseline=_plain,
        drawings=(
            Drawing(
                "figure_2",
                "Figure 2: accuracy against dropout probability",
                "Test accuracy against the dropout probability, a line for each number of BN layers, a panel for each of dropout layers.",
                figures.dropout_probability,
            ),
            Drawing(
                "figure_3",
                "Figure 3: accuracy against batch normalization layers, by dropout",
                "Test accuracy against the number of BN layers, a line for each dropout probability, a panel for each of dropout layers.",
                figures.dropout_layers,
            ),
        ),
    ),
    Question(
        stem="dropout_arrays",
        title="What does asymmetric dropout bring?",
        asks="A probability of its own for each of three layers: chosen arrays, and searches that select on held-out training images.",
        varies=frozenset({"batchnorm", "dropout", "held_out"}),
        among=lambda treated, base: treated.batchnorm == 2 and treated.layers == 3,
        baseline=_final_network,
        drawings=(
            Drawing(
                "figure_4",
                "Figure 4: asymmetric dropout",
                "Test accuracy for arrays of three dropout probabilities, best first, and the draws of the searches.",
                figures.dropout_arrays,
            ),
        ),
        order="accuracy",
    ),
    Question(
        stem="batchnorm",
        title="How many batch normalization layers?",
        asks="Do two layers give the best accuracy (claim 3), and do more of them reach the target sooner (claim 4)?",
        varies=frozenset({"batchnorm", "dropout"}),
        among=lambda treated, base: treated.dropout in CONFIGURATIONS,
        baseline=_plain,
        drawings=(
            Drawing(
                "figure_5",
                "Figure 5: accuracy against batch normalization layers",
                "Test accuracy against the number of BN layers, a line for each dropout configuration.",
                figures.batchnorm_accuracy,
            ),
            Drawing(
                "figure_6",
                "Figure 6: time to the target against batch normalization layers",
                "Training time until the target accuracy against the number of BN layers, a line for each dropout configuration.",
                figures.batchnorm_time,
            ),
        ),
    ),
    Question(
        stem="agc",
        title="Which clip threshold and batch size for adaptive gradient clipping?",
        asks="Does a larger batch train faster, whatever the threshold (claim 5), and is 0.02 the best threshold (claim 6)?",
        varies=frozenset({"clip", "batch_size", "dropout"}),
        among=lambda treated, base: treated.clip is not None and treated.is_at_02,
        baseline=lambda base: base.but(clip=0.02),
        drawings=(
            Drawing(
                "figure_7",
                "Figure 7: adaptive gradient clipping",
                "Test accuracy and training time against the clip threshold, a line for each number of dropout layers, by batch size.",
                figures.agc,
            ),
        ),
    ),
    Question(
        stem="agc_batchnorm",
        title="Can adaptive gradient clipping replace batch normalization?",
        asks="Does it take more time (claim 7), is it as accurate without dropout (claim 8), and does it replace BN entirely (claim 11)?",
        varies=frozenset({"clip", "batchnorm", "dropout"}),
        among=lambda treated, base: treated.is_at_02 and treated.clip in ((None, 0.02) if treated.batchnorm == 0 else (None,)),
        baseline=_plain,
        drawings=(
            Drawing(
                "figure_8",
                "Figure 8: adaptive gradient clipping against batch normalization",
                "Test accuracy, training time and time to the target with 0 to 3 BN layers and with AGC, by number of dropout layers.",
                figures.agc_batchnorm,
            ),
        ),
    ),
    Question(
        stem="cutout_screening",
        title="How many cutout images?",
        asks="A short training with 2, 4, 8 and 16 copies a batch: which are worth keeping?",
        varies=frozenset({"batchnorm", "dropout", "cutout", "epochs"}),
        among=lambda treated, base: _on_final_network(treated) and treated.epochs == base.epochs // 2,
        baseline=lambda base: _final_network(base).but(epochs=base.epochs // 2),
        drawings=(
            Drawing(
                "figure_9",
                "Figure 9: choosing the number of cutout images",
                "Test accuracy and training time against the number of cutout copies a batch, at half the epochs.",
                figures.cutout_screening,
            ),
        ),
    ),
    Question(
        stem="augmentation",
        title="Transformations or cutout?",
        asks="Do simple transformations reduce overfitting the most, in less time than 8 or 16 cutout images (claim 9)?",
        varies=frozenset({"batchnorm", "dropout", "transformations", "cutout"}),
        among=lambda treated, base: _on_final_network(treated) and not (treated.transformations and treated.cutout),
        baseline=_final_network,
        order="arms",
        drawings=(
            Drawing(
                "figure_10",
                "Figure 10: augmentation compared",
                "For no augmentation, transformations and cutout: test and training accuracy, training time, and time to the target.",
                figures.augmentation,
            ),
        ),
    ),
    Question(
        stem="agc_rescue",
        title="Do a stronger penalty, another optimizer or weight standardization make AGC as good as BN?",
        asks="What the study leaves as future work (claim 11).",
        varies=frozenset({"clip", "batchnorm", "optimizer", "standardize", "transformations"}),
        among=lambda treated, base: (treated.clip, treated.batchnorm) in ((0.02, 0), (None, 2)),
        baseline=lambda base: base.but(batchnorm=2),
        drawings=(
            Drawing(
                "agc_rescue",
                "AGC with other recipes, against two BN layers",
                "For AGC under each recipe and for two BN layers: test and training accuracy, training time, and time to the target.",
                figures.models,
            ),
        ),
        order="accuracy",
    ),
    Question(
        stem="placement",
        title="Layers in the units of every block, or in the first stages?",
        asks="The study's text can be read both ways; this is what the choice changes.",
        varies=frozenset({"placement", "batchnorm", "dropout"}),
        among=lambda treated, base: treated.batchnorm > 0 and treated.dropout in ((), SYMMETRIC),
        baseline=lambda base: base.but(batchnorm=2),
        drawings=(
            Drawing(
                "placement",
                "Layers by unit and by stage",
                "For each placement, number of BN layers, and with or without dropout: accuracies, training time, and time to the target.",
                figures.models,
            ),
        ),
    ),
    Question(
        stem="cutout_per",
        title="Cutout copies of each image instead of some of a batch?",
        asks="The other reading of the study's text: the batch grows (1 + n)-fold.",
        varies=frozenset({"batchnorm", "dropout", "cutout", "per"}),
        among=lambda treated, base: _on_final_network(treated) and treated.cutout in (0, 2, 8, 16),
        baseline=_final_network,
        drawings=(
            Drawing(
                "cutout_per",
                "Cutout copies per batch and per image",
                "For each number of copies, per batch and per image: accuracies, training time, and time to the target.",
                figures.models,
            ),
        ),
    ),
    Question(
        stem="cifar_stem",
        title="How far do the same regularizers go on a stem made for 32×32 images?",
        asks="The final models on a 3×3 stem without pooling, and two recipes that others use there.",
        varies=frozenset({"stem", "batchnorm", "dropout", "transformations", "cutout", "optimizer"}),
        among=lambda treated, base: treated.stem == "cifar",
        baseline=lambda base: base.but(stem="cifar"),
        order="arms",
        drawings=(
            Drawing(
                "cifar_stem",
                "The final models on a stem for 32×32 images",
                "For each model on the 3×3 stem: accuracies, training time, and time to the target.",
                figures.models,
            ),
        ),
    ),
)
"""In the order of the page."""

FINAL = QUESTIONS[0]
"""The question of the six final models."""
