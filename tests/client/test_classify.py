"""Images to predictions: labels, heads, parts, failed images, servers without the route."""

import base64
import inspect
import json
from typing import Any

import pytest
from medimageinsight import AsyncClient, Client, Failure, Prediction, Refused
from medimageinsight.requests.parts import Envelope, Row

from tests.support.samples import png
from tests.support.servers.embedding_server import ClassifyingServer, EmbeddingServer, running

BAD = base64.b64decode("badimage")
LABELS = ["pneumonia", "no finding"]


def with_client(call: Any) -> tuple[Any, EmbeddingServer]:
    """The result of a call, and the server that answered."""
    with running(ClassifyingServer(max_body_bytes=100_000)) as server, Client(server.url, progress=False) as client:
        return call(client), server


def test_images_are_classified_by_labels_in_parts_and_in_order() -> None:
    result, server = with_client(lambda client: client.classify([png(seed) for seed in range(5)], labels=LABELS))
    assert result == [[Prediction(label, score=0.5, call="positive") for label in LABELS]] * 5
    assert len(server.bodies) == 2  # at most 4 rows per request
    assert server.params == [{"labels": LABELS}] * 2


@pytest.mark.parametrize(
    "params", [{"labels": ["rows", "cells"]}, {"head": "rows"}, {"template": '"rows" {}'}], ids=str
)
def test_any_name_and_text_can_be_sent(params: dict[str, Any]) -> None:
    """A body has the word "rows" where its rows go."""
    envelope = Envelope.of("image", params)
    body = json.loads(envelope.body([Row(0, b'["image"]')]))
    assert body == {"input_data": {"columns": ["image"], "data": [["image"]]}, "params": params}


def test_only_what_is_given_is_sent_so_that_the_preprocessing_of_a_head_holds() -> None:
    _, server = with_client(lambda client: client.classify([png()], head="chest"))
    assert server.params == [{"head": "chest"}]


def test_every_parameter_reaches_the_server() -> None:
    given: dict[str, Any] = {"top_k": 1, "multi_label": True, "template": "{}.", "contrast": "equalize", "frame": 2}
    prompts: dict[str, Any] = {
        "pneumonia": ("an opacity", "pneumonia"),
        "no finding": "normal",
        "effusion": {"present": "fluid", "absent": ("no fluid",)},
    }
    _, server = with_client(lambda client: client.classify([png()], labels=prompts, dicom_window=(40, 400), **given))
    texts = json.loads(json.dumps(prompts))
    assert server.params == [{**given, "labels": texts, "dicom_window": [40, 400]}]


def test_several_heads_give_a_dict_per_image() -> None:
    result, server = with_client(lambda client: client.classify([png()], head=("modality", "age")))
    [row] = result
    assert row["modality"] == [Prediction("modality", score=1.0, call="positive")]
    assert row["age"][0].label == "age_months"
    assert row["age"][0].value > 0
    assert row["age"][0].score is None
    assert server.params == [{"head": ["modality", "age"]}]


def test_skip_makes_the_result_of_a_failed_image_none() -> None:
    failures: list[Failure] = []
    result, _ = with_client(
        lambda client: client.classify([png(), BAD, png()], labels=LABELS, errors="skip", failures=failures)
    )
    assert [row is None for row in result] == [False, True, False]
    assert [(failure.item, failure.kind, failure.code) for failure in failures] == [(1, "image", "bad")]
    with pytest.warns(UserWarning, match="1 of 1 images failed, and their results are None"):
        assert with_client(lambda client: client.classify([BAD], labels=LABELS, errors="skip"))[0] == [None]


def test_without_skip_a_failed_image_ends_the_call() -> None:
    with pytest.raises(Refused, match=r"^image 1: the image is bad"):
        with_client(lambda client: client.classify([png(), BAD], labels=LABELS))


def test_a_refusal_of_the_server_keeps_its_code() -> None:
    with running(ClassifyingServer()) as server, Client(server.url, progress=False) as client:
        server.statuses = [404]
        with pytest.raises(Refused, match=r"^No\.$") as refused:
            client.classify([png()], head="unknown")
        assert (refused.value.status, refused.value.code, refused.value.item) == (404, "no", None)


def test_a_server_without_the_route_is_named_as_too_old() -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        with pytest.raises(Refused, match="the server has no /classify: update it, because it is older") as refused:
            client.classify([png()], labels=LABELS)
        assert refused.value.status == 404


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": "pneumonia"}, r"not a string; write \['pneumonia'\] for one label"),
        ({"labels": LABELS, "dicom_windw": "lung"}, "'dicom_windw' is not a parameter; dicom_window, contrast, .* are"),
        ({"labels": LABELS, "normalize": True}, "'normalize' is not a parameter"),
    ],
    ids=["one string", "a misspelt parameter", "a parameter of embeddings"],
)
def test_wrong_arguments_are_type_errors_and_nothing_is_sent(given: dict[str, Any], message: str) -> None:
    with running(ClassifyingServer()) as server, Client(server.url, progress=False) as client:
        with pytest.raises(TypeError, match=message):
            client.classify([png()], **given)
        assert not server.bodies


async def test_the_asynchronous_client_classifies_too() -> None:
    with running(ClassifyingServer(max_body_bytes=100_000)) as server:
        async with AsyncClient(server.url, progress=False) as client:
            assert len(await client.classify([png()] * 6, labels=LABELS)) == 6


@pytest.mark.parametrize("name", ["embed_images", "embed_texts", "classify", "similarity"])
def test_both_clients_have_the_same_parameters_and_descriptions(name: str) -> None:
    blocking, asynchronous = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(blocking) == inspect.signature(asynchronous)
    assert inspect.getdoc(blocking) == inspect.getdoc(asynchronous)
