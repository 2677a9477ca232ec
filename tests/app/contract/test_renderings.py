"""DICOM files, volumes, pages and frames over HTTP, and the parameters that select among them."""

import gzip
import io
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import WINDOWS, PercentileWindow, Rendering, Window
from model.imaging.volumes import compression
from tests.support.image_files.dicom import ct
from tests.support.image_files.volumes import nrrd
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, png, table, vectors

HEAD = np.random.default_rng(0).integers(-1000, 1000, (5, 16, 16)).astype(np.int16)
SERIES = ct(HEAD)


def pages(count: int = 3) -> bytes:
    stream = io.BytesIO()
    first, *others = (Image.fromarray(np.full((8, 8), 80 * number, dtype=np.uint8)) for number in range(count))
    first.save(stream, "TIFF", save_all=True, append_images=others)
    return stream.getvalue()


def volume() -> bytes:
    data: bytes = nibabel.Nifti1Image(HEAD, np.eye(4)).to_bytes()
    return data


def engine_vector(engine: EmbeddingEngine, data: bytes, **rendering: Any) -> NDArray[np.float32]:
    pixels = engine.preprocess_image(data, Standardization(), Rendering(**rendering))
    vector: NDArray[np.float32] = engine.embed_images([engine.stage_images([pixels])])[0]
    return vector


@pytest.mark.parametrize("kind", ["application/dicom", "application/octet-stream"])
async def test_a_dicom_file_as_the_body(kind: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = await client.post("/embed/image", content=SERIES, headers={"content-type": kind})
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, SERIES))


async def test_parameters_of_a_raw_body_are_in_the_query(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    url = "/embed/image?frame=3&dicom_window=lung&get_scaling_factor=false&api-version=1"
    answer = await client.post(url, content=SERIES, headers={"content-type": "application/dicom"})
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, SERIES, frame=3, window=WINDOWS["lung"]))
    assert "scaling_factor" not in answer.json()[0]
    assert answer.headers["x-ignored-params"] == "api-version"
    answer = await client.post("/embed/image?dicom_window=40,80", files={"f": SERIES})
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, SERIES, window=Window(40, 80)))


