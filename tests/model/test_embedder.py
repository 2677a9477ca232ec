"""Embedders and their cache: order, batches, deduplication, unreadable files."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli.embedders.server_embedder import fingerprint_of_server
from model.checkpoints.release_folder import find_release_folder
from model.data.image_source import ImageSource
from model.embedder import SHOW_BAR_AFTER_S
from model.embedding_cache import EmbeddingCache, fingerprint
from model.engine import EmbeddingEngine
from model.engine_embedder import EngineEmbedder
from model.errors import CheckpointError, ImageDecodeError
from model.imaging.preprocessing import Preprocessing, Standardization
from tests.support.colour_engine import ColourEngine, png


def never() -> EmbeddingEngine:
    raise AssertionError("the model was loaded")


@pytest.fixture
def red(tmp_path: Path) -> Path:
    (tmp_path / "red.png").write_bytes(png((200, 0, 0)))
    return tmp_path / "red.png"


def test_a_second_run_loads_no_model(tmp_path: Path, red: Path) -> None:
    first = EngineEmbedder(ColourEngine, cache=EmbeddingCache(tmp_path / "cache", "m" * 64))
    texts, images, scale = first.texts(["red"]), first.images([ImageSource(red)]), first.logit_scale
    second = EngineEmbedder(never, cache=EmbeddingCache(tmp_path / "cache", "m" * 64))
    assert (second.texts(["red"]) == texts).all()
    assert (second.images([ImageSource(red)]).features == images.features).all()
    assert second.logit_scale == scale


def test_another_model_preprocessing_or_content_is_embedded_anew(tmp_path: Path, red: Path) -> None:
    EngineEmbedder(ColourEngine, cache=EmbeddingCache(tmp_path, "m" * 64)).images([ImageSource(red)])
    with pytest.raises(AssertionError):
        EngineEmbedder(never, cache=EmbeddingCache(tmp_path, "n" * 64)).images([ImageSource(red)])
    plain = EngineEmbedder(never, cache=EmbeddingCache(tmp_path, "m" * 64), preprocessing=Preprocessing(None))
    with pytest.raises(AssertionError):
        plain.images([ImageSource(red)])
    red.write_bytes(png((201, 0, 0)))
    with pytest.raises(AssertionError):
        EngineEmbedder(never, cache=EmbeddingCache(tmp_path, "m" * 64)).images([ImageSource(red)])


def test_equal_files_are_embedded_once(red: Path) -> None:
    engine = ColourEngine()
    embedded = EngineEmbedder(lambda: engine).images([ImageSource(red)] * 40)
    assert engine.embedded == 1
    assert embedded.features.shape == (40, 3)


def test_many_files_keep_their_order(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(150)]
    for number, file in enumerate(files):
        file.write_bytes(png((number + 1, 100, 0)))
    features = EngineEmbedder(ColourEngine).images([ImageSource(file) for file in files]).features
    assert (np.diff(features[:, 0]) > 0).all()


def test_unreadable_files_are_named_and_the_others_go_on(tmp_path: Path, red: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    embedded = EngineEmbedder(ColourEngine).images(
        [ImageSource(tmp_path / name) for name in ("gone.png", red.name, "text.png")]
    )
    assert embedded.positions == [1]
    assert list(embedded.refused) == [0, 2]
    assert embedded.refused[0] == "the file cannot be read: No such file or directory"
    assert "cannot be read as any of" in embedded.refused[2]


def test_the_log_line_of_the_loading_model_has_a_line_of_its_own(red: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def load() -> ColourEngine:
        print("the model is loaded", file=sys.stderr)
        time.sleep(2 * SHOW_BAR_AFTER_S)
        return ColourEngine()

    EngineEmbedder(load, progress=True).images([ImageSource(red)])
    first, *bars = capsys.readouterr().err.splitlines()
    assert first == "the model is loaded"
    assert "images: 100%" in bars[-1]


def test_reading_the_files_has_a_progress_bar(
    red: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    EngineEmbedder(ColourEngine, progress=True).images([ImageSource(red)] * 3)
    assert "reading" not in capsys.readouterr().err  # it is quick
    monkeypatch.setattr("model.embedder.SHOW_PROGRESS_AFTER_S", 0.0)
    EngineEmbedder(ColourEngine, progress=True).images([ImageSource(red)] * 3)
    assert "| 0/3 [" in capsys.readouterr().err.split("reading: ")[1]
    EngineEmbedder(ColourEngine).images([ImageSource(red)] * 3)
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_says_so(tmp_path: Path) -> None:
    (tmp_path / f"{'m' * 32}.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(CheckpointError, match="delete it"):
        EmbeddingCache(tmp_path, "m" * 64)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="choose another one, or use no cache"):
        EmbeddingCache(tmp_path / "file" / "folder", "m" * 64)


def test_strict_ends_at_an_unreadable_file(tmp_path: Path, red: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    for name in ("gone.png", "text.png"):
        with pytest.raises(ImageDecodeError, match=f"{name}: "):
            EngineEmbedder(ColourEngine).images([ImageSource(red), ImageSource(tmp_path / name)], strict=True)


def test_texts_go_to_the_engine_in_batches_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    engine = ColourEngine()
    embed_texts = engine.embed_texts

    def counted(token_ids: Any, **_: Any) -> Any:
        sizes.append(len(token_ids))
        return embed_texts(token_ids)

    monkeypatch.setattr(engine, "embed_texts", counted)
    texts = ["red", "green", "blue", "red green", "red blue", "red"]
    features = EngineEmbedder(lambda: engine, batch_size=2).texts(texts)
    assert sizes == [2, 2, 1]
    assert (features[0] == features[5]).all()
    assert features.shape == (6, 3)


def test_a_killed_run_keeps_what_it_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(png((number + 1, 100, 0)))
    engine = ColourEngine()
    embed_images = engine.embed_images

    def embed_images_until_killed(staged: Any, **_: Any) -> Any:
        if engine.embedded == 2:
            raise KeyboardInterrupt
        return embed_images(staged)

    monkeypatch.setattr(engine, "embed_images", embed_images_until_killed)
    cache = EmbeddingCache(tmp_path, "m" * 64)
    sources = [ImageSource(file) for file in files]
    with pytest.raises(KeyboardInterrupt):
        EngineEmbedder(lambda: engine, batch_size=2, cache=cache).images(sources)
    rest = ColourEngine()
    assert EngineEmbedder(lambda: rest, cache=cache).images(sources).positions == [0, 1, 2, 3]
    assert rest.embedded == 2


def test_a_fingerprint_is_of_weights_config_vocabulary_and_variant(small_release: Path) -> None:
    release = find_release_folder(small_release)
    assert fingerprint(release, "cpu") == fingerprint(release, "cpu") != fingerprint(release, "cuda")


@pytest.mark.parametrize("name", ["PREPROCESSING_VERSION", "version"])
def test_another_preprocessing_or_program_version_has_another_fingerprint(
    small_release: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    release = find_release_folder(small_release)
    before = fingerprint(release, "cpu")
    monkeypatch.setattr(f"model.embedding_cache.{name}", lambda _: "another")
    assert fingerprint(release, "cpu") != before


def test_a_server_of_another_version_has_another_fingerprint() -> None:
    info = {"model": {"name": "m"}, "device": "cpu", "dtype": "float32", "version": "1"}
    assert fingerprint_of_server(info) != fingerprint_of_server(info | {"version": "2"})


def test_a_vector_from_the_cache_keeps_only_its_own_bytes_alive(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, "m" * 64)
    batch = np.arange(4096, dtype=np.float32).reshape(1024, 4)
    cache.put({b"%d" % row: vector for row, vector in enumerate(batch)})
    (found,) = cache.get([b"7"]).values()
    assert found.tolist() == batch[7].tolist()
    assert len(found.base) == found.nbytes  # type: ignore[arg-type]


def test_a_page_of_the_cache_that_is_damaged_later_is_a_sentence(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, "m" * 64)
    cache.put({b"%d" % row: np.ones(1000, np.float32) for row in range(200)})
    cache.close()
    data = bytearray(cache.path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    cache.path.write_bytes(data)
    with pytest.raises(CheckpointError, match="delete it, or use no cache"):
        EmbeddingCache(tmp_path, "m" * 64).get([b"7"])


def test_the_real_engine_gives_the_same_through_the_embedder(engine: EmbeddingEngine, red: Path) -> None:
    pixels = engine.preprocess_image(red.read_bytes(), Standardization())
    direct = engine.embed_images([engine.stage_images([pixels])])
    assert np.abs(EngineEmbedder(lambda: engine).images([ImageSource(red)]).features - direct).max() < 1e-6
    assert (
        np.abs(
            EngineEmbedder(lambda: engine).texts(["chest x-ray"]) - engine.embed_texts([engine.tokenize("chest x-ray")])
        ).max()
        < 1e-6
    )


def test_an_embedder_with_another_preprocessing_has_the_same_model_and_cache(tmp_path: Path, red: Path) -> None:
    seen: list[object] = []

    class Watching(ColourEngine):
        def preprocess_image(self, image: bytes, standardization: object = None, rendering: object = None) -> Any:
            seen.append(standardization)
            return super().preprocess_image(image)

    usual = EngineEmbedder(Watching, cache=EmbeddingCache(tmp_path / "cache", "m" * 64))
    plain = usual.with_preprocessing(Preprocessing(standardization=None))
    for embedder in (usual, plain, usual, plain):
        embedder.images([ImageSource(red)])
    assert seen == [Standardization(), None]
