"""Predictions of heads for images, one per label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.data.image_source import ImageSource
from model.embedder import Embedder
from model.errors import HeadError
from model.heads.head import Head
from model.heads.scorers.scorer import Scores


class Prediction(NamedTuple):
    """What a head says about one label of an image.

    Attributes:
        path: the image.
        head: name of the head.
        rank: place of the label among those of the head for this image, from 1.
        label: the label; the name of the number for a regression.
        score: score of the label; None for a regression.
        call: positive, possible or negative; None for a head without operating points.
        value: the number that a regression predicts; None for a classifier.
    """

    path: Path
    head: str
    rank: int
    label: str
    score: float | None
    call: str | None
    value: float | None


@dataclass(frozen=True)
class Predictions:
    """The scores of heads for images.

    Attributes:
        images: where the images lie, in order.
        heads: the heads by name.
        scores: by name of the head: position of an image -> scores (L,). Unreadable images are missing.
        top_k: number of labels per image and head, best first; None keeps all.
        problems: position of an image and the sentence that says why it cannot be read, each pair once.
    """

    images: Sequence[ImageSource]
    heads: Mapping[str, Head]
    scores: Mapping[str, Mapping[int, Scores]]
    top_k: int | None
    problems: Sequence[tuple[int, str]]

    @property
    def positions(self) -> list[int]:
        """The positions of the images that at least one head has classified."""
        return sorted(set().union(*self.scores.values()))

    def of(self, position: int, name: str) -> Iterator[Prediction]:
        """The predictions of one head for one image, best label first."""
        scores, head = self.scores[name].get(position), self.heads[name]
        places = [] if scores is None else np.argsort(-scores, kind="stable")[: self.top_k].tolist()
        for rank, place in enumerate(places, start=1):
            label, number = head.labels[place], float(scores[place]) if scores is not None else 0.0
            score, value = (None, number) if head.is_regression else (number, None)
            call = None if score is None else head.call(label, score)
            yield Prediction(self.images[position].path, name, rank, label, score, call, value)

    def __iter__(self) -> Iterator[Prediction]:
        """All predictions, by image, head and rank."""
        for position in self.positions:
            for name in self.heads:
                yield from self.of(position, name)


def predict(
    embedder: Embedder,
    images: Sequence[ImageSource],
    heads: Mapping[str, Head],
    *,
    multi_label: bool | None = None,
    top_k: int | None = None,
    strict: bool = False,
) -> Predictions:
    """Classify images with heads, each of which gets them as its own preprocessing makes them.

    Each image is embedded once per preprocessing.

    Args:
        embedder: the model that all heads were made with.
        images: where the images lie.
        heads: the heads by name.
        multi_label: as for `Head.scores`; default None.
        top_k: as for `Predictions`; default None.
        strict: whether an unreadable image ends the call; default False leaves it out.

    Raises:
        HeadError: a head has no such scores; the sentence names it.
        ImageDecodeError: an image is unreadable and `strict`; the sentence names the file.
    """
    for name, head in heads.items():
        try:
            head.check_multi_label(multi_label)
        except HeadError as error:
            raise HeadError(f"head {name}: {error}") from error
    scores: dict[str, dict[int, Scores]] = {}
    problems: dict[tuple[int, str], None] = {}
    for preprocessing in dict.fromkeys(head.preprocessing for head in heads.values()):
        found = embedder.with_preprocessing(preprocessing).images(images, strict=strict)
        problems |= dict.fromkeys(found.refused.items())
        for name, head in heads.items():
            if head.preprocessing == preprocessing:
                rows = head.scores(found.features, multi_label=multi_label) if found.positions else ()
                scores[name] = dict(zip(found.positions, rows, strict=True))
    return Predictions(images, heads, scores, top_k, sorted(problems))
