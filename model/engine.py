"""The engine: one model on one device, from bytes and strings to embeddings. Knows nothing of requests.

`preprocess_image` and `tokenize` may be called from any thread; `stage_images`, from one thread at a time. `embed_*`
may be called from several threads at once on a CPU, elsewhere from the one that owns the device.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.checkpoints.checkpoint import load_model
from model.checkpoints.release_folder import ReleaseFolder, find_release_folder
from model.config import ModelConfig, read_config
from model.devices import available_cpus, out_of_memory_named, pick_device, pick_dtype
from model.encoders.medimageinsight import MedImageInsight
from model.encoders.tokenizer import Tokenizer
from model.errors import EncoderFault
from model.imaging import images
from model.imaging.preprocessing import Standardization, preprocess
from model.imaging.rendering import AS_STORED, Rendering
from model.normalization import unit_norm

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]

DEFAULT_MAX_PIXELS = 64_000_000
# A forward pass on a CPU is fastest while its activations stay small: one image at 480 pixels (measured: four
# at once cost 15 % more time an image), a dozen at 128.
CPU_FORWARD_PIXELS = 480 * 480
# Where a text is computed this quickly, its layers are so small that threads may wait for each other longer than one
# works alone: then both are tried, and the best of some trials counts, since other work only ever slows one down.
QUICK_TEXT_S, TRIALS = 0.02, 3
WARM_UP_SHARE = 4  # on a CPU the warm-up image has a quarter of the sides: it touches all weights at 1/16 the work


@dataclass(frozen=True)
class LoadTimes:
    """Where the time from a folder to a ready engine went, in seconds."""

    load_s: float
    warm_up_s: float


class EmbeddingEngine:
    """MedImageInsight, loaded, on its device."""

    def __init__(
        self,
        release: ReleaseFolder,
        config: ModelConfig,
        model: MedImageInsight,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.release, self.config, self.tokenizer = release, config, tokenizer
        self.device, self.dtype, self.max_pixels = device, dtype, max_pixels
        self.logit_scale = float(model.logit_scale)
        self.load_times = LoadTimes(0.0, 0.0)
        self.cpus, self.threads = available_cpus(), torch.get_num_threads()
        self._text_threads = self.threads
        self._model = model
        self._mean = torch.tensor(config.image.image_mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(config.image.image_std, device=device).view(1, 3, 1, 1)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> "EmbeddingEngine":
        """Load a model from a folder or weights file (see `find_release_folder`) and warm it up.

        Args:
            path: the release folder.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            dtype: `auto`, `float32`, `bfloat16` or `float16`; outputs are float32 whatever it is.
            threads: of torch on a CPU; None takes every CPU that this process may use.
            max_pixels: images with more are refused.

        Raises:
            CheckpointError, ConfigError, DeviceError: each says in one sentence what to change.
        """
        start = time.perf_counter()
        release = find_release_folder(path)
        config = read_config(release.config)
        chosen = pick_device(device)
        kind = pick_dtype(dtype, chosen)
        torch.set_num_threads(threads or available_cpus())
        tokenizer = Tokenizer(release.tokenizer, config.text.context_length)
        model = load_model(release.weights, config, tokenizer.vocabulary_size, device=chosen, dtype=kind)
        engine = cls(release, config, model, tokenizer, chosen, kind, max_pixels)
        loaded = time.perf_counter()
        engine.warm_up()
        engine.load_times = LoadTimes(loaded - start, time.perf_counter() - loaded)
        return engine

    @property
    def embedding_size(self) -> int:
        return self.config.embedding_size

    @property
    def images_per_forward(self) -> int:
        """How many images one forward pass takes at most on this device, where that is limited; 0 if not."""
        if self.device.type != "cpu":
            return 0
        height, width = self.config.image.image_size
        return max(1, CPU_FORWARD_PIXELS // (height * width))

    def check_image(self, data: bytes, rendering: Rendering = AS_STORED) -> None:
        """Read an image's header, no pixels; raises what `preprocess_image` would raise for it."""
        images.check(data, max_pixels=self.max_pixels, rendering=rendering)

    def frame_count(self, data: bytes, rendering: Rendering = AS_STORED) -> int:
        """How many frames, pages or slices an image file has to choose from; raises as `check_image`."""
        return images.frame_count(data, max_pixels=self.max_pixels, rendering=rendering)

    def preprocess_image(
        self,
        data: bytes,
        standardization: Standardization | None = Standardization(),  # noqa: B008 (frozen)
        rendering: Rendering = AS_STORED,
    ) -> Pixels:
        """Decode one picture of an image file and make it the encoder's input, (H, W, 3) uint8.

        Raises:
            InvalidInput: see `model.imaging.images.decode`.
        """
        image = images.decode(data, max_pixels=self.max_pixels, rendering=rendering)
        return preprocess(image, self.config.image.image_size, standardization)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, at most the context length; see `Tokenizer`."""
        return self.tokenizer(text)

    def stage_images(self, pixels: Sequence[Pixels]) -> Tensor:
        """Stack preprocessed images to (n, H, W, 3) uint8, in pinned memory where the device is CUDA."""
        staged = torch.empty((len(pixels), *pixels[0].shape), dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        np.stack(pixels, out=staged.numpy())
        return staged

    def embed_images(self, staged: Sequence[Tensor], *, normalize: bool = True, share: int = 1) -> Embeddings:
        """Embed staged images, in order: (n, D) float32, of unit L2 norm if `normalize`.

        Args:
            share: how many calls go on at once on this CPU; each takes that part of the threads.

        Raises:
            EncoderFault: the encoder returned something that is no embedding.
            OutOfDeviceMemory: so many at once are too many.
        """
        self._take_threads(self.threads // share)
        with out_of_memory_named(), torch.inference_mode():
            uploaded = torch.cat([part.to(self.device, non_blocking=True) for part in staged])
            chunks = torch.split(uploaded, self.images_per_forward or len(uploaded))
            features = torch.cat(
                [self._model.encode_image(self._normalise(chunk), normalize=False) for chunk in chunks]
            )
            return self._checked(features, len(uploaded), normalize)

    def embed_texts(self, token_ids: Sequence[Sequence[int]], *, normalize: bool = True, share: int = 1) -> Embeddings:
        """Embed tokenised texts, in order: (n, D) float32, of unit L2 norm if `normalize`.

        Padding is masked, so a text's embedding does not depend on the others' lengths. For `share` see `embed_images`.

        Raises:
            EncoderFault: the encoder returned something that is no embedding.
            OutOfDeviceMemory: so many at once are too many.
        """
        longest = max(map(len, token_ids))
        input_ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in token_ids])
        lengths = torch.tensor([len(ids) for ids in token_ids])
        attention_mask = torch.arange(longest) < lengths[:, None]
        self._take_threads(min(self._text_threads, self.threads // share))
        with out_of_memory_named(), torch.inference_mode():
            features = self._model.encode_text(
                input_ids.to(self.device), attention_mask.to(self.device), normalize=False
            )
            return self._checked(features, len(token_ids), normalize)

    @property
    def device_memory_bytes(self) -> int:
        """What torch holds of a CUDA device's memory; 0 elsewhere."""
        return torch.cuda.memory_reserved(self.device) if self.device.type == "cuda" else 0

    def warm_up(self) -> None:
        """Run both encoders once, so that the first request pays for no page fault and no kernel's first use."""
        height, width = self.config.image.image_size
        share = WARM_UP_SHARE if self.device.type == "cpu" else 1
        self.embed_images([self.stage_images([np.zeros((height // share or 1, width // share or 1, 3), np.uint8)])])
        text = [self.tokenize("chest x-ray")]
        self.embed_texts(text)
        if self.device.type == "cpu" and self.threads > 1 and self._seconds_of(text, self.threads) < QUICK_TEXT_S:
            self._text_threads = min((self.threads, 1), key=lambda threads: self._seconds_of(text, threads, TRIALS))
            self._take_threads(self.threads)

    def _seconds_of(self, text: Sequence[Sequence[int]], threads: int, trials: int = 1) -> float:
        """The least that a text takes on so many threads."""
        self._text_threads, seconds = threads, []
        for _ in range(trials):
            start = time.perf_counter()
            self.embed_texts(text)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def _take_threads(self, count: int) -> None:
        """Let torch use so many threads for what the calling thread computes from here on."""
        if self.device.type == "cpu":
            torch.set_num_threads(max(1, count))

    def _normalise(self, pixels: Tensor) -> Tensor:
        """(n, H, W, 3) uint8 to (n, 3, H, W) in the model's dtype; the layout in memory stays channels last."""
        scaled = pixels.permute(0, 3, 1, 2).float().div_(255)
        return scaled.sub_(self._mean).div_(self._std).to(self.dtype)

    def _checked(self, features: Tensor, count: int, normalize: bool) -> Embeddings:
        embeddings: Embeddings = features.cpu().numpy()
        if embeddings.shape != (count, self.embedding_size):
            raise EncoderFault(f"the encoder returned shape {embeddings.shape} for {count} entries")
        norms = np.linalg.norm(embeddings, axis=1)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise EncoderFault("the encoder returned vectors that are not finite or are zero")
        return unit_norm(embeddings) if normalize else embeddings
