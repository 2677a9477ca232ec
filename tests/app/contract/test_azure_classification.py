"""Classification models of Azure behind their own URL: the public notebook and the MCP server read the answers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import requests
from numpy.typing import NDArray

from model.checkpoints.release_folder import find_release_folder
from model.engine import EmbeddingEngine
from model.heads.azure_classifier import read_azure_classifier
from model.heads.head_folder import save_head
from tests.conftest import IMAGES
from tests.model.checkpoints.azure_folder import (
    adapter_probabilities,
    adapter_state,
    write_adapter_folder,
    write_zero_shot_folder,
)
from tests.support.public_clients.mi2_client import MI2Client, sent_image
from tests.support.samples import TEXT, encoded, png, table
from tests.support.servers.serving import serving

PHOTO = str(IMAGES / "fundus_rgb.jpg")
LABELS = ["endoscopy gastrointestinal normal esophagus", "endoscopy gastrointestinal polyp", "fundus photograph"]
CLOSE = 1e-6
THRESHOLDS = {
    label: {"youden": {"threshold": youden}, "sensitivity_90": {"threshold": youden / 2}}
    for label, youden in zip(LABELS, (0.1, 0.9, 0.9), strict=True)
}


@pytest.fixture(scope="module")
def zero_shot_url(small_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_zero_shot_folder(tmp_path_factory.mktemp("azure") / "zero-shot", small_release, LABELS)
    with serving(folder) as url:
        yield url


@pytest.fixture(scope="module")
def adapter_url(
    small_release: Path, engine: EmbeddingEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server of an adapter's folder, and of the same adapter as a head with operating points."""
    parent = tmp_path_factory.mktemp("azure")
    folder = write_adapter_folder(parent / "adapter", small_release, LABELS, engine.embedding_size)
    checkpoints = folder / "artifacts" / "checkpoints" / small_release.name
    classifier = read_azure_classifier(find_release_folder(checkpoints), engine.embedding_size, max_labels=10)
    assert classifier is not None
    facts = {"name": engine.release.name, "weights_sha256": engine.release.weights_sha256()}
    head = classifier.head(facts, lambda: engine)
    save_head(replace(head, thresholds=THRESHOLDS), parent / "operating")
    with serving(folder, heads=str(parent / "operating")) as url:
        yield url


def make_request(url: str, image: str) -> Any:
    """The request of the notebook's cell 24."""
    body = {
        "input_data": {"columns": ["image"], "index": [0], "data": [[image]]},
        "params": {"image_standardization_jpeg_compression_ratio": 95, "image_standardization_image_size": 480},
    }
    headers = {"Authorization": "Bearer key", "azureml-model-deployment": "gastrovision"}
    return requests.post(f"{url}/score", json=body, headers=headers, timeout=60).json()


