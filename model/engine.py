"""Engine: one model on one device, from bytes and strings to embeddings. Independent of requests.

`preprocess_image` and `tokenize` may be called from any thread, `stage_images` from one thread at a time.
`embed_images` and `embed_texts` may be called from several threads at once on a CPU. On another device, they must be
called from one thread.
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
from model.cpus import available_cpus
from model.devices import out_of_memory_named, pick_device, pick_dtype
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
# A forward pass on a CPU is fastest with small activations: one image of 480x480 pixels, or 14 of 128x128.
# Measured: four images of 480x480 pixels per forward pass take 15 % more time per image than one.
CPU_FORWARD_PIXELS = 480 * 480
# If a text takes less time than this, its layers may be so small that one thread is faster than several. The warm-up
# then measures both. The minimum of several trials counts, because other load only makes a trial slower.
QUICK_TEXT_S, TRIALS = 0.02, 3
WARM_UP_SHARE = 4  # on a CPU, the warm-up image has a quarter of the height and width, which takes 1/16 of the time


@dataclass(frozen=True)
class LoadTimes:
    """Durations of the steps from a release folder to a ready engine, in seconds."""

    load_s: float
    warm_up_s: float


class EmbeddingEngine:
    """A loaded MedImageInsight model with its tokenizer, on its device."""

    def __init__(
        self,
        release: ReleaseFolder,
        config: ModelConfig,
        model: MedImageInsight,
        tokenizer: Tokenizer | None,
        device: torch.device,
        dtype: torch.dtype,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.release, self.config, self._tokenizer = release, config, tokenizer
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
        image_only: bool = False,
    ) -> "EmbeddingEngine":
        """Load a model and run each encoder once.

        Args:
            path: a release folder, a folder that contains one, or a weights file.
            device: `cpu`, `cuda`, `cuda:N` or `mps`. Default: `auto`, which takes CUDA, then MPS, then the CPU.
            dtype: `float32`, `bfloat16` or `float16`, the number format of the encoders; embeddings are float32.
                Default: `auto`, which takes bfloat16 on CUDA (float16 on a GPU without it), otherwise float32.
            threads: number of torch's threads on a CPU. Default: all CPUs that this process may use.
            max_pixels: maximum width times height of an image. Default: 64,000,000.
            image_only: True loads neither the text encoder nor the tokenizer. Default: False.

        Raises:
            CheckpointError: the files of the model are missing, damaged or inconsistent.
            ConfigError: the `config.yaml` is unreadable, or describes a model that the code cannot build.
            DeviceError: the device or the dtype is unknown or not available.
            EncoderFault: the weights give vectors that are not finite or are zero.
            OutOfDeviceMemory: the memory of the device is too small for the model.
        """
        start = time.perf_counter()
        release = find_release_folder(path)
        config = read_config(release.config)
        chosen = pick_device(device)
        kind = pick_dtype(dtype, chosen)
        torch.set_num_threads(threads or available_cpus())
        tokenizer = None if image_only else Tokenizer(release.tokenizer, config.text.context_length)
        vocabulary_size = None if tokenizer is None else tokenizer.vocabulary_size
        model = load_model(release.weights, config, vocabulary_size, device=chosen, dtype=kind)
        engine = cls(release, config, model, tokenizer, chosen, kind, max_pixels)
        loaded = time.perf_counter()
        engine.warm_up()
        engine.load_times = LoadTimes(loaded - start, time.perf_counter() - loaded)
        return engine

    @property
    def embedding_size(self) -> int:
        """Number of dimensions of an embedding, D."""
        return self.config.embedding_size

    @property
    def reads_texts(self) -> bool:
        """Whether the text encoder is loaded."""
        return self._tokenizer is not None

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text encoder.

        Raises:
            EncoderFault: the model was loaded without its text encoder.
        """
        if self._tokenizer is None:
            raise EncoderFault("the model was loaded without its text encoder")
        return self._tokenizer

    @property
    def images_per_forward(self) -> int:
        """Maximum number of images per forward pass on this device; 0 if it is not limited."""
        if self.device.type != "cpu":
            return 0
        height, width = self.config.image.image_size
        return max(1, CPU_FORWARD_PIXELS // (height * width))

    def preprocess_image(
        self,
        image: bytes,
        standardization: Standardization | None = Standardization(),  # noqa: B008 (frozen)
        rendering: Rendering = AS_STORED,
    ) -> Pixels:
        """Decode one frame of an image file and resize it to the input of the image encoder.

        Args:
            image: the bytes of the file.
            standardization: the first step of the Azure endpoint, a small square JPEG; None omits it. Default: a JPEG
                of 512x512 pixels and quality 75.
            rendering: which frame is decoded, and how its values become 8-bit. Default: the usual frame and window.

        Returns:
            (H, W, 3) uint8, RGB, of the image size of the config.

        Raises:
            InvalidInput: the image is damaged, too large, or in a format that is not accepted.
        """
        picture = images.decode(image, max_pixels=self.max_pixels, rendering=rendering)
        return preprocess(picture, self.config.image.image_size, standardization)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Convert a text to token ids, at most as many as the context length. Raises TextInvalid."""
        return self.tokenize_counted(text)[0]

    def tokenize_counted(self, text: str) -> tuple[tuple[int, ...], int]:
        """The token ids of a text, and the number of its tokens before the cut to the context. Raises TextInvalid."""
        return self.tokenizer.counted(text)

    def stage_images(self, pixels: Sequence[Pixels]) -> Tensor:
        """Copy preprocessed images, each (H, W, 3), to one (n, H, W, 3) uint8 tensor, on CUDA in pinned memory."""
        staged = torch.empty((len(pixels), *pixels[0].shape), dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        np.stack(pixels, out=staged.numpy())
        return staged

    def embed_images(self, staged: Sequence[Tensor], *, normalize: bool = True, share: int = 1) -> Embeddings:
        """Embed staged images, in their order.

        Args:
            staged: results of `stage_images`, together n images.
            normalize: divide each row by its L2 norm, on the host in float32. Default: True.
            share: number of parallel calls among which the CPU threads are divided. Default: 1.

        Returns:
            (n, D) float32.

        Raises:
            EncoderFault: the encoder returned vectors that are not finite or are zero.
            OutOfDeviceMemory: the memory of the device is too small for n images.
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
        """Embed tokenized texts, in their order.

        Padding is masked, so the embedding of a text does not depend on the lengths of the others.

        Args:
            token_ids: results of `tokenize`, n texts.
            normalize: divide each row by its L2 norm, on the host in float32. Default: True.
            share: number of parallel calls among which the CPU threads are divided. Default: 1.

        Returns:
            (n, D) float32.

        Raises:
            EncoderFault: the encoder returned vectors that are not finite or are zero.
            OutOfDeviceMemory: the memory of the device is too small for n texts.
        """
        longest = max(map(len, token_ids))
        input_ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in token_ids])  # n, L
        lengths = torch.tensor([len(ids) for ids in token_ids])
        attention_mask = torch.arange(longest) < lengths[:, None]  # n, L
        self._take_threads(min(self._text_threads, self.threads // share))
        with out_of_memory_named(), torch.inference_mode():
            features = self._model.encode_text(
                input_ids.to(self.device), attention_mask.to(self.device), normalize=False
            )
            return self._checked(features, len(token_ids), normalize)

    @property
    def device_memory_bytes(self) -> int:
        """Memory that torch has reserved on a CUDA device, in bytes; 0 on other devices."""
        return torch.cuda.memory_reserved(self.device) if self.device.type == "cuda" else 0

    def warm_up(self) -> None:
        """Run the loaded encoders once, so that page faults and kernel selection do not slow down the first request.

        On a CPU, also choose the number of threads for texts.
        """
        height, width = self.config.image.image_size
        share = WARM_UP_SHARE if self.device.type == "cpu" else 1
        self.embed_images([self.stage_images([np.zeros((height // share or 1, width // share or 1, 3), np.uint8)])])
        if not self.reads_texts:
            return
        text = [self.tokenize("chest x-ray")]
        self.embed_texts(text)
        if self.device.type == "cpu" and self.threads > 1 and self._seconds_of(text, self.threads) < QUICK_TEXT_S:
            self._text_threads = min((self.threads, 1), key=lambda threads: self._seconds_of(text, threads, TRIALS))
            self._take_threads(self.threads)

    def _seconds_of(self, text: Sequence[Sequence[int]], threads: int, trials: int = 1) -> float:
        """The minimum duration of embedding `text` with a number of threads, over `trials` calls."""
        self._text_threads, seconds = threads, []
        for _ in range(trials):
            start = time.perf_counter()
            self.embed_texts(text)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def _take_threads(self, count: int) -> None:
        """Set the number of threads that torch uses for later computations of the calling thread."""
        if self.device.type == "cpu":
            torch.set_num_threads(max(1, count))

    def _normalise(self, pixels: Tensor) -> Tensor:
        """Convert (n, H, W, 3) uint8 to (n, 3, H, W) in the model's dtype; the memory layout stays channels last."""
        scaled = pixels.permute(0, 3, 1, 2).float().div_(255)
        return scaled.sub_(self._mean).div_(self._std).to(self.dtype)

    def _checked(self, features: Tensor, count: int, normalize: bool) -> Embeddings:
        """Copy features (n, D) to the host, check them, and divide by the L2 norm if `normalize`."""
        embeddings: Embeddings = features.cpu().numpy()
        if embeddings.shape != (count, self.embedding_size):
            raise EncoderFault(f"the encoder returned shape {embeddings.shape} for {count} entries")
        norms = np.linalg.norm(embeddings, axis=1)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise EncoderFault("the encoder returned vectors that are not finite or are zero")
        return unit_norm(embeddings) if normalize else embeddings
