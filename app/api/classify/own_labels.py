"""The head of a request's own labels: made of the embeddings of their texts, and kept for later requests."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.api.classify.schema import ClassifyParams
from app.errors import EncodingFailed, RequestInvalid, RowError, TextTooLong
from app.inference.admission import Reservation
from app.inference.bad_rows import BadRow, at_entry
from app.inference.items import EmbedOptions, Item
from app.inference.pipeline import Embeddings
from app.middleware.request_context import RequestContext
from app.service import LabelHead, ReadyModel, Service
from app.threads import in_thread
from model.errors import ManifestError
from model.evaluation.prompts import Prompts

if TYPE_CHECKING:
    from model.heads.head import Head

MAX_KEPT_CHARS_PER_LABEL, CHARS_PER_STRING = 1000, 16
"""Largest average number of characters per label of a kept head, in names and texts; and how many more each string
counts as. A character takes at most 8 bytes: 4 in the string, and 4 in the UTF-8 that Python keeps with it."""
INLINE_LABEL_TEXTS = 100
"""Label texts whose vectors are averaged in less time than waking a thread takes."""


async def own_head(
    prompts: Prompts,
    texts: Sequence[str],
    params: ClassifyParams,
    service: Service,
    model: ReadyModel,
    context: RequestContext,
    reservation: Reservation,
) -> LabelHead | None:
    """The head of a request's own labels, which is kept for later requests with the same; None without labels.

    Args:
        prompts: the texts of each label.
        texts: those of `texts_of`.
        params: of the request.
        service: computes large heads in its thread.
        model: embeds the texts, and keeps the head.
        context: of the request.
        reservation: counts the texts as rows, up to MAX_ROWS, unless the head was kept.

    Raises:
        QueueFull: there is no room for the texts.
        RequestInvalid: the embeddings of a label's texts cancel each other.
        RowError, TextTooLong, EncodingFailed: a text is refused; the error names its label.
    """
    if not prompts:
        return None
    pipeline, is_kept = model.pipeline, _may_be_kept(prompts, model)
    key = (*prompts.items(), len(texts), params.truncate) if is_kept else None
    if key is not None and (kept := model.label_heads.get(key)) is not None:
        pipeline.text_cache_hits += len(texts)
        return kept
    reservation.enlarge(min(len(texts), service.settings.max_rows))
    items = [Item(number, text) for number, text in enumerate(texts)]
    try:
        embedded = await pipeline.embed([], items, EmbedOptions(truncate=params.truncate), context.timings)
    except (RowError, TextTooLong, EncodingFailed) as error:
        raise _at_label(error, prompts, is_list=isinstance(params.labels, list)) from error
    make = partial(label_head, prompts, embedded.text_features, model.engine.logit_scale)
    head = make() if len(texts) <= INLINE_LABEL_TEXTS else await in_thread(service.scoring, make)
    made = LabelHead(head, embedded.truncated_texts)
    if key is not None:
        model.label_heads[key] = made
    return made


def texts_of(prompts: Prompts, *, with_absent: bool) -> list[str]:
    """The texts that `label_head` needs: those of all labels, then, for `multi_label`, those of their absence."""
    texts = [text for label in prompts.values() for text in label.present]
    return texts + [text for label in prompts.values() for text in label.absent] if with_absent else texts


def label_head(prompts: Prompts, features: Embeddings, logit_scale: float) -> "Head":
    """A zero-shot head of a request's labels.

    Args:
        prompts: the texts of each label.
        features: (n, D), unit norm: embeddings of the texts that `texts_of` returns.
        logit_scale: the model's log temperature.

    Raises:
        RequestInvalid: the embeddings of a label's texts cancel each other.
    """
    from model.evaluation.zero_shot import mean_vectors
    from model.heads.head import Head
    from model.heads.scorers.zero_shot import ZeroShotScorer

    present, absent = ([getattr(texts, name) for texts in prompts.values()] for name in ("present", "absent"))
    count = sum(map(len, present))
    try:
        vectors = mean_vectors(features[:count], present)
        negatives = mean_vectors(features[count:], absent) if len(features) > count else None
    except ManifestError:  # its message quotes a text
        raise RequestInvalid("params.labels: the texts of a label cancel each other; send others.") from None
    return Head("zero_shot", tuple(prompts), "softmax", ZeroShotScorer(vectors, negatives, logit_scale), {})


def _may_be_kept(prompts: Prompts, model: ReadyModel) -> bool:
    """Whether the labels are few and short enough for `label_heads`; long ones are not even hashed."""
    if len(prompts) > model.label_heads.maxsize:
        return False
    strings = (string for label, texts in prompts.items() for string in (label, *texts.present, *texts.absent))
    return sum(len(string) + CHARS_PER_STRING for string in strings) <= MAX_KEPT_CHARS_PER_LABEL * len(prompts)


def _at_label(error: BadRow, prompts: Prompts, *, is_list: bool) -> BadRow:
    """An error of a text of `texts_of`, at its label."""
    present, absent = ([getattr(texts, name) for texts in prompts.values()] for name in ("present", "absent"))
    owners = [*_owners(present), *_owners(absent)]
    number = owners[error.row or 0]
    place = f"params.labels[{number}]" if is_list else f"params.labels, label {number}"
    return at_entry(error, "labels", number, place)


def _owners(texts: Sequence[Sequence[str]]) -> list[int]:
    """Number of the label of each text."""
    return [number for number, own in enumerate(texts) for _ in own]
