"""From a setting to an engine, or to an error of one sentence."""

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
from model.engine import EmbeddingEngine
from model.errors import CheckpointError, CheckpointNotCached, DeviceError, HeadError, MedImageInsightError
from model.heads.head_folder import save_head
from tests.app.api.classify.made_heads import zero_shot_head
from tests.model.checkpoints.azure_folder import write_adapter_folder, write_zero_shot_folder
from tests.support.patience import PATIENCE_S


def with_other_weights(release: Path, folder: Path, weights: bytes) -> Path:
    """A copy of a release folder with other weights."""
    copy = folder / release.name
    shutil.copytree(release, copy, ignore=shutil.ignore_patterns("*.pt"))
    original = next((release / "vision_model").iterdir())
    (copy / "vision_model" / original.name).write_bytes(weights)
    return copy


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_model(Settings(model=str(tmp_path))) == tmp_path


def test_without_a_model_the_demonstration_model_is_loaded_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    loaded = load_engine(Settings())
    assert loaded.engine.release.is_demonstration
    (warning,) = caplog.messages
    assert "the demonstration model is used" in warning
    assert "set MODEL (or --model)" in warning
    assert "Hugging Face id such as lion-ai/MedImageInsights" in warning


def test_another_model_is_not_a_demonstration(small_release: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not load_engine(Settings(model=str(small_release))).engine.release.is_demonstration
    assert caplog.messages == []


def test_a_path_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no model at /nowhere/at/all: give a release folder, a weights file or"):
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


def test_the_heads_of_the_settings_are_loaded_with_the_model(engine: EmbeddingEngine, tmp_path: Path) -> None:
    for name in ("chest", "modality"):
        save_head(zero_shot_head(engine), tmp_path / name)
    release = engine.release.config.parent
    loaded = load_engine(Settings(model=str(release), heads=f"{tmp_path / 'chest'}, {tmp_path / 'modality'}/"))
    assert list(loaded.heads) == ["chest", "modality"]
    assert loaded.named_heads == loaded.heads


def test_a_wrong_head_is_reported_by_name(small_release: Path) -> None:
    with pytest.raises(HeadError, match=r"^HEADS: /nowhere/chest has no head"):
        load_engine(Settings(model=str(small_release), heads="/nowhere/chest"))


def test_a_head_of_an_unknown_user_is_refused_by_the_name_of_its_setting(small_release: Path) -> None:
    with pytest.raises(HeadError, match="HEADS begins with ~ and an unknown user"):
        load_engine(Settings(model=str(small_release), heads="~nobody-of-this-name/chest"))


def test_the_head_of_the_model_is_called_default_unless_another_has_the_name(engine: EmbeddingEngine) -> None:
    own, other = zero_shot_head(engine), zero_shot_head(engine)
    assert LoadedModel(engine, 0.0, {"chest": other}, own).named_heads == {"default": own, "chest": other}
    assert LoadedModel(engine, 0.0, {"default": other}, own).named_heads == {"default": other}


def test_an_unknown_device_is_refused(small_release: Path) -> None:
    with pytest.raises(DeviceError, match="quantum"):
        load_engine(Settings(model=str(small_release), device="quantum"))
    assert gc.isenabled()  # it is paused while a model is loaded


async def loaded_in_background(settings: Settings) -> LoadedModel | MedImageInsightError:
    done: asyncio.Future[LoadedModel | MedImageInsightError] = asyncio.get_running_loop().create_future()
    load_in_background(settings, done.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await done


@pytest.mark.parametrize(
    "weights",
    [pytest.param(0, id="empty"), pytest.param(9, id="nine bytes"), pytest.param(1_000_000, id="cut short")],
)
async def test_truncated_weights_give_an_error_of_one_sentence(
    weights: int, small_release: Path, tmp_path: Path
) -> None:
    whole = next((small_release / "vision_model").iterdir()).read_bytes()
    result = await loaded_in_background(
        Settings(model=str(with_other_weights(small_release, tmp_path, whole[:weights])))
    )
    assert isinstance(result, CheckpointError)
    assert "medimageinsigt-v1.0.0.pt" in str(result)
    assert "\n" not in str(result)


async def test_an_unexpected_error_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Settings) -> LoadedModel:
        raise ZeroDivisionError

    monkeypatch.setattr("app.inference.model_loader.load_engine", load)
    result = await loaded_in_background(Settings())
    assert isinstance(result, CheckpointError)
    assert str(result) == "the model cannot be loaded (ZeroDivisionError); the log contains the details"


def test_a_closed_loop_is_not_an_error(small_release: Path) -> None:
    """The loop closes when the service is stopped while its model is loaded."""
    results: list[object] = []

    async def stopped_at_once() -> None:
        load_in_background(Settings(model=str(small_release)), results.append)

    asyncio.run(stopped_at_once())
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join(PATIENCE_S)
    assert results == []


def test_a_wrong_path_is_reported_before_torch_is_imported(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("image_only", [False, True])
def test_azures_zero_shot_head_is_made_at_start_also_without_the_text_encoder(
    small_release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, image_only: bool
) -> None:
    caplog.set_level("INFO")
    folder = write_zero_shot_folder(tmp_path / "azure", small_release, ["polyp", "normal esophagus"])
    loaded = load_engine(Settings(model=str(folder), device="cpu", image_only=image_only))
    head = loaded.default_head
    assert head is not None
    assert (head.kind, head.labels) == ("zero_shot", ("polyp", "normal esophagus"))
    head.check_model(loaded.engine.release.name, loaded.engine.release.weights_sha256())
    assert loaded.engine.reads_texts is not image_only
    assert "whose own head (zero_shot, 2 labels) serves /classify, and serves /score and /invocations" in caplog.text


def test_azures_adapter_is_loaded_with_the_model_and_one_that_does_not_fit_is_refused(
    small_release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = write_adapter_folder(tmp_path / "azure", small_release, ["polyp", "ulcer", "normal"], 128)
    loaded = load_engine(Settings(model=str(folder), device="cpu", image_only=True))
    assert loaded.default_head is not None
    assert loaded.default_head.kind == "azure_adapter"
    assert "whose own head (azure_adapter, 3 labels)" in caplog.text
    with pytest.raises(HeadError, match="there are 3 labels, but MAX_LABELS is 2"):
        load_engine(Settings(model=str(folder), device="cpu", max_labels=2))
