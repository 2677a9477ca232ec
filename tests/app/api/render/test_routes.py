"""The route `/render`: the picture that the encoder gets, for every form of a request."""

import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.imaging.images import decode
from model.imaging.limits import MAX_PIXELS
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, WINDOWS, PercentileWindow, Rendering, Window
from tests.support.image_files.dicom import ct
from tests.support.samples import TEXT, assert_refused, damaged, encoded, huge_png, picture, png, saved, table
from tests.support.servers.picture_server import ANSWERS, HOST, fetcher, picture_server
from tests.support.servers.serving import serving

HEAD = np.random.default_rng(0).integers(-1000, 1000, (5, 16, 16)).astype(np.int16)
SECRET = "Q7patientQ7"
SERIES = ct(HEAD, PatientName=SECRET)
VOLUME = gzip.compress(nibabel.Nifti1Image(HEAD.transpose(2, 1, 0), np.eye(4)).to_bytes())
RAW = {"content-type": "application/octet-stream"}


def pixels(answer: httpx.Response) -> NDArray[np.uint8]:
    """The picture of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content), formats=["PNG"]))


def decoded(data: bytes, rendering: Rendering = AS_STORED) -> NDArray[np.uint8]:
    """The picture of the decoder itself."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=rendering))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "image/png"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/octet-stream, */*", "image/png"),
        ("application/octet-stream;q=0, */*", "image/png"),
        ("image/*, application/octet-stream;q=0.1", "image/png"),
        ("image/png;q=0, application/octet-stream", "application/octet-stream"),
    ],
)
async def test_the_content_type_is_that_of_a_png_unless_a_client_prefers_bytes(
    accept: str, content_type: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/render", content=png(), headers=RAW | {"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.content.startswith(b"\x89PNG")


async def test_every_form_of_a_request_shows_the_same_picture(client: httpx.AsyncClient) -> None:
    wanted = decoded(SERIES, Rendering(frame=3, window=WINDOWS["lung"]))
    params = {"frame": 3, "dicom_window": "lung"}
    texts = {name: str(value) for name, value in params.items()}
    by_rows: dict[str, Any] = {"json": table(["image"], [[encoded(SERIES)]], params=params)}
    for form in (
        by_rows,
        {"json": table(["image"], [{"image": encoded(SERIES)}], params=params)},
        {"content": SERIES, "params": texts, "headers": {"content-type": "application/dicom"}},
        {"content": SERIES, "params": texts, "headers": RAW},
        {"files": {"file": ("IM1", SERIES)}, "params": texts},
        {"files": {"file": ("IM1", SERIES)}, "data": texts},
        {"files": {"file": ("IM1", SERIES)}, "data": texts | {"frame": "9"}, "params": {"frame": "3"}},
    ):
        answer = await client.post("/render", **form)
        assert np.array_equal(pixels(answer), wanted)
        assert answer.headers["x-frames"] == "5"


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
async def test_the_frames_of_a_volume_are_the_slices_across_the_axis(axis: Any, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/render?axis={axis}&dicom_window=40,400", content=VOLUME, headers=RAW)
    assert np.array_equal(pixels(answer), decoded(VOLUME, Rendering(axis=axis, window=Window(40, 400))))
    assert answer.headers["x-frames"] == {"axial": "5", "coronal": "16", "sagittal": "16"}[axis]


async def test_percentiles_and_contrast_are_shown(client: httpx.AsyncClient) -> None:
    scan = ct(np.random.default_rng(0).gamma(2, 300, (40, 40)).astype(np.int16))
    for contrast in ("none", "equalize"):
        answer = await client.post(f"/render?dicom_window=p5-p95&contrast={contrast}", content=scan, headers=RAW)
        rendering = Rendering(window=PercentileWindow(5, 95), contrast=contrast)
        assert np.array_equal(pixels(answer), decoded(scan, rendering))
    assert not np.array_equal(pixels(answer), decoded(scan, Rendering(window=PercentileWindow(5, 95))))


async def test_standardized_shows_the_picture_after_the_first_step(client: httpx.AsyncClient) -> None:
    file = saved(picture().convert("P"))
    body = table(["image"], [[encoded(file)]], params={"standardized": True})
    answer = await client.post("/render", json=body)
    assert np.array_equal(pixels(answer), np.asarray(Standardization()(Image.open(io.BytesIO(file)))))
    query = "standardized=true&image_standardization_image_size=64&image_standardization_jpeg_compression_ratio=20"
    answer = await client.post(f"/render?{query}", content=file, headers=RAW)
    assert np.array_equal(pixels(answer), np.asarray(Standardization(64, 20)(Image.open(io.BytesIO(file)))))
    query = "standardized=true&image_standardization_jpeg_compression_ratio=0"
    answer = await client.post(f"/render?{query}", content=file, headers=RAW)
    assert np.array_equal(pixels(answer), decoded(saved(picture().convert("P").convert("RGB"))))


async def test_the_picture_gives_the_vector_of_the_file(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    for file in (SERIES, VOLUME, png(), saved(picture().convert("L"))):
        answer = await client.post("/render", content=file, headers=RAW)
        assert np.array_equal(engine.preprocess_image(answer.content), engine.preprocess_image(file))
    transparent = picture().convert("RGBA")
    transparent.putalpha(picture(1).convert("L"))
    for file in (SERIES, VOLUME, saved(picture().convert("P")), saved(picture().convert("1")), saved(transparent)):
        answer = await client.post("/render?standardized=true", content=file, headers=RAW)
        assert np.array_equal(engine.preprocess_image(answer.content, None), engine.preprocess_image(file))


async def test_more_than_one_image_is_refused(client: httpx.AsyncClient) -> None:
    body = table(["image"], [[encoded(png())], [encoded(png(1))]])
    assert_refused(await client.post("/render", json=body), 400, "invalid_request", "2 images", "send one image")
    files = [("f", ("a", png())), ("f", ("b", png()))]
    assert_refused(await client.post("/render", files=files), 400, "invalid_request", "2 images", "send one image")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"frames": "all"}, "each image gives one picture"),
        ({"frame": -1}, "frame is wrong"),
        ({"axis": "oblique"}, "axis is wrong"),
        ({"dicom_window": "lungs"}, "known names are abdomen, bone"),
        ({"standardized": "perhaps"}, "standardized is wrong"),
        ({"image_standardization_image_size": 0}, "image_standardization_image_size is wrong"),
    ],
)
async def test_bad_parameters(params: dict[str, Any], words: str, client: httpx.AsyncClient) -> None:
    body = table(["image"], [[encoded(SERIES)]], params=params)
    assert_refused(await client.post("/render", json=body), 400, "invalid_request", "params.", words)
    texts = {name: str(value) for name, value in params.items()}
    answer = await client.post("/render", params=texts, content=SERIES, headers=RAW)
    assert_refused(answer, 400, "invalid_request", words)
    answer = await client.post("/render", data=texts, files={"file": SERIES})
    assert_refused(answer, 400, "invalid_request", words)


