"""Zero-shot heads: made once from texts, so that classifying an image needs no text encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.embedder import Embedder, shortened
from model.errors import HeadError
from model.evaluation.prompts import Prompts
from model.evaluation.zero_shot import label_features
from model.heads.head import Head
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.imaging.preprocessing import Preprocessing

PLACE = "{}"  # of the text in a template
PLAIN_TEMPLATE = PLACE


def make_zero_shot_head(
    embedder: Embedder,
    prompts: Prompts,
    *,
    template: str = PLAIN_TEMPLATE,
    model: Mapping[str, Any],
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
    details: Mapping[str, Any] | None = None,
) -> Head:
    """Make a head from the texts of its labels.

    The texts of a label are averaged, and the mean is normalised again. If every label has texts that state its
    absence, the head can also score each label by itself.

    Args:
        embedder: the model.
        prompts: the labels and their texts.
        template: text around every text, which stands at its `{}`. Default "{}" adds nothing.
        model: `name` and `weights_sha256` of the embedder's model.
        preprocessing: how the images that the head classifies are preprocessed; default: the service's.
        details: what else to store about the making; default: nothing.

    Raises:
        HeadError: the template does not have exactly one `{}`, or a single label has no text for its absence.
        InvalidInput: a text cannot be embedded; the sentence quotes it.
        ManifestError: the texts of a label cancel each other.
    """
    negatives = not missing_negatives(prompts)
    if len(prompts) < 2 and not negatives:
        raise HeadError("the score of a single label is always 1; name at least two labels, or texts for its absence")
    present = template_texts([entry.present for entry in prompts.values()], template)
    absent = template_texts([entry.absent for entry in prompts.values()], template) if negatives else []
    vectors = label_features(embedder, [*present, *absent])
    count = len(prompts)
    scorer = ZeroShotScorer(vectors[:count], vectors[count:] if negatives else None, embedder.logit_scale)
    texts = {label: {"present": entry.present, "absent": entry.absent} for label, entry in prompts.items()}
    made_from = {**(details or {}), "template": template, "prompts": texts}
    return Head("zero_shot", tuple(prompts), "softmax", scorer, model, preprocessing, details=made_from)


def missing_negatives(prompts: Prompts) -> list[str]:
    """The labels without texts that state their absence."""
    return [label for label, entry in prompts.items() if not entry.absent]


def template_texts(texts: Sequence[Sequence[str]], template: str) -> list[tuple[str, ...]]:
    """The texts of each label with the template around them.

    Raises:
        HeadError: the template does not have exactly one `{}`.
    """
    if template.count(PLACE) != 1:
        raise HeadError("the template must have {} exactly once, where the text of a label stands")
    return [tuple(template.replace(PLACE, text) for text in group) for group in texts]


def require_labels(labels: Sequence[str], max_labels: int) -> None:
    """Check a list of labels.

    Raises:
        HeadError: there is none or an empty one, one stands there twice, or there are more than `max_labels`.
    """
    if not labels:
        raise HeadError("there is no label; name at least one")
    if len(labels) > max_labels:
        raise HeadError(f"there are {len(labels):,} labels, but MAX_LABELS is {max_labels:,}; use fewer")
    seen: set[str] = set()
    for number, label in enumerate(labels, start=1):
        if not label.strip():
            raise HeadError(f"label number {number} is empty; write a text")
        if label in seen:
            raise HeadError(f"label number {number} repeats the label {shortened(label)}; name each label once")
        seen.add(label)