def collect_results(url: str, images: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Predicted label per image, and one row per image and label, as the notebook's cell 28 gathers them."""
    predicted, scores = [], []
    for _, row in images.iterrows():
        result = make_request(url, row["image"])[0]
        predicted.append(result[0]["label"])
        scores += [{"id": row["id"], **entry} for entry in result]
    return predicted, pd.DataFrame(scores)


def as_matrix(scores: pd.DataFrame) -> NDArray[np.float64]:
    """Scores of each image in the order of the label file, as the notebook's cell 31 sorts them."""
    number_of = {label: number for number, label in enumerate(LABELS)}
    rows = []
    for name in scores["id"].unique():
        records = scores[scores["id"] == name].to_dict("records")
        rows.append([record["score"] for record in sorted(records, key=lambda record: number_of[record["label"]])])
    return np.array(rows)


def embedded(url: str, columns: Sequence[str], rows: Sequence[Any], **params: Any) -> NDArray[np.float32]:
    """What `/embed` answers, one request per row."""
    features = []
    for row in rows:
        answer = httpx.post(f"{url}/embed", json=table(columns, [[row]], params=params), timeout=60).json()
        features.append(answer[0][f"{columns[0]}_features"][0])
    return np.array(features, np.float32)


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


@pytest.mark.parametrize("kind", ["zero-shot", "adapter"])
def test_the_notebook_collects_the_scores_of_azures_wrappers(
    kind: str, zero_shot_url: str, adapter_url: str, engine: EmbeddingEngine
) -> None:
    url = zero_shot_url if kind == "zero-shot" else adapter_url
    images = pd.DataFrame({"id": ["a", "b", "c"], "image": [encoded(png(seed)) for seed in range(3)]})
    predicted, scores = collect_results(url, images)
    params = {"image_standardization_jpeg_compression_ratio": 95, "image_standardization_image_size": 480}
    features = embedded(url, ["image"], images["image"], **params)
    if kind == "zero-shot":
        texts = embedded(url, ["text"], [f"{label}." for label in LABELS])
        wanted = softmax(np.exp(engine.logit_scale) * (features.astype(np.float64) @ texts.T))
    else:
        wanted = adapter_probabilities(adapter_state(engine.embedding_size, len(LABELS)), features)
    assert np.abs(as_matrix(scores) - wanted).max() < CLOSE
    assert predicted == [LABELS[place] for place in wanted.argmax(1)]


@pytest.mark.parametrize("kind", ["zero-shot", "adapter"])
def test_the_notebooks_bar_chart_sorts_the_answer(kind: str, zero_shot_url: str, adapter_url: str) -> None:
    response = make_request(zero_shot_url if kind == "zero-shot" else adapter_url, encoded(png(1)))[0]
    ranked = sorted(response, key=lambda entry: entry["score"], reverse=True)
    labels, scores = zip(*[(entry["label"], entry["score"]) for entry in ranked][::-1], strict=True)
    assert ranked == response
    assert sorted(labels) == sorted(LABELS)
    assert list(scores) == sorted(scores)
    assert sum(scores) == pytest.approx(1)


def test_the_mcp_servers_zero_shot_arithmetic_gives_the_same_numbers(zero_shot_url: str) -> None:
    """Its client sends a column of texts too, so it gets embeddings from the same URL."""
    client = MI2Client(f"{zero_shot_url}/score", "Bearer key")
    image = np.squeeze(np.array(client.submit(image_list=[PHOTO])[0]["image_features"]))
    rows = client.submit(text_list=[f"{label}." for label in LABELS])
    texts = np.stack([np.squeeze(np.array(row["text_features"])) for row in rows])
    by_client = softmax(np.exp(float(rows[0]["scaling_factor"])) * (image @ texts.T))
    body = table(["image"], [[sent_image(PHOTO)]])
    (row,) = httpx.post(f"{zero_shot_url}/score", json=body, timeout=60).json()
    by_server = {entry["label"]: entry["score"] for entry in row}
    assert [by_server[label] for label in LABELS] == pytest.approx(by_client.tolist(), abs=CLOSE)


def test_the_mcp_servers_adapter_arithmetic_gives_the_same_numbers_and_calls(
    adapter_url: str, engine: EmbeddingEngine
) -> None:
    state = adapter_state(engine.embedding_size, len(LABELS))
    bundle: dict[str, Any] = {
        "model": SimpleNamespace(predict_proba=lambda features: adapter_probabilities(state, features)),
        "labels": LABELS,
        "operating_points": {
            label: {"youden_j": points["youden"]["threshold"], "sens90": points["sensitivity_90"]["threshold"]}
            for label, points in THRESHOLDS.items()
        },
    }
    rows = MI2Client(f"{adapter_url}/score", "Bearer key").submit(image_list=[PHOTO])
    features = np.asarray(rows[0]["image_features"], np.float32).reshape(1, -1)
    by_client = dict(zip(bundle["labels"], map(float, bundle["model"].predict_proba(features)[0]), strict=True))
    calls = {}
    for label, score in by_client.items():
        points = bundle["operating_points"][label]
        rule = "negative" if score <= points["sens90"] else "possible"
        calls[label] = "positive" if score >= points["youden_j"] else rule
    body = table(["image"], [[sent_image(PHOTO)]], params={"head": "operating"})
    (row,) = httpx.post(f"{adapter_url}/classify", json=body, timeout=60).json()
    assert {entry["label"]: entry["score"] for entry in row} == pytest.approx(by_client, abs=CLOSE)
    assert {entry["label"]: entry["call"] for entry in row} == calls
    assert len(set(calls.values())) > 1
    (own,) = httpx.post(f"{adapter_url}/score", json=table(["image"], [[sent_image(PHOTO)]]), timeout=60).json()
    assert {entry["label"]: entry["score"] for entry in own} == pytest.approx(by_client, abs=CLOSE)


def test_mlflows_forms_are_wrapped_in_predictions(adapter_url: str) -> None:
    image = encoded(png(2))
    split = {"dataframe_split": {"columns": ["image"], "data": [[image]]}}
    records = {"dataframe_records": [{"image": image}]}
    for url in (f"{adapter_url}/score", f"{adapter_url}/invocations"):
        (row,) = httpx.post(url, json=table(["image"], [[image]]), timeout=60).json()
        assert [set(entry) for entry in row] == [{"label", "score"}] * len(LABELS)
    for body in (split, records):
        answer = httpx.post(f"{adapter_url}/invocations", json=body, timeout=60).json()
        assert answer == {"predictions": [row]}


def test_everything_else_embeds_and_classify_takes_the_folders_own_head(adapter_url: str) -> None:
    image = encoded(png(2))
    both, texts = table(["image", "text"], [[image, TEXT]]), table(["text"], [[TEXT]])
    for body, sides in ((both, {"image_features", "text_features"}), (texts, {"text_features"})):
        (row,) = httpx.post(f"{adapter_url}/score", json=body, timeout=60).json()
        assert set(row) == sides | {"scaling_factor"}
    (row,) = httpx.post(f"{adapter_url}/embed", json=table(["image"], [[image]]), timeout=60).json()
    assert set(row) == {"image_features", "scaling_factor"}
    files = {"files": png(2)}
    (by_classify,) = httpx.post(f"{adapter_url}/classify", files=files, timeout=60).json()
    (by_score,) = httpx.post(f"{adapter_url}/score", files=files, timeout=60).json()
    assert [entry["label"] for entry in by_classify] == [entry["label"] for entry in by_score]
    names = {head["name"]: head["default"] for head in httpx.get(f"{adapter_url}/heads").json()["heads"]}
    assert names == {"default": True, "operating": False}


def test_a_bad_row_is_answered_in_its_place(adapter_url: str) -> None:
    body = table(["image"], [[encoded(b"no image")], [encoded(png(1))]], params={"on_error": "row"})
    answer = httpx.post(f"{adapter_url}/score", json=body, timeout=60)
    bad, good = answer.json()
    assert bad["error"]["code"] == "undecodable_image"
    assert len(good) == len(LABELS)
    assert answer.headers["x-failed-rows"] == "1"


def test_parameters_that_only_embeddings_have_are_listed_as_ignored(adapter_url: str) -> None:
    body = table(["image"], [[encoded(png(1))]], params={"get_scaling_factor": True, "other": 1})
    answer = httpx.post(f"{adapter_url}/score", json=body, timeout=60)
    assert answer.headers["x-ignored-params"] == "other, get_scaling_factor"