async def test_parameters_that_do_not_change_the_picture_are_ignored_by_name(client: httpx.AsyncClient) -> None:
    params = {"normalize": False, "layout": "rows", "frames": None, "frame": 1}
    answer = await client.post("/render", json=table(["image"], [[encoded(SERIES)]], params=params))
    assert answer.headers["x-ignored-params"] == "normalize, layout"
    answer = await client.post("/render?api-version=1", content=png(), headers=RAW)
    assert answer.headers["x-ignored-params"] == "api-version"
    answer = await client.post("/render?frame=9", json=table(["image"], [[encoded(SERIES)]]))
    assert answer.headers["x-ignored-params"] == "frame"
    misspelt = {"dicom_windows": "lung", "standardized": "true"}
    answer = await client.post("/render", files={"file": SERIES}, data=misspelt)
    assert answer.headers["x-ignored-params"] == "dicom_windows"
    answer = await client.post("/render", content=png(), headers=RAW)
    assert "x-ignored-params" not in answer.headers


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"no image", 400, "undecodable_image"),
        (damaged(), 400, "undecodable_image"),
        (b"<svg></svg>", 415, "unsupported_image_format"),
        (huge_png(), 413, "image_too_large"),
    ],
)
async def test_a_bad_image_is_refused_as_by_the_routes_that_embed(
    data: bytes, status: int, code: str, client: httpx.AsyncClient
) -> None:
    rendered = await client.post("/render", content=data, headers=RAW)
    assert_refused(rendered, status, code, "Row 0", row=0, column="image")
    assert rendered.json() == (await client.post("/embed/image", content=data, headers=RAW)).json()


