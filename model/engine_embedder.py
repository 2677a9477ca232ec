"""Embedder with an engine in this process."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from model.embedder import Embedder, KeyedImage, in_parts, sentence_of, shortened
from model.embedding_cache import Embedding, EmbeddingCache
from model.errors import InvalidInput
from model.imaging.preprocessing import Preprocessing

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine, Pixels

T = TypeVar("T")

BATCH_SIZE = 32
BATCHES_AHEAD = 2  # decoded while the device embeds another batch


class EngineEmbedder(Embedder):
    """Embeds with an engine in this process, which is loaded only if the cache lacks something.

    Args:
        load_engine: returns the engine; called at most once.
        batch_size: images, or texts, per call of the engine; default 32.
        threads: threads that decode images; default 0 takes one per CPU.
        cache, preprocessing, progress: as for `Embedder`.
    """

    def __init__(
        self,
        load_engine: "Callable[[], EmbeddingEngine]",
        *,
        batch_size: int = BATCH_SIZE,
        threads: int = 0,
        cache: EmbeddingCache | None = None,
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
        progress: bool = False,
    ) -> None:
        super().__init__(cache=cache, preprocessing=preprocessing, progress=progress)
        self._load_engine, self._batch_size, self._threads = load_engine, batch_size, threads

    @cached_property
    def engine(self) -> "EmbeddingEngine":
        """The engine, loaded at the first use."""
        return self._load_engine()

    def compute_logit_scale(self) -> float:
        return self.engine.logit_scale

    def compute_texts(self, texts: Sequence[str]) -> Iterator[Sequence[Embedding]]:
        for batch in in_parts(texts, self._batch_size):
            yield list(self.engine.embed_texts([self._tokenize(text) for text in batch]))

    def compute_images(self, images: Sequence[KeyedImage]) -> Iterator[Mapping[bytes, Embedding | str]]:
        """Decode in a pool of threads while the device embeds."""
        if not images:
            return
        with ThreadPoolExecutor(self._threads or self.engine.cpus) as pool:
            for batch in _ahead(pool, self._decode, in_parts(images, self._batch_size)):
                unreadable = {key: problem for key, problem in batch if isinstance(problem, str)}
                readable = {key: pixels for key, pixels in batch if not isinstance(pixels, str)}
                embeddings = self._embed(list(readable.values())) if readable else ()
                yield {**unreadable, **dict(zip(readable, embeddings, strict=True))}

    def _embed(self, pixels: "Sequence[Pixels]") -> Sequence[Embedding]:
        return list(self.engine.embed_images([self.engine.stage_images(pixels)]))

    def _decode(self, image: KeyedImage) -> "tuple[bytes, Pixels | str]":
        (key, source), preprocessing = image, self._preprocessing
        try:
            data = source.read()
            return key, self.engine.preprocess_image(data, preprocessing.standardization, preprocessing.rendering)
        except (InvalidInput, OSError) as error:
            return key, sentence_of(error)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        try:
            return self.engine.tokenize(text)
        except InvalidInput as error:
            raise type(error)(f"the text {shortened(text)}: {error}") from error


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[KeyedImage], T], parts: Iterator[Sequence[KeyedImage]]
) -> Iterator[list[T]]:
    """The results of each part in order, while the calls of the next `BATCHES_AHEAD` parts run in the pool."""
    running: deque[list[Future[T]]] = deque()
    for part in parts:
        running.append([pool.submit(function, image) for image in part])
        if len(running) > BATCHES_AHEAD:
            yield [future.result() for future in running.popleft()]
    while running:
        yield [future.result() for future in running.popleft()]
