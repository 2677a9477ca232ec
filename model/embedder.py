"""Embeddings of many images and texts, through a cache on disk."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from typing import NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.data.image_files import SHOW_PROGRESS_AFTER_S
from model.data.image_source import ImageSource
from model.embedding_cache import Embedding, EmbeddingCache
from model.errors import ImageDecodeError, InvalidInput
from model.imaging.preprocessing import Preprocessing

T = TypeVar("T")
KeyedImage = tuple[bytes, ImageSource]

READING_THREADS = 4
SHOWN_CHARS = 60  # of a text in an error message
SHOW_BAR_AFTER_S = 0.1  # so that the log line of the loading model does not follow an empty bar on its line
_LOGIT_SCALE_KEY = b"logit_scale"


@dataclass(frozen=True)
class EmbeddedImages:
    """Embeddings of the readable images, and the reasons why the others are unreadable.

    Attributes:
        features: (n, D) float32 of unit norm; (0, 1) if no image is readable.
        positions: (n,), the position of each embedded image in the list that was given.
        digests: (n,), equal where two images have the same bytes.
        refused: position -> sentence, for each unreadable image.
    """

    features: NDArray[np.float32]
    positions: list[int]
    digests: list[bytes]
    refused: dict[int, str] = field(default_factory=dict)


class Embedder(ABC):
    """Embeds images and texts in order. What the cache holds is not computed again, nor is any input computed twice.

    Args:
        cache: keeps every embedding as soon as it is computed; default None keeps nothing.
        preprocessing: which picture of a file is embedded, and how it becomes the encoder's input; default: the
            service's.
        progress: whether to show progress bars; default False.
    """

    def __init__(
        self,
        *,
        cache: EmbeddingCache | None = None,
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
        progress: bool = False,
    ) -> None:
        self._cache, self._preprocessing, self._progress = cache, preprocessing, progress

    def with_preprocessing(self, preprocessing: Preprocessing) -> Self:
        """An embedder with the same model and cache that preprocesses images in this way."""
        other = copy(self)
        other._preprocessing = preprocessing
        return other

    @abstractmethod
    def compute_images(self, images: Sequence[KeyedImage]) -> Iterator[Mapping[bytes, Embedding | str]]:
        """Yield key -> embedding, or the sentence that says why the image is unreadable; batch by batch."""

    @abstractmethod
    def compute_texts(self, texts: Sequence[str]) -> Iterator[Sequence[Embedding]]:
        """Yield the embeddings of the texts in order, batch by batch.

        Raises:
            InvalidInput: a text cannot be embedded; the sentence quotes it.
        """

    @abstractmethod
    def compute_logit_scale(self) -> float:
        """The model's log temperature."""

    @property
    def logit_scale(self) -> float:
        """The model's log temperature."""
        found = self._cache.get([_LOGIT_SCALE_KEY]) if self._cache else {}
        if _LOGIT_SCALE_KEY in found:
            return float(found[_LOGIT_SCALE_KEY][0])
        computed = self.compute_logit_scale()
        self._keep({_LOGIT_SCALE_KEY: np.array([computed], dtype=np.float32)})
        return computed

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order: (n, D) float32 of unit norm.

        Raises:
            InvalidInput: a text cannot be embedded; the sentence quotes it.
        """
        keys = [_key(b"text", text.encode("utf-8", "surrogatepass")) for text in texts]
        known = self._cache.get(dict.fromkeys(keys)) if self._cache else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        waiting = iter(missing)
        with self._bar("texts", len(missing)) as bar:
            for batch in self.compute_texts(list(missing.values())):
                known |= self._keep({next(waiting): embedding for embedding in batch})
                bar.update(len(batch))
        return np.stack([known[key] for key in keys])

    def images(self, images: Sequence[ImageSource], *, strict: bool = False) -> EmbeddedImages:
        """Embed images, in order.

        Args:
            images: where their bytes lie.
            strict: whether an unreadable image ends the call; default False leaves it out of the embeddings.

        Raises:
            ImageDecodeError: an image is unreadable and `strict`; the sentence names the file.
        """
        keys, refused = self._keys_of(images, strict=strict)
        known = self._cache.get(dict.fromkeys(keys.values())) if self._cache else {}
        missing = {key: images[position] for position, key in keys.items() if key not in known}
        computed, unreadable = self._compute_missing(missing, strict=strict)
        known |= computed
        refused |= {position: unreadable[key] for position, key in keys.items() if key in unreadable}
        positions = [position for position, key in keys.items() if key in known]
        features = np.stack([known[keys[position]] for position in positions]) if positions else np.empty((0, 1))
        digests = [keys[position] for position in positions]
        return EmbeddedImages(features.astype(np.float32), positions, digests, dict(sorted(refused.items())))

    def _keys_of(self, images: Sequence[ImageSource], *, strict: bool) -> tuple[dict[int, bytes], dict[int, str]]:
        """The cache key per position, and the sentence per position whose bytes cannot be read."""
        keys: dict[int, bytes] = {}
        refused: dict[int, str] = {}
        with ThreadPoolExecutor(READING_THREADS) as pool:
            reading = tqdm(
                pool.map(self._key_of_image, images),
                total=len(images),
                desc="reading",
                unit="image",
                delay=SHOW_PROGRESS_AFTER_S,
                leave=False,
                disable=not self._progress,
            )
            for position, key in enumerate(reading):
                if isinstance(key, bytes):
                    keys[position] = key
                else:
                    refused[position] = key
                    _check(images[position], key, strict=strict)
        return keys, refused

    def _compute_missing(
        self, missing: Mapping[bytes, ImageSource], *, strict: bool
    ) -> tuple[dict[bytes, Embedding], dict[bytes, str]]:
        """Embeddings by key, and sentences by key of what is unreadable."""
        computed: dict[bytes, Embedding] = {}
        unreadable: dict[bytes, str] = {}
        with self._bar("images", len(missing)) as bar:
            for batch in self.compute_images(list(missing.items())):
                problems = {key: problem for key, problem in batch.items() if isinstance(problem, str)}
                for key, problem in problems.items():
                    _check(missing[key], problem, strict=strict)
                unreadable |= problems
                computed |= self._keep({key: found for key, found in batch.items() if not isinstance(found, str)})
                bar.update(len(batch))
        return computed, unreadable

    def _key_of_image(self, image: ImageSource) -> bytes | str:
        """The cache key of an image, or the sentence that says why its bytes cannot be read."""
        try:
            return _key(repr(self._preprocessing).encode(), image.read())
        except (InvalidInput, OSError) as error:
            return sentence_of(error)

    def _keep(self, embeddings: dict[bytes, Embedding]) -> dict[bytes, Embedding]:
        if self._cache:
            self._cache.put(embeddings)
        return embeddings

    def _bar(self, unit: str, total: int) -> "tqdm[NoReturn]":
        is_hidden = not self._progress or not total
        return tqdm(total=total, desc=unit, unit=unit.removesuffix("s"), delay=SHOW_BAR_AFTER_S, disable=is_hidden)


def sentence_of(error: InvalidInput | OSError) -> str:
    """Why an image is unreadable, in one sentence."""
    if isinstance(error, OSError):
        return f"the file cannot be read: {error.strerror or type(error).__name__}"
    return str(error)


def shortened(text: str) -> str:
    """The beginning of a text in quotes, for an error message."""
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")


def in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, `size` at a time; the last part may be smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check(image: ImageSource, problem: str, *, strict: bool) -> None:
    if strict:
        raise ImageDecodeError(f"{image.path}: {problem}")


def _key(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(kind).digest() + content).digest()