async def test_a_frame_that_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/render?frame=5", content=SERIES, headers=RAW)
    assert_refused(answer, 400, "undecodable_image", "no frame 5", row=0, column="image")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"json": table(["image", "text"], [[encoded(png()), TEXT]])}, 400, "invalid_request"),
        ({"json": {"texts": [TEXT]}}, 400, "invalid_request"),
        ({"json": table(["image"], [[""]])}, 400, "invalid_request"),
        ({"files": {"text": (None, TEXT)}}, 400, "invalid_request"),
        ({"content": b"", "headers": RAW}, 400, "invalid_request"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "unsupported_content_type"),
    ],
)
async def test_a_body_without_an_image(body: dict[str, Any], status: int, code: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/render", **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_nothing_of_a_header_or_a_name_is_repeated(client: httpx.AsyncClient) -> None:
    comment = saved(picture(), "GIF", comment=SECRET.encode())
    for data in (SERIES, comment):
        answer = await client.post("/render", files={SECRET: (f"{SECRET}.dcm", data)}, data={"note": SECRET})
        assert answer.status_code == 200
        assert answer.headers["x-ignored-params"] == "note"
        assert SECRET.encode() not in answer.content
        assert SECRET not in str(answer.headers)


async def test_the_requests_count_as_those_that_embed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/render", content=png(), headers=RAW)
    assert answer.headers["server-timing"].startswith("read;dur=")
    assert answer.headers["cache-control"] == "no-store"
    metrics = (await client.get("/metrics")).text
    assert 'medimageinsight_requests_total{route="/render",status="200"} 1.0' in metrics
    assert 'medimageinsight_rows_total{kind="image"} 1.0' in metrics


@pytest.fixture
async def strict(engine: EmbeddingEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with keys, and with room for no row."""
    app = create_app(Settings(queue_size=1, max_rows=1, api_keys="key"), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with app.state.service.admission.reserve(1):
            yield client


async def test_keys_and_admission_apply(strict: httpx.AsyncClient) -> None:
    assert_refused(await strict.post("/render", content=png(), headers=RAW), 401, "key_missing")
    answer = await strict.post("/render", content=png(), headers=RAW | {"x-api-key": "key"})
    assert_refused(answer, 429, "queue_full")
    assert answer.headers["retry-after"]


async def test_the_deadline_applies(client: httpx.AsyncClient) -> None:
    large = saved(picture(size=(3000, 3000)))
    answer = await client.post("/render", content=large, headers=RAW | {"x-request-timeout-ms": "1"})
    assert_refused(answer, 504, "deadline_exceeded")


async def test_an_image_by_url_if_the_server_fetches_any(engine: EmbeddingEngine) -> None:
    async with picture_server(ANSWERS) as server:
        app = create_app(Settings(), LoadedModel(engine, imports_s=0.0))
        app.state.service.fetcher = fetcher(server.port)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as it:
            body = table(["image"], [[f"http://{HOST}:{server.port}/a.png"]])
            assert np.array_equal(pixels(await it.post("/render", json=body)), decoded(png(1)))
            body = table(["image"], [[f"http://{HOST}:{server.port}/nowhere"]])
            assert_refused(await it.post("/render", json=body), 400, "url_not_fetched", row=0, column="image")


def test_a_server_answers_a_picture(small_release: Any) -> None:
    with serving(small_release) as url:
        answer = httpx.post(f"{url}/render?frame=2&dicom_window=brain", content=SERIES, headers=RAW)
        assert np.array_equal(pixels(answer), decoded(SERIES, Rendering(frame=2, window=WINDOWS["brain"])))
        assert answer.headers["x-frames"] == "5"
