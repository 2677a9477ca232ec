"""Options of an evaluation; each field is also a flag of `medimageinsight evaluate`.

This module imports neither numpy nor scikit-learn, so that `--help` stays instant.
"""

from dataclasses import dataclass, field

from model.options import flag

ZERO_SHOT, NEIGHBOUR_VOTE, LINEAR_PROBE = "zero-shot", "knn", "linear-probe"
RETRIEVAL, REGRESSION = "retrieval", "regression"
RETRIEVALS = ("image-to-image", "prompt-to-image", "text-to-image")  # entries of the task retrieval in a report
CLASSIFICATION_TASKS = (ZERO_SHOT, NEIGHBOUR_VOTE, LINEAR_PROBE)
TASKS = (*CLASSIFICATION_TASKS, RETRIEVAL, REGRESSION)
NEIGHBOURS = 20
DEFAULT_SAMPLES = 1000


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation, see `model.evaluation.evaluate.evaluate`."""

    tasks: tuple[str, ...] = field(
        default=(),
        metadata=flag(
            f"Tasks of the report, separated by commas: {', '.join(TASKS)}; without it, all that the data allow",
            metavar="TASK,...",
            choices=TASKS,
            comma_separated=True,
        ),
    )
    label_column: str = field(
        default="label",
        metadata=flag("Column with the labels of a row; several are separated by |", metavar="COLUMN"),
    )
    multi_label: bool | None = field(
        default=None,
        metadata=flag(
            "Whether a row may have several labels; without it, the labels decide",
            name="--multi-label/--single-label",
        ),
    )
    target: str = field(default="", metadata=flag("Column of numbers that the regression predicts", metavar="COLUMN"))
    by: tuple[str, ...] = field(
        default=(),
        metadata=flag(
            "Columns whose subgroups are compared, separated by commas, such as sex,age_band,site",
            metavar="COLUMN,...",
            comma_separated=True,
        ),
    )
    split: str = field(
        default="",
        metadata=flag("Split of the test rows; without it, test if there is one, otherwise all but train"),
    )
    neighbours: int = field(
        default=NEIGHBOURS, metadata=flag("Train rows that vote on a test row in the task knn", least=1)
    )
    samples: int = field(
        default=DEFAULT_SAMPLES,
        metadata=flag("Bootstrap samples for the confidence intervals; 0 gives no intervals", least=0),
    )
    seed: int = field(default=0, metadata=flag("Seed of all randomness"))
