"""Microsoft's toolkit and MCP server without Azure: the ways to construct their clients, what they send and read."""

import base64
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pydicom.data
import pytest

from model.engine import EmbeddingEngine
from tests.conftest import IMAGES
from tests.support.public_clients.healthcareai_toolkit.clients import MedImageInsightClient
from tests.support.public_clients.healthcareai_toolkit.clients.medimage import medimagebase
from tests.support.public_clients.mi2_client import MI2Client, sent_image
from tests.support.samples import TEXT, assert_close, image_vector, text_vector
from tests.support.servers.serving import serving

PHOTO = str(IMAGES / "fundus_rgb.jpg")
LABELS = [TEXT, "fundus photograph", "mri brain"]


@pytest.fixture(scope="module")
def url(small_release: Path) -> Iterator[str]:
    with serving(small_release, api_keys="key") as url:
        yield f"{url}/score"


@pytest.fixture
def mi2_client(url: str) -> MI2Client:
    return MI2Client(url, "Bearer key")


@pytest.fixture
def toolkit_client(url: str, monkeypatch: pytest.MonkeyPatch) -> MedImageInsightClient:
    """The toolkit's client, constructed as docs/clients.md says."""
    endpoint = SimpleNamespace(target=url, headers={"Authorization": "Bearer key"})
    monkeypatch.setattr(medimagebase, "WorkspaceEndpointManager", lambda *_: endpoint)
    return MedImageInsightClient()


def decoded(image: str) -> bytes:
    return base64.b64decode(image)


def test_mi2_client_with_a_longer_list_of_texts(mi2_client: MI2Client, engine: EmbeddingEngine) -> None:
    rows = mi2_client.submit(image_list=[PHOTO], text_list=LABELS)
    assert ["image_features" in row for row in rows] == [True, False, False]
    vector = np.array(rows[0]["image_features"], np.float32).reshape(-1)
    assert_close(vector, image_vector(engine, decoded(sent_image(PHOTO))))
    for row, label in zip(rows, LABELS, strict=True):
        assert_close(np.array(row["text_features"], np.float32).reshape(-1), text_vector(engine, label))
    assert rows[0]["scaling_factor"] == engine.logit_scale


def test_zero_shot_classification_of_the_mcp_server(mi2_client: MI2Client, engine: EmbeddingEngine) -> None:
    """It sends one image, then all labels, and takes a softmax over exp(scaling factor) times the cosines."""
    image = np.squeeze(np.array(mi2_client.submit(image_list=[PHOTO])[0]["image_features"]))
    rows = mi2_client.submit(text_list=LABELS)
    texts = np.stack([np.squeeze(np.array(row["text_features"])) for row in rows])
    powers = np.exp(np.exp(float(rows[0]["scaling_factor"])) * (image @ texts.T))
    right = image_vector(engine, decoded(sent_image(PHOTO))) @ np.stack([text_vector(engine, one) for one in LABELS]).T
    wanted = np.exp(np.exp(engine.logit_scale) * right)
    assert (powers / powers.sum()).tolist() == pytest.approx((wanted / wanted.sum()).tolist(), abs=1e-3)


def test_the_mcp_server_starts_without_azure(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The MCP server constructs its client by `from_endpoint`, from a variable or its tool's argument."""

    from_url = classmethod(lambda cls, address, **_: cls(address, "Bearer key"))
    monkeypatch.setattr(MI2Client, "from_endpoint", from_url)
    client = MI2Client.from_endpoint(url, exclude_managed_identity=False)
    assert len(client.submit(text_list=LABELS)) == len(LABELS)


def test_the_statuses_that_mi2_client_explains_are_sent(url: str) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        MI2Client(url, "Bearer another").submit(text_list=LABELS)
    assert error.value.response.status_code == 403
    with pytest.raises(httpx.HTTPStatusError) as error:
        MI2Client(f"{url}s", "Bearer key").submit(text_list=LABELS)
    assert error.value.response.status_code == 404


def test_the_toolkit_with_a_dicom_file_and_a_picture(
    toolkit_client: MedImageInsightClient, engine: EmbeddingEngine
) -> None:
    scan = str(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    rows = toolkit_client.submit(image_list=[scan, PHOTO], text_list=[TEXT])
    for row, path in zip(rows, (scan, PHOTO), strict=True):
        sent = decoded(medimagebase.sent_image(path))
        assert_close(np.array(row["image_features"], np.float32).reshape(-1), image_vector(engine, sent))
    assert ["text_features" in row for row in rows] == [True, False]


def test_the_params_of_the_toolkit_reach_the_server(toolkit_client: MedImageInsightClient) -> None:
    toolkit_client.params = {"get_scaling_factor": False, "layout": "azure"}
    (row,) = toolkit_client.submit(text_list=[TEXT])
    assert list(row) == ["text_features"]
    assert np.ndim(row["text_features"]) == 1
