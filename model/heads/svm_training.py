"""Training of support vector machines on embeddings, with scikit-learn."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.errors import ManifestError
from model.evaluation.statistics.metrics import Flags, Floats
from model.heads.options import AdapterOptions
from model.heads.scorers.scorer import Activation, Features, Tensors
from model.heads.scorers.svm import SvmScorer
from model.optional_dependencies import extra

_NO_SIGMOID = (1.0, 0.0)


def fit_svm(
    labels: tuple[str, ...],
    train: tuple[Features, Flags],
    validation: tuple[Features, Flags],
    activation: Activation,
    options: AdapterOptions,
) -> tuple[SvmScorer, list[str]]:
    """Fit one machine per label with balanced classes, and its sigmoid on the validation rows.

    The machines are scikit-learn's `SVC` on standardised embeddings.

    Args:
        labels: the L labels.
        train: embeddings (n, D), and the labels of each row, (n, L).
        validation: the same of the validation rows, which the machines do not learn from.
        activation: softmax: each row has one label; sigmoid: a row has any number of labels.
        options: options of the training.

    Returns:
        The scorer, and the labels without a sigmoid of their own. The validation rows all have such a label, or none
        has it; it gets one sigmoid that is fitted on the decision values of all labels together.

    Raises:
        ManifestError: all train rows have a label, or none has it.
    """
    features, truth = train
    for label, column in zip(labels, truth.T, strict=True):
        if column.all() or not column.any():
            raise ManifestError(f"a support vector machine needs train rows with and without the label {label!r}")
    scaler = extra("sklearn.preprocessing").StandardScaler().fit(features.astype(np.float64))
    scaled = scaler.transform(features.astype(np.float64))
    machine_of = extra("sklearn.svm").SVC
    settings = {"kernel": options.kernel, "C": options.svm_c, "gamma": options.gamma or "scale"}
    machines = [machine_of(class_weight="balanced", **settings).fit(scaled, column) for column in truth.T]
    fitted = _linear(machines, scaler) if options.kernel == "linear" else _rbf(machines, scaler, features, scaled)
    scorer = SvmScorer(fitted | _sigmoid([_NO_SIGMOID] * len(labels)), activation)
    decisions = scorer.decision_values(validation[0])
    calibrated = [_calibrated(decisions[:, number], column) for number, column in enumerate(validation[1].T)]
    uncalibrated = [label for label, found in zip(labels, calibrated, strict=True) if found is None]
    pooled = _calibrated(decisions.ravel(), validation[1].ravel()) if uncalibrated else None
    sigmoids = [found or pooled or _NO_SIGMOID for found in calibrated]
    return SvmScorer(fitted | _sigmoid(sigmoids), activation), uncalibrated


def _linear(machines: list[Any], scaler: Any) -> Tensors:
    """The machines as one layer that takes embeddings which are not standardised."""
    weight = np.concatenate([machine.coef_ for machine in machines]) / scaler.scale_
    bias = np.concatenate([machine.intercept_ for machine in machines]) - weight @ scaler.mean_
    return _tensors(weight=weight, bias=bias)


def _rbf(machines: list[Any], scaler: Any, features: Features, scaled: NDArray[np.float64]) -> Tensors:
    """The machines with the union of their support vectors. The kernel needs no shift: it takes differences."""
    rows = np.unique(np.concatenate([machine.support_ for machine in machines]))
    coefficients = np.zeros((len(machines), len(rows)))
    for machine, own in zip(machines, coefficients, strict=True):
        own[np.searchsorted(rows, machine.support_)] = machine.dual_coef_[0]
    gamma = machines[0].gamma
    return _tensors(
        support_vectors=features[rows],
        scale=1 / scaler.scale_,
        gamma=1 / (scaled.shape[1] * scaled.var()) if gamma == "scale" else gamma,
        dual_coefficients=coefficients,
        bias=np.concatenate([machine.intercept_ for machine in machines]),
    )


def _calibrated(decisions: Floats, positive: Flags) -> tuple[float, float] | None:
    """Slope and offset of Platt's sigmoid; None if all rows are positive or none is.

    The logistic regression has Platt's targets, which are not quite 0 and 1: each row counts once as positive and once
    as negative, with these weights (Platt 1999, section 2.2).
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    targets = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    spread = float(np.abs(decisions).max()) or 1.0
    regression = extra("sklearn.linear_model").LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    twice = np.concatenate([decisions, decisions])[:, None] / spread
    sides = np.repeat([1, 0], len(decisions))
    regression.fit(twice, sides, sample_weight=np.concatenate([targets, 1 - targets]))
    return float(regression.coef_[0, 0]) / spread, float(regression.intercept_[0])


def _sigmoid(pairs: list[tuple[float, float]]) -> Tensors:
    slopes, offsets = zip(*pairs, strict=True)
    return _tensors(slope=slopes, offset=offsets)


def _tensors(**arrays: Any) -> Tensors:
    """Tensors in float64; the support vectors keep the float32 of the embeddings."""
    return {
        name: torch.from_numpy(np.array(array, dtype=np.float32 if name == "support_vectors" else np.float64))
        for name, array in arrays.items()
    }