async def test_percentiles_and_contrast(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    scan = ct(np.random.default_rng(0).gamma(2, 300, (40, 40)).astype(np.int16))
    wanted = engine_vector(engine, scan, window=PercentileWindow(1, 99), contrast="equalize")
    assert float(wanted @ engine_vector(engine, scan)) < 0.999
    params = {"dicom_window": "p1-p99", "contrast": "equalize"}
    body = table(["image"], [[encoded(scan)]], params=params)
    assert_close(vectors(await client.post("/embed", json=body), "image_features")[0], wanted)
    answer = await client.post(
        "/embed/image", content=scan, params=params, headers={"content-type": "application/dicom"}
    )
    assert_close(vectors(answer, "image_features")[0], wanted)


async def test_parameters_of_a_table(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    params = {"frame": 2, "dicom_window": [40, 80]}
    body = table(["image"], [[encoded(SERIES)], [encoded(pages())]], params=params)
    answer = vectors(await client.post("/embed", json=body), "image_features")
    assert_close(answer[0], engine_vector(engine, SERIES, frame=2, window=Window(40, 80)))
    assert_close(answer[1], engine_vector(engine, pages(), frame=2))


@pytest.mark.parametrize(
    "data", [volume(), nrrd(HEAD, space="LPS", space_directions="(1,0,0) (0,1,0) (0,0,1)")], ids=["NIfTI", "NRRD"]
)
async def test_a_slice_of_a_volume(data: bytes, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = await client.post(
        "/embed/image?axis=coronal&frame=4", content=data, headers={"content-type": "application/octet-stream"}
    )
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, data, axis="coronal", frame=4))


async def test_every_frame(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    body = table(["image"], [[encoded(pages(2))], [encoded(SERIES)], [encoded(png())]], params={"frames": "all"})
    rows = (await client.post("/embed/image", json=body)).json()
    assert [len(row["image_features"]) for row in rows] == [2, 5, 1]
    for frame, vector in enumerate(rows[1]["image_features"]):
        assert_close(np.array(vector, np.float32), engine_vector(engine, SERIES, frame=frame))
    archive = await client.post("/embed/image", json=body, headers={"accept": "application/x-npz"})
    assert np.load(io.BytesIO(archive.content))["image_rows"].tolist() == [0, 0, 1, 1, 1, 1, 1, 2]


async def test_a_compressed_volume_is_inflated_once_for_all_its_slices(
    client: httpx.AsyncClient, engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated: list[bytes] = []

    def counted(data: bytes, *args: Any, **kwargs: Any) -> Any:
        inflated.append(data)
        return compression.inflate(data, *args, **kwargs)

    monkeypatch.setattr("model.imaging.volumes.nifti.inflate", counted)
    data = gzip.compress(volume())
    answer = await client.post(
        "/embed/image?frames=all&axis=sagittal", content=data, headers={"content-type": "application/octet-stream"}
    )
    assert inflated == [data]
    (row,) = answer.json()
    assert len(row["image_features"]) == len(HEAD)
    for frame, vector in enumerate(row["image_features"]):
        assert_close(np.array(vector, np.float32), engine_vector(engine, data, axis="sagittal", frame=frame))


async def test_parameters_in_fields_of_a_form(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = await client.post("/embed/image", files={"f": SERIES}, data={"frame": "3", "dicom_window": "lung"})
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, SERIES, frame=3, window=WINDOWS["lung"]))
    answer = await client.post("/embed/image?frame=2", files={"f": SERIES}, data={"frame": "3", "note": "left alone"})
    assert_close(vectors(answer, "image_features")[0], engine_vector(engine, SERIES, frame=2))
    assert answer.headers["x-ignored-params"] == "note"
    answer = await client.post("/embed/image", files={"f": SERIES}, data={"frame": "three"})
    assert_refused(answer, 400, "invalid_request", "frame is wrong")


async def test_a_form_with_images_and_texts(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    files: list[Any] = [("files", ("a.png", png(1))), ("text", (None, TEXT)), ("text", (None, "mri brain"))]
    rows = (await client.post("/embed", files=files)).json()
    assert [sorted(row.keys() - {"scaling_factor"}) for row in rows] == [
        ["image_features", "text_features"],
        ["text_features"],
    ]
    assert_close(np.array(rows[0]["image_features"][0], np.float32), engine_vector(engine, png(1)))


async def test_a_field_that_is_not_a_text_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", files={"text": (None, TEXT), "files": (None, "not a file")})
    assert_refused(answer, 400, "invalid_request", 'field "files" is a text, not a file; put @ before the name')
    answer = await client.post("/embed", files={"text": (None, TEXT), "note": (None, "left alone")})
    assert_refused(answer, 400, "invalid_request", "neither a file, nor named text, nor a parameter")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"frame": -1}, "params.frame"),
        ({"frame": "1"}, "params.frame"),
        ({"frames": "some"}, "params.frames"),
        ({"frame": 1, "frames": "all"}, "exclude each other"),
        ({"frames": "all", "layout": "columns"}, 'layout "rows"'),
        ({"axis": "oblique"}, "params.axis"),
        ({"dicom_window": "lungs"}, "known names are abdomen, bone"),
        ({"dicom_window": [40]}, "[center, width]"),
        ({"dicom_window": [40, 0]}, "greater than 0"),
        ({"dicom_window": [40, "x"]}, "[center, width]"),
        ({"dicom_window": {"center": 1}}, "[center, width]"),
        ({"output_dtype": "int4"}, "params.output_dtype"),
    ],
)
async def test_bad_parameters(params: dict[str, Any], words: str, client: httpx.AsyncClient) -> None:
    body = table(["image"], [[encoded(SERIES)]], params=params)
    answer = await client.post("/embed/image", json=body)
    assert_refused(answer, 400, "invalid_request", words)


@pytest.mark.parametrize("query", ["dicom_window=nan,1", "dicom_window=", "frame=one", "normalize=maybe"])
async def test_bad_parameters_of_a_query(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/embed/image?{query}", files={"f": SERIES})
    assert_refused(answer, 400, "invalid_request", query.partition("=")[0])


async def test_a_frame_that_is_not_there(client: httpx.AsyncClient) -> None:
    body = table(["image"], [[encoded(SERIES)], [encoded(pages())]], params={"frame": 4})
    answer = await client.post("/embed", json=body)
    words = ("Row 1", "the TIFF image has 3 frames, counted from 0: there is no frame 4")
    assert_refused(answer, 400, "undecodable_image", *words, row=1, column="image")
    answer = await client.post("/embed/image?frame=1", content=png(), headers={"content-type": "image/png"})
    assert_refused(answer, 400, "undecodable_image", "of a PNG image, only frame 0 is read", row=0, column="image")


async def test_every_frame_is_for_images_and_within_the_limits(client: httpx.AsyncClient) -> None:
    body = table(["image"], [[encoded(SERIES)]], params={"frames": "all"})
    assert_refused(await client.post("/embed", json=body), 400, "invalid_request", "Only /embed/image accepts")
    many = ct(HEAD, NumberOfFrames=2**31 - 1)
    answer = await client.post("/embed/image?frames=all", content=many, headers={"content-type": "application/dicom"})
    assert_refused(answer, 413, "too_many_rows", "2,147,483,647 frames", "params.frame")
    answer = await client.post("/embed/image?frames=all", content=b"x", headers={"content-type": "image/png"})
    assert_refused(answer, 400, "undecodable_image", row=0, column="image")
