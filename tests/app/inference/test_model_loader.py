"""From a setting to an engine, or to one sentence that says what is wrong."""

import asyncio
import gc
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.inference.model_loader import LoadedModel, find_model, load_engine, load_in_background
from app.settings import Settings
from model.errors import CheckpointError, CheckpointNotCached, DeviceError, MedImageInsightError
from tests.support.patience import PATIENCE_S


def with_other_weights(release: Path, folder: Path, weights: bytes) -> Path:
    """A copy of a release folder, but for the weights."""
    copy = folder / release.name
    shutil.copytree(release, copy, ignore=shutil.ignore_patterns("*.pt"))
    original = next((release / "vision_model").iterdir())
    (copy / "vision_model" / original.name).write_bytes(weights)
    return copy


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_model(Settings(model=str(tmp_path))) == tmp_path


def test_no_model_is_the_embedded_one_which_says_how_to_get_medimageinsight(caplog: pytest.LogCaptureFixture) -> None:
    loaded = load_engine(Settings())
    assert loaded.engine.release.is_demonstration
    (warning,) = caplog.messages
    assert "embedded demonstration model" in warning
    assert "set MODEL (or --model)" in warning
    assert "Hugging Face id such as lion-ai/MedImageInsights" in warning


def test_another_model_is_no_demonstration(small_release: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not load_engine(Settings(model=str(small_release))).engine.release.is_demonstration
    assert caplog.messages == []


def test_a_path_that_is_not_there_says_what_may_be_named() -> None:
    with pytest.raises(CheckpointError, match="no model at /nowhere/at/all: name a release folder, a weights file or"):
        find_model(Settings(model="/nowhere/at/all"))


def test_offline_an_id_must_be_in_the_cache(tmp_path: Path) -> None:
    settings = Settings(model="lion-ai/MedImageInsights", offline=True, cache_dir=tmp_path)
    with pytest.raises(CheckpointNotCached, match="medimageinsight download lion-ai/MedImageInsights"):
        find_model(settings)


def test_an_engine_is_loaded(small_release: Path) -> None:
    loaded = load_engine(Settings(model=str(small_release), max_image_pixels=1000))
    assert loaded.engine.embedding_size == 128
    assert loaded.engine.max_pixels == 1000
    assert loaded.imports_s >= 0


def test_a_device_that_is_not_there(small_release: Path) -> None:
    with pytest.raises(DeviceError, match="quantum"):
        load_engine(Settings(model=str(small_release), device="quantum"))
    assert gc.isenabled()  # it rests while a model is loaded


async def loaded_in_background(settings: Settings) -> LoadedModel | MedImageInsightError:
    done: asyncio.Future[LoadedModel | MedImageInsightError] = asyncio.get_running_loop().create_future()
    load_in_background(settings, done.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await done


@pytest.mark.parametrize(
    "weights",
    [pytest.param(0, id="empty"), pytest.param(9, id="nine bytes"), pytest.param(1_000_000, id="cut short")],
)
async def test_weights_cut_short_are_a_sentence(weights: int, small_release: Path, tmp_path: Path) -> None:
    whole = next((small_release / "vision_model").iterdir()).read_bytes()
    result = await loaded_in_background(
        Settings(model=str(with_other_weights(small_release, tmp_path, whole[:weights])))
    )
    assert isinstance(result, CheckpointError)
    assert "medimageinsigt-v1.0.0.pt" in str(result)
    assert "\n" not in str(result)


async def test_a_fault_while_loading_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Settings) -> LoadedModel:
        raise ZeroDivisionError

    monkeypatch.setattr("app.inference.model_loader.load_engine", load)
    result = await loaded_in_background(Settings())
    assert isinstance(result, CheckpointError)
    assert str(result) == "loading the model failed (ZeroDivisionError); the log has the details"


def test_a_loop_that_is_gone_is_no_fault(small_release: Path) -> None:
    """The service was stopped while its model was being loaded."""
    told: list[object] = []

    async def stopped_at_once() -> None:
        load_in_background(Settings(model=str(small_release)), told.append)

    asyncio.run(stopped_at_once())
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join(PATIENCE_S)
    assert told == []


def test_what_is_wrong_with_a_path_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    program = f"""
import sys
from app.inference.model_loader import load_engine
from app.settings import Settings
from model.errors import CheckpointError
for model in ("/nowhere", {str(tmp_path)!r}):
    try:
        load_engine(Settings(model=model))
    except CheckpointError as error:
        print(error)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr
