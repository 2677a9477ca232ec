"""Classification by a real server, with labels and with heads that it has loaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from medimageinsight import Client, Failure, Prediction, Refused

from model.engine import EmbeddingEngine
from model.engine_embedder import EngineEmbedder
from model.evaluation.prompts import as_prompts
from model.heads.head import Head
from model.heads.head_folder import save_head
from model.heads.scorers.layers import LayersScorer, build_layers
from model.heads.zero_shot import make_zero_shot_head
from model.imaging.preprocessing import Preprocessing
from tests.support.samples import png
from tests.support.servers.serving import serving

LABELS = ["chest x-ray", "computed tomography", "mri breast"]
PLAIN: Any = {"image_standardization_jpeg_compression_ratio": 0}
PLAIN_PREPROCESSING = Preprocessing(standardization=None)
IMAGES = [png(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def client(small_release: Path, engine: EmbeddingEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with the heads `exam`, which takes images without standardisation, and `age`."""
    folder = tmp_path_factory.mktemp("heads")
    model = {"name": engine.release.name, "weights_sha256": engine.release.weights_sha256()}
    prompts = as_prompts({label: label for label in LABELS})
    exam = make_zero_shot_head(EngineEmbedder(lambda: engine), prompts, model=model, preprocessing=PLAIN_PREPROCESSING)
    layers = LayersScorer(build_layers((engine.embedding_size, 1)).eval(), "identity")
    save_head(exam, folder / "exam")
    save_head(Head("linear", ("age_months",), "identity", layers, model), folder / "age")
    heads = f"{folder / 'exam'},{folder / 'age'}"
    with serving(small_release, max_rows=2, heads=heads) as url, Client(url, progress=False) as client:
        yield client


def softmax_of_similarities(client: Client, **preprocessing: Any) -> Any:
    scale = np.exp(client.info()["model"]["scaling_factor"])
    powers = np.exp(scale * client.similarity(images=IMAGES, to_texts=LABELS, **preprocessing).astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def scores(rows: list[list[Prediction]]) -> list[list[float | None]]:
    """The scores of each image in the order of the labels."""
    return [[{found.label: found.score for found in row}[label] for label in LABELS] for row in rows]


def test_the_scores_of_labels_are_the_softmax_of_the_similarities(client: Client) -> None:
    rows = client.classify(IMAGES, labels=LABELS)
    np.testing.assert_allclose(np.array(scores(rows)), softmax_of_similarities(client), atol=1e-4)
    assert all(row == sorted(row, key=lambda found: -found.score) for row in rows)


def test_a_head_gets_its_own_preprocessing_unless_the_call_has_another(client: Client) -> None:
    plain, standardized = softmax_of_similarities(client, **PLAIN), softmax_of_similarities(client)
    assert np.abs(plain - standardized).max() > 1e-3
    np.testing.assert_allclose(np.array(scores(client.classify(IMAGES, head="exam"))), plain, atol=1e-4)
    other = client.classify(IMAGES, head="exam", image_standardization_jpeg_compression_ratio=75)
    np.testing.assert_allclose(np.array(scores(other)), standardized, atol=1e-4)


def test_several_heads_answer_at_once(client: Client) -> None:
    """An image counts as a row per preprocessing, so that a request of this client may have one image."""
    rows = client.classify(IMAGES, head=["age", "exam"], top_k=1)
    assert [sorted(row) for row in rows] == [["age", "exam"]] * 3
    [age] = rows[0]["age"]
    assert isinstance(age.value, float)
    assert age == Prediction("age_months", value=age.value)
    assert len(rows[0]["exam"]) == 1


def test_a_bad_image_is_skipped(client: Client) -> None:
    failures: list[Failure] = []
    rows = client.classify([*IMAGES, b"no image"], labels=LABELS, errors="skip", failures=failures)
    assert [row is None for row in rows] == [False, False, False, True]
    assert [(failure.item, failure.code) for failure in failures] == [(3, "undecodable_image")]


def test_an_unknown_head_is_refused_with_the_names_of_the_loaded_ones(client: Client) -> None:
    with pytest.raises(Refused, match="exam, age") as refused:
        client.classify(IMAGES, head="knee", errors="skip")
    assert refused.value.status == 404


@pytest.mark.parametrize("labels", [["ct", "ct"], ["ct", ""], []], ids=["doubled", "blank", "none"])
def test_wrong_labels_are_not_taken_for_a_wrong_image(client: Client, labels: list[str]) -> None:
    with pytest.raises(Refused, match=r"params\.labels") as refused:
        client.classify(IMAGES, labels=labels, errors="skip", failures=[])
    assert (refused.value.status, refused.value.item) == (400, None)
