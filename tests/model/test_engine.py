"""The engine: embeddings of files and strings, which do not depend on the batch."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from model.engine import CPU_FORWARD_PIXELS, DEFAULT_MAX_PIXELS, EmbeddingEngine
from model.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    EncoderFault,
    ImageDecodeError,
    ImageFormatUnsupported,
    ImageTooLarge,
    InvalidInput,
)
from model.imaging.preprocessing import Standardization, preprocess
from model.imaging.rendering import Rendering
from tests.conftest import IMAGES
from tests.support.tiny import write_release

TOLERANCE = 1e-5
TEXTS = ["", "x", "chest", "chest x-ray", "chest " * 5, "an MR of the brain", "chest " * 100]


@pytest.fixture(scope="module")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("tiny") / "2024.09.27")


@pytest.fixture(scope="module")
def tiny(tiny_release: Path) -> EmbeddingEngine:
    """An engine with small images, so that a forward pass on a CPU takes many of them."""
    return EmbeddingEngine.load(tiny_release, device="cpu")


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Restore the number of torch's threads, which loading an engine sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_parallel_calls_compute_the_same_and_divide_the_threads(
    tiny: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "threads", 4)
    staged = tiny.stage_images([noise(seed, 64, 64) for seed in range(3)])
    alone = tiny.embed_images([staged])
    assert torch.get_num_threads() == 4

    def embed(_: int) -> tuple[np.ndarray, int]:
        return tiny.embed_images([staged], share=2), torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        for embeddings, threads in pool.map(embed, range(8)):
            assert threads == 2
            np.testing.assert_allclose(embeddings, alone, atol=TOLERANCE)
    assert torch.get_num_threads() == 4  # the number is set per calling thread
    tiny.embed_images([staged], share=100)
    assert torch.get_num_threads() == 1


def test_texts_take_one_thread_or_all_whichever_is_faster(tiny_release: Path) -> None:
    engine = EmbeddingEngine.load(tiny_release, device="cpu", threads=2)
    text = engine.tokenize("chest x-ray")
    engine.embed_texts([text])
    assert torch.get_num_threads() in (1, 2)
    assert engine.threads == 2
    engine.embed_texts([text], share=2)
    assert torch.get_num_threads() == 1


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def is_unit(embeddings: np.ndarray) -> bool:
    return bool((np.abs(np.linalg.norm(embeddings, axis=1) - 1) < 1e-6).all())


def test_an_image_file_and_a_text_become_unit_vectors(engine: EmbeddingEngine) -> None:
    pixels = engine.preprocess_image((IMAGES / "ct_gray.png").read_bytes())
    images = engine.embed_images([engine.stage_images([pixels])])
    texts = engine.embed_texts([engine.tokenize("computed tomography of the chest")])
    for embeddings in (images, texts):
        assert embeddings.shape == (1, engine.embedding_size)
        assert embeddings.dtype == np.float32
        assert is_unit(embeddings)


@pytest.mark.parametrize("size", [2, 3, 8, 16])
def test_an_image_alone_and_inside_a_batch_is_the_same(tiny: EmbeddingEngine, size: int) -> None:
    pixels = [noise(seed, 64, 64) for seed in range(size)]
    alone = [tiny.embed_images([tiny.stage_images([image])])[0] for image in pixels]
    assert np.abs(alone[0] - alone[1]).max() > 1e-2
    together = tiny.embed_images([tiny.stage_images(pixels)])
    assert np.abs(together - alone).max() < TOLERANCE


@pytest.mark.parametrize("parts", [[1, 1], [3, 1, 2], [1, 5], [16]])
def test_a_batch_may_be_staged_in_parts_and_keeps_its_order(tiny: EmbeddingEngine, parts: list[int]) -> None:
    pixels = [noise(seed, 64, 64) for seed in range(sum(parts))]
    staged, rest = [], pixels
    for count in parts:
        staged.append(tiny.stage_images(rest[:count]))
        rest = rest[count:]
    alone = [tiny.embed_images([tiny.stage_images([image])])[0] for image in pixels]
    assert np.abs(tiny.embed_images(staged) - alone).max() < TOLERANCE


@pytest.mark.parametrize("size", [2, 5])
def test_the_same_at_480_pixels_where_a_forward_pass_takes_one_image(engine: EmbeddingEngine, size: int) -> None:
    assert engine.images_per_forward == 1
    pixels = [engine.preprocess_image(file.read_bytes()) for file in sorted(IMAGES.iterdir())[:size]]
    alone = [engine.embed_images([engine.stage_images([image])])[0] for image in pixels]
    assert np.abs(engine.embed_images([engine.stage_images(pixels)]) - alone).max() < TOLERANCE


def test_a_batch_of_more_images_than_a_forward_pass_takes(tmp_path: Path) -> None:
    changes = {"IMAGE_ENCODER.IMAGE_SIZE": [240, 320]}
    engine = EmbeddingEngine.load(write_release(tmp_path / "release", changes), device="cpu")
    assert engine.images_per_forward == CPU_FORWARD_PIXELS // (240 * 320) == 3
    pixels = [noise(seed, 320, 240) for seed in range(7)]
    alone = [engine.embed_images([engine.stage_images([image])])[0] for image in pixels]
    assert np.abs(engine.embed_images([engine.stage_images(pixels)]) - alone).max() < TOLERANCE


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_a_text_is_the_same_padded_to_any_length(tiny: EmbeddingEngine, text: str) -> None:
    alone = tiny.embed_texts([tiny.tokenize(text)])[0]
    for other in TEXTS:
        first, second = tiny.embed_texts([tiny.tokenize(text), tiny.tokenize(other)])
        assert np.abs(first - alone).max() < TOLERANCE
        assert np.abs(second - tiny.embed_texts([tiny.tokenize(other)])[0]).max() < TOLERANCE


@pytest.mark.parametrize("size", [2, 7, 16])
def test_a_text_alone_and_inside_a_batch_is_the_same(engine: EmbeddingEngine, size: int) -> None:
    texts = [f"{'finding, ' * (number % 9)} number {number}" for number in range(size)]
    token_ids = [engine.tokenize(text) for text in texts]
    alone = [engine.embed_texts([ids])[0] for ids in token_ids]
    together = engine.embed_texts(token_ids)
    assert np.abs(together - alone).max() < TOLERANCE
    assert is_unit(together)


def test_pixels_are_normalised_with_the_configs_mean_and_std(tmp_path: Path) -> None:
    usual = EmbeddingEngine.load(write_release(tmp_path / "usual"), device="cpu")
    changes = {"IMAGE_ENCODER.IMAGE_MEAN": [0.4, 0.4, 0.4], "IMAGE_ENCODER.IMAGE_STD": [0.2, 0.2, 0.2]}
    other = EmbeddingEngine.load(write_release(tmp_path / "other", changes), device="cpu")
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.25, 0.2, 0.15])  # in the config of `usual`
    # After normalisation, `alike` in `other` equals `colour` in `usual`.
    colour = np.array([51, 102, 153])
    alike = np.rint(((colour / 255 - mean) / std * 0.2 + 0.4) * 255)
    embeddings = [
        engine.embed_images([engine.stage_images([np.full((64, 64, 3), values, dtype=np.uint8)])])
        for engine, values in ((usual, colour), (other, alike), (other, colour))
    ]
    assert np.abs(embeddings[0] - embeddings[1]).max() < 1e-2  # equal except for the rounding of pixels
    assert np.abs(embeddings[0] - embeddings[2]).max() > 5e-2


def test_an_oblong_image_size_is_width_and_height(tmp_path: Path) -> None:
    changes = {"IMAGE_ENCODER.IMAGE_SIZE": [96, 32]}
    engine = EmbeddingEngine.load(write_release(tmp_path / "release", changes), device="cpu")
    image = Image.fromarray(noise(0, 20, 60))
    pixels = engine.preprocess_image(saved(image), None)
    assert np.array_equal(pixels, np.asarray(image.resize((96, 32), Image.Resampling.BICUBIC)))
    assert engine.embed_images([engine.stage_images([pixels])]).shape == (1, engine.embedding_size)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_smaller_dtype_gives_float32_unit_vectors_close_to_the_exact_ones(
    tiny: EmbeddingEngine, tiny_release: Path, dtype: str
) -> None:
    engine = EmbeddingEngine.load(tiny_release, device="cpu", dtype=dtype)
    assert engine.logit_scale == tiny.logit_scale
    pixels = tiny.stage_images([noise(seed, 64, 64) for seed in range(3)])
    token_ids = [tiny.tokenize(text) for text in TEXTS]
    for rough, exact in (
        (engine.embed_images([pixels]), tiny.embed_images([pixels])),
        (engine.embed_texts(token_ids), tiny.embed_texts(token_ids)),
    ):
        assert rough.dtype == np.float32
        assert is_unit(rough)
        assert ((rough * exact).sum(axis=1) > 0.99).all()


@pytest.mark.parametrize("standardization", [None, Standardization(), Standardization(size=64, jpeg_quality=90)])
def test_preprocessing_is_that_of_the_preprocessing_module(
    tiny: EmbeddingEngine, standardization: Standardization | None
) -> None:
    for file in sorted(IMAGES.iterdir()):
        expected = preprocess(Image.open(file), (64, 64), standardization)
        assert np.array_equal(tiny.preprocess_image(file.read_bytes(), standardization), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5)])
def test_an_image_of_any_shape(tiny: EmbeddingEngine, size: tuple[int, int]) -> None:
    pixels = tiny.preprocess_image(saved(Image.new("L", size, 90)))
    assert pixels.shape == (64, 64, 3)
    assert is_unit(tiny.embed_images([tiny.stage_images([pixels])]))


def test_staged_pixels_are_a_copy(tiny: EmbeddingEngine) -> None:
    pixels = noise(0, 64, 64)
    staged = tiny.stage_images([pixels, pixels])
    pixels[:] = 0
    assert staged.shape == (2, 64, 64, 3)
    assert staged.dtype == torch.uint8
    assert torch.equal(staged[0], staged[1])
    assert staged.any()


def test_preprocessing_and_tokenising_from_several_threads(engine: EmbeddingEngine) -> None:
    files = [file.read_bytes() for file in sorted(IMAGES.iterdir())]
    pixels, token_ids = [engine.preprocess_image(data) for data in files], [engine.tokenize(text) for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert all(map(np.array_equal, pool.map(engine.preprocess_image, files), pixels))
            assert list(pool.map(engine.tokenize, TEXTS)) == token_ids


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ImageDecodeError),
        (b"chest x-ray", ImageDecodeError),
        (b"%PDF-1.7", ImageFormatUnsupported),
        (saved(Image.new("1", (200, 101))), ImageTooLarge),
        (saved(Image.fromarray(noise(0, 64, 64)))[:-2000], ImageDecodeError),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tiny_release: Path, data: bytes, error: type[InvalidInput]) -> None:
    engine = EmbeddingEngine.load(tiny_release, device="cpu", max_pixels=200 * 100)
    engine.preprocess_image(saved(Image.new("1", (200, 100))))
    with pytest.raises(error):
        engine.preprocess_image(data)


def test_the_frame_is_chosen_by_the_rendering(tiny: EmbeddingEngine) -> None:
    first, second = (Image.fromarray(noise(seed, 64, 64)) for seed in range(2))
    file = saved(first, "TIFF", save_all=True, append_images=[second])
    for frame, image in enumerate((first, second)):
        pixels = tiny.preprocess_image(file, None, Rendering(frame=frame))
        assert np.array_equal(pixels, np.asarray(image))


def test_properties_of_a_loaded_engine(tiny: EmbeddingEngine, tiny_release: Path) -> None:
    assert (tiny.device, tiny.dtype) == (torch.device("cpu"), torch.float32)
    assert (tiny.embedding_size, tiny.config.text.context_length) == (20, 16)
    assert tiny.logit_scale == 4.513362407684326
    assert tiny.max_pixels == DEFAULT_MAX_PIXELS == 64_000_000
    assert tiny.release.name == tiny_release.name
    assert tiny.load_times.load_s > 0
    assert tiny.load_times.warm_up_s > 0


def test_threads_are_all_that_the_process_may_use_or_as_many_as_asked_for(tiny_release: Path) -> None:
    engine = EmbeddingEngine.load(tiny_release, device="cpu")
    assert engine.threads == engine.cpus == torch.get_num_threads()
    assert EmbeddingEngine.load(tiny_release, device="cpu", threads=1).threads == torch.get_num_threads() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("key", ["image_projection", "lang_projection"])
def test_weights_that_give_no_embedding_are_refused_while_loading(
    tiny_release: Path, tmp_path: Path, key: str, value: float
) -> None:
    release = write_release(tmp_path / "release")
    tensors = load_file(release / "vision_model" / "weights.pt")
    tensors[key] = np.full_like(tensors[key], value)
    save_file(tensors, release / "vision_model" / "broken.pt")
    with pytest.raises(EncoderFault, match="vectors that are not finite or are zero"):
        EmbeddingEngine.load(release / "vision_model" / "broken.pt", device="cpu")


def test_an_engine_that_cannot_be_loaded_says_why(tiny_release: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no model at"):
        EmbeddingEngine.load(tmp_path / "nothing")
    with pytest.raises(DeviceError, match="the device 'tpu' is unknown"):
        EmbeddingEngine.load(tiny_release, device="tpu")
    with pytest.raises(DeviceError, match="the dtype 'int8' is unknown"):
        EmbeddingEngine.load(tiny_release, device="cpu", dtype="int8")
    with pytest.raises(ConfigError, match=r"LANG_ENCODER\.TOKENIZER is 'bert'"):
        EmbeddingEngine.load(write_release_with_tokenizer(tmp_path, "bert"), device="cpu")


def write_release_with_tokenizer(folder: Path, name: str) -> Path:
    release = write_release(folder / "release")
    config = release / "config.yaml"
    config.write_text(config.read_text().replace("TOKENIZER: clip", f"TOKENIZER: {name}"))
    return release
