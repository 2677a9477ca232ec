"""Support vector machines: their scores are those of scikit-learn, and need no scikit-learn once they are made."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from model.errors import HeadError
from model.evaluation.labels import truth_of
from model.evaluation.statistics.metrics import Flags, Floats
from model.heads.adapter_training import train_adapter
from model.heads.head_folder import save_head
from model.heads.options import AdapterOptions
from model.heads.scorers.scorer import Activation, Features
from model.heads.scorers.svm import SvmScorer
from model.heads.svm_training import fit_svm
from tests.model.heads.embedded_rows import LABELS, embedded

TRAIN, VALIDATION = embedded(90, spread=0.5), embedded(60, seed=1, spread=0.5)
FEATURES = embedded(50, seed=2, spread=0.5).features
TRAIN_TRUTH, VALIDATION_TRUTH = truth_of(TRAIN.rows, LABELS), truth_of(VALIDATION.rows, LABELS)

OPTIONS = {
    "RBF": AdapterOptions(kind="svm"),
    "RBF with C and gamma": AdapterOptions(kind="svm", svm_c=3.0, gamma=0.02),
    "linear": AdapterOptions(kind="svm", kernel="linear"),
}


def fitted(options: AdapterOptions, activation: Activation = "softmax") -> SvmScorer:
    train, validation = (TRAIN.features, TRAIN_TRUTH), (VALIDATION.features, VALIDATION_TRUTH)
    return fit_svm(LABELS.names, train, validation, activation, options)[0]


def machine_of_sklearn(options: AdapterOptions, positive: Flags) -> Any:
    settings = {"kernel": options.kernel, "C": options.svm_c, "gamma": options.gamma or "scale"}
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced", **settings))
    return machine.fit(TRAIN.features.astype(np.float64), positive)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_scores_are_those_of_scikit_learn(options: AdapterOptions) -> None:
    decisions: list[Floats] = []
    probabilities: list[Floats] = []
    for number, positive in enumerate(TRAIN_TRUTH.T):
        machine = machine_of_sklearn(options, positive)
        decisions.append(machine.decision_function(FEATURES.astype(np.float64)))
        calibrated = CalibratedClassifierCV(FrozenEstimator(machine), method="sigmoid")
        calibrated.fit(VALIDATION.features.astype(np.float64), VALIDATION_TRUTH[:, number])
        probabilities.append(calibrated.predict_proba(FEATURES.astype(np.float64))[:, 1])
    own = fitted(options).decision_values(FEATURES)
    assert own == pytest.approx(np.stack(decisions, axis=1), abs=1e-6)
    each = np.stack(probabilities, axis=1)
    # scikit-learn ends its search for the sigmoid at a gradient of 1e-6, ours ends later.
    assert score(options, "sigmoid") == pytest.approx(each, abs=1e-5)
    assert score(options, "softmax") == pytest.approx(each / each.sum(axis=1, keepdims=True), abs=1e-5)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_scores_are_the_sigmoid_of_the_decision_values(options: AdapterOptions) -> None:
    scorer = fitted(options, "sigmoid")
    slope, offset = (scorer.tensors()[name].numpy() for name in ("slope", "offset"))
    decisions = np.stack(
        [
            machine_of_sklearn(options, positive).decision_function(FEATURES.astype(np.float64))
            for positive in TRAIN_TRUTH.T
        ],
        axis=1,
    )
    assert score(options, "sigmoid") == pytest.approx(1 / (1 + np.exp(-(slope * decisions + offset))), abs=1e-6)


def test_the_sigmoid_has_platt_s_targets() -> None:
    """Where it fits best, the mean probability is that of the targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2)."""
    scorer = fitted(OPTIONS["RBF"], "sigmoid")
    for column, positive in enumerate(VALIDATION_TRUTH.T):
        count = positive.sum()
        targets = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
        means = scorer.scores(VALIDATION.features, each_label_by_itself=False)[:, column].mean()
        assert means == pytest.approx(targets.mean(), abs=1e-6)


def score(options: AdapterOptions, activation: Activation) -> Floats:
    return fitted(options, activation).scores(FEATURES, each_label_by_itself=False)


def test_the_machines_share_their_support_vectors() -> None:
    scorer = fitted(OPTIONS["RBF"])
    tensors = scorer.tensors()
    assert tensors["support_vectors"].shape == (len(tensors["dual_coefficients"].T), 6)
    assert len(torch.unique(tensors["support_vectors"], dim=0)) == len(tensors["support_vectors"]) <= 90
    assert (tensors["dual_coefficients"] != 0).any(dim=0).all()


def test_a_tiny_probability_of_every_label_still_sums_to_one() -> None:
    """Each machine is sure that the image is not of its label."""
    tensors = {"weight": torch.zeros(2, 3), "bias": torch.tensor([-2000.0, -2001.0])}
    scorer = SvmScorer.from_tensors(tensors | {"slope": torch.ones(2), "offset": torch.zeros(2)}, "softmax")
    scores = scorer.scores(np.zeros((1, 3), np.float32), each_label_by_itself=False)
    assert scores == pytest.approx(np.array([[1, np.exp(-1)]]) / (1 + np.exp(-1)))


def test_a_served_machine_needs_no_scikit_learn(tmp_path: Path) -> None:
    head = train_adapter(TRAIN, LABELS, OPTIONS["RBF"], validation=VALIDATION)
    save_head(head, tmp_path / "head")
    np.save(tmp_path / "features.npy", FEATURES)
    program = (
        "import sys; sys.modules['sklearn'] = None\n"  # an import of scikit-learn then fails
        "from pathlib import Path\nimport numpy as np\nfrom model.heads.head_folder import load_head\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "np.save(folder / 'scores.npy', load_head(folder / 'head').scores(np.load(folder / 'features.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (np.load(tmp_path / "scores.npy") == head.scores(FEATURES)).all()


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


def cut(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: tensors | {name: tensors[name][:-1]}


DAMAGES = {
    "no sigmoid": ("RBF", without("slope"), "the tensor slope is missing"),
    "no scale": ("RBF", without("scale"), "the tensor scale is missing"),
    "another scale": ("RBF", cut("scale"), r"scale has the shape \[5\], but \[6\]"),
    "too few coefficients": ("RBF", cut("dual_coefficients"), r"dual_coefficients has the shape \[2, .*, but \[3, "),
    "too few support vectors": ("RBF", cut("support_vectors"), r"dual_coefficients has the shape \[3, "),
    "too few weights": ("linear", cut("weight"), r"weight has the shape \[2, 6\], but \[3, any\]"),
    "too few offsets": ("linear", cut("offset"), r"offset has the shape \[2\], but \[3\]"),
    "both kernels": ("linear", lambda tensors: tensors | {"gamma": torch.tensor(1.0)}, "1 tensors are unknown"),
}


@pytest.mark.parametrize(("kernel", "damage", "sentence"), DAMAGES.values(), ids=DAMAGES)
def test_unsuitable_tensors_are_refused_by_name(kernel: str, damage: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(HeadError, match=sentence):
        SvmScorer.from_tensors(damage(fitted(OPTIONS[kernel]).tensors()), "softmax")


def test_labels_without_validation_rows_are_named() -> None:
    none_of_c: Features = VALIDATION.features[VALIDATION_TRUTH[:, 2] == 0]
    truth = VALIDATION_TRUTH[VALIDATION_TRUTH[:, 2] == 0]
    options = replace(OPTIONS["RBF"], svm_c=2.0)
    scorer, uncalibrated = fit_svm(LABELS.names, (TRAIN.features, TRAIN_TRUTH), (none_of_c, truth), "sigmoid", options)
    assert uncalibrated == ["c"]
    own = scorer.scores(none_of_c, each_label_by_itself=False)[:, 2]
    slope, offset = (scorer.parameters[name].numpy()[2] for name in ("slope", "offset"))
    decisions = scorer.decision_values(none_of_c)
    assert own == pytest.approx(1 / (1 + np.exp(-(slope * decisions[:, 2] + offset))))
    # The sigmoid is the one that fits best on all decision values together: see the test of Platt's targets.
    count = truth.sum()
    targets = np.where(truth, (count + 1) / (count + 2), 1 / (truth.size - count + 2))
    probabilities = 1 / (1 + np.exp(-(slope * decisions + offset)))
    assert probabilities.mean() == pytest.approx(targets.mean(), abs=1e-6)
    assert (probabilities * decisions).mean() == pytest.approx((targets * decisions).mean(), abs=1e-6)


def test_without_any_validation_label_the_sigmoid_is_that_of_the_decision_value() -> None:
    truth = np.zeros_like(VALIDATION_TRUTH)
    train, validation = (TRAIN.features, TRAIN_TRUTH), (VALIDATION.features, truth)
    scorer, uncalibrated = fit_svm(LABELS.names, train, validation, "sigmoid", OPTIONS["RBF"])
    assert uncalibrated == list(LABELS.names)
    own = scorer.scores(FEATURES, each_label_by_itself=False)
    assert own == pytest.approx(1 / (1 + np.exp(-scorer.decision_values(FEATURES))))
