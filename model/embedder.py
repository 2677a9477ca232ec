"""Files and texts to embeddings, many at a time, through the cache if there is one."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.data.manifest import ImageSource
from model.embedding_cache import Embedding, EmbeddingCache
from model.errors import InvalidInput
from model.imaging.preprocessing import Standardization

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine, Pixels

Item = TypeVar("Item")

BATCH_SIZE = 32
BATCHES_AHEAD = 2  # decoded while one is embedded
_LOGIT_SCALE = b"logit_scale"


@dataclass(frozen=True)
class EmbeddedImages:
    """Embeddings of the readable files, and what is wrong with the others."""

    features: NDArray[np.float32]  # (readable, D), of unit norm
    positions: list[int]  # (readable,), where each stands in the list that was asked for
    digests: list[bytes]  # (readable,), equal where the bytes are
    refused: dict[int, str] = field(default_factory=dict)  # position -> sentence


class Embedder:
    """An engine that is loaded only when the cache lacks something.

    Args:
        load_engine: gives the engine; called at most once.
        cache: None embeds everything anew.
        standardization: as for `EmbeddingEngine.preprocess_image`.
        progress: whether a bar is shown.
    """

    def __init__(
        self,
        load_engine: "Callable[[], EmbeddingEngine]",
        *,
        cache: EmbeddingCache | None = None,
        standardization: Standardization | None = Standardization(),  # noqa: B008 (frozen)
        progress: bool = False,
    ) -> None:
        self._load_engine = load_engine
        self._engine: EmbeddingEngine | None = None
        self._cache, self._standardization, self._progress = cache, standardization, progress

    @property
    def engine(self) -> "EmbeddingEngine":
        if self._engine is None:
            self._engine = self._load_engine()
        return self._engine

    @property
    def logit_scale(self) -> float:
        """The model's log temperature."""
        known = self._cache.get([_LOGIT_SCALE]) if self._cache else {}
        if _LOGIT_SCALE in known:
            return float(known[_LOGIT_SCALE][0])
        if self._cache:
            self._cache.put({_LOGIT_SCALE: np.array([self.engine.logit_scale], dtype=np.float32)})
        return self.engine.logit_scale

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order: (n, D).

        Raises:
            TextInvalid: a text is no Unicode.
        """
        keys = [_key(b"text", text.encode("utf-8", "surrogatepass")) for text in texts]
        known = self._cache.get(dict.fromkeys(keys)) if self._cache else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        for part in _parts(list(missing.items()), BATCH_SIZE):
            features = self.engine.embed_texts([self.engine.tokenize(text) for _, text in part])
            known |= self._keep(dict(zip((key for key, _ in part), features, strict=True)))
        return np.stack([known[key] for key in keys])

    def images(self, images: Sequence[ImageSource]) -> EmbeddedImages:
        """Embed images; the unreadable ones are named in the answer, and the others go on."""
        refused: dict[int, str] = {}
        keys: dict[int, bytes] = {}
        for position, image in enumerate(images):
            try:
                keys[position] = _key(repr(self._standardization).encode(), image.read())
            except (InvalidInput, OSError) as error:
                refused[position] = _sentence(error)
        known = self._cache.get(dict.fromkeys(keys.values())) if self._cache else {}
        missing = {key: images[position] for position, key in keys.items() if key not in known}
        embedded, unreadable = self._embed(missing)
        known |= embedded
        refused |= {position: unreadable[key] for position, key in keys.items() if key in unreadable}
        positions = [position for position, key in keys.items() if key in known]
        features = np.stack([known[keys[position]] for position in positions]) if positions else np.empty((0, 1))
        return EmbeddedImages(
            features.astype(np.float32),
            positions,
            [keys[position] for position in positions],
            dict(sorted(refused.items())),
        )

    def _embed(self, missing: dict[bytes, ImageSource]) -> tuple[dict[bytes, Embedding], dict[bytes, str]]:
        """Decode in a pool while the device works; returns embeddings, and sentences for what is unreadable."""
        embedded: dict[bytes, Embedding] = {}
        unreadable: dict[bytes, str] = {}
        if not missing:
            return embedded, unreadable
        bar = tqdm(total=len(missing), desc="images", unit="image", disable=not self._progress)
        with ThreadPoolExecutor(self.engine.cpus) as pool, bar:
            for batch in _ahead(pool, self._decode, _parts(list(missing.items()), BATCH_SIZE)):
                readable = {key: pixels for key, pixels in batch if not isinstance(pixels, str)}
                unreadable |= {key: problem for key, problem in batch if isinstance(problem, str)}
                if readable:
                    features = self.engine.embed_images([self.engine.stage_images(list(readable.values()))])
                    embedded |= self._keep(dict(zip(readable, features, strict=True)))
                bar.update(len(batch))
        return embedded, unreadable

    def _decode(self, key: bytes, image: ImageSource) -> "tuple[bytes, Pixels | str]":
        try:
            return key, self.engine.preprocess_image(image.read(), self._standardization)
        except (InvalidInput, OSError) as error:
            return key, _sentence(error)

    def _keep(self, embeddings: dict[bytes, Embedding]) -> dict[bytes, Embedding]:
        if self._cache:
            self._cache.put(embeddings)
        return embeddings


def _sentence(error: InvalidInput | OSError) -> str:
    if isinstance(error, OSError):
        return f"the file cannot be read: {error.strerror or type(error).__name__}"
    return str(error)


def _key(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(kind).digest() + content).digest()


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[bytes, ImageSource], Item],
    parts: Iterator[list[tuple[bytes, ImageSource]]],
) -> Iterator[list[Item]]:
    """The results of each part in order, with the calls of the next parts under way before a part is asked for."""
    waiting: deque[list[Future[Item]]] = deque()
    for part in parts:
        waiting.append([pool.submit(function, *item) for item in part])
        if len(waiting) > BATCHES_AHEAD:
            yield [future.result() for future in waiting.popleft()]
    while waiting:
        yield [future.result() for future in waiting.popleft()]
