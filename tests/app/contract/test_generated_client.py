"""A client that openapi-python-client generates from the OpenAPI document, used against a real server."""

import importlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, encoded, image_vector, png, text_vector
from tests.support.servers.serving import serving

KEY = "key"
PACKAGE = "generated_client"


def generate(folder: Path, settings: Settings) -> Path:
    """Generate the package `generated_client` in a folder; any warning fails."""
    document, config, package = folder / "openapi.json", folder / "config.json", folder / PACKAGE
    document.write_text(json.dumps(create_app(settings).openapi()))
    config.write_text('{"post_hooks": []}')
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]
    command += ["--path", str(document), "--config", str(config), "--output-path", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "warning" not in done.stdout.lower()
    return package


def modules_of(package: Path) -> list[str]:
    files = (file.relative_to(package.parent).with_suffix("") for file in package.rglob("*.py"))
    return [".".join(file.parts).removesuffix(".__init__") for file in files]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the generated package, which can be imported during the tests."""
    folder = generate(tmp_path_factory.mktemp("generated"), Settings(model="another", api_keys=SecretStr(KEY)))
    sys.path.insert(0, str(folder.parent))
    yield folder.name
    sys.path.remove(str(folder.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def client(package: str, small_release: Path) -> Iterator[Any]:
    """The generated client of a server with an API key."""
    with (
        serving(small_release, api_keys=KEY) as url,
        importlib.import_module(package).AuthenticatedClient(base_url=url, token=KEY) as client,
    ):
        yield client


@pytest.fixture
def models(package: str) -> ModuleType:
    return importlib.import_module(f"{package}.models")


@pytest.fixture
def api(package: str) -> Any:
    """A function that imports the module of an operation, from its tag and its id."""
    return lambda tag, operation: importlib.import_module(f"{package}.api.{tag}.{operation}")


def file_of(package: str, data: bytes) -> Any:
    return importlib.import_module(f"{package}.types").File(io.BytesIO(data), "scan.png", "image/png")


def vector(rows: Any, kind: str, row: int = 0) -> np.ndarray[Any, Any]:
    return np.array(getattr(rows[row], f"{kind}_features")[0], np.float32)


def image_table(models: ModuleType, data: bytes) -> Any:
    return models.InputData(columns=["image"], data=[[encoded(data)]])


def test_a_server_without_keys_gives_a_document_without_warnings_too(tmp_path: Path) -> None:
    package = generate(tmp_path, Settings(model="another"))
    script = f"import importlib\nfor name in {modules_of(package)!r}:\n    importlib.import_module(name)"
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, check=True, timeout=60)


def test_every_module_can_be_imported(package: str) -> None:
    for name in modules_of(Path(str(importlib.import_module(package).__file__)).parent):
        importlib.import_module(name)


def test_an_image_and_a_text_in_json(client: Any, models: ModuleType, api: Any, engine: EmbeddingEngine) -> None:
    table = models.InputData(columns=["image", "text"], data=[[encoded(png()), TEXT]])
    rows = api("embeddings", "embed").sync(client=client, body=models.EmbedRequest(input_data=table))
    assert_close(vector(rows, "image"), image_vector(engine, png()))
    assert_close(vector(rows, "text"), text_vector(engine, TEXT))
    assert rows[0].scaling_factor == engine.logit_scale
    rows = api("embeddings", "embed_text").sync(client=client, body=models.TextsRequest(texts=[TEXT]))
    assert_close(vector(rows, "text"), text_vector(engine, TEXT))


def test_an_image_as_a_file_with_parameters_in_the_query(
    client: Any, package: str, models: ModuleType, api: Any, engine: EmbeddingEngine
) -> None:
    embed_image = api("embeddings", "embed_image")
    answer = embed_image.sync_detailed(client=client, body=file_of(package, png()), get_scaling_factor=False, frame=0)
    assert_close(vector(answer.parsed, "image"), image_vector(engine, png()))
    assert "scaling_factor" not in answer.parsed[0].to_dict()
    assert "x-ignored-params" not in answer.headers
    encoding = models.EmbedImageEncodingFormat.BASE64
    (row,) = embed_image.sync(client=client, body=file_of(package, png()), encoding_format=encoding)
    assert isinstance(row.image_features[0], str)


def test_a_form_with_files_and_texts(
    client: Any, package: str, models: ModuleType, api: Any, engine: EmbeddingEngine
) -> None:
    files = [file_of(package, png(number)) for number in range(2)]
    form = models.EmbedFilesBody(files=files, text=[TEXT, "mri brain"])
    rows = api("embeddings", "embed").sync(client=client, body=form)
    for number, text in enumerate([TEXT, "mri brain"]):
        assert_close(vector(rows, "image", number), image_vector(engine, png(number)))
        assert_close(vector(rows, "text", number), text_vector(engine, text))


def test_classification_by_labels(client: Any, package: str, models: ModuleType, api: Any) -> None:
    classify = api("classification", "classify")
    (by_query,) = classify.sync(client=client, body=file_of(package, png()), labels=[TEXT, "mri brain"], top_k=1)
    assert (len(by_query), by_query[0].label in (TEXT, "mri brain")) == (1, True)
    params = models.ClassifyParams(labels=[TEXT, "mri brain"])
    assert "image_standardization_image_size" not in params.to_dict()  # it would replace that of a head
    body = models.ClassifyRequest(input_data=image_table(models, png()), params=params)
    (in_json,) = classify.sync(client=client, body=body)
    assert in_json[0].to_dict() == pytest.approx(by_query[0].to_dict())
    assert sum(one.score for one in in_json) == pytest.approx(1)


def test_a_picture(client: Any, package: str, api: Any) -> None:
    answer = api("images", "render").sync(client=client, body=file_of(package, png()), standardized=True)
    assert Image.open(answer.payload).size == (512, 512)


def test_an_error_is_typed(client: Any, package: str, models: ModuleType, api: Any) -> None:
    answer = api("embeddings", "embed_image").sync_detailed(client=client, body=file_of(package, b"not an image"))
    assert isinstance(answer.parsed, models.ErrorBody)
    assert (answer.status_code, answer.parsed.code, answer.parsed.row) == (400, "undecodable_image", 0)


def test_facts_about_the_service_are_typed(client: Any, api: Any, engine: EmbeddingEngine) -> None:
    info = api("operation", "info").sync(client=client)
    assert (info.model.embedding_size, info.limits.max_rows) == (engine.embedding_size, Settings().max_rows)
    assert api("operation", "ready").sync(client=client).status == "ready"
    assert "medimageinsight_ready 1.0" in api("operation", "metrics").sync(client=client)


async def test_the_asynchronous_functions_work_too(
    client: Any, package: str, models: ModuleType, api: Any, engine: EmbeddingEngine
) -> None:
    url, generated = str(client.get_httpx_client().base_url), importlib.import_module(package)
    async with generated.AuthenticatedClient(base_url=url, token=KEY) as own:
        rows = await api("embeddings", "embed_text").asyncio(client=own, body=models.TextsRequest(texts=[TEXT]))
    assert_close(vector(rows, "text"), text_vector(engine, TEXT))
