"""What a request is classified by: the heads that it names, the head of the model, or its own labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.api.classify.labels import HOLE, label_without_absent, prompts_of
from app.api.classify.schema import ClassifyParams
from app.errors import HeadUnknown, RequestInvalid
from app.inference.model_loader import DEFAULT_HEAD
from app.service import ReadyModel
from model.errors import HeadError
from model.evaluation.prompts import Prompts
from model.imaging.preprocessing import Preprocessing

if TYPE_CHECKING:
    from model.heads.head import Head

OWN_LABELS = ""
"""Name of the head that is made of a request's labels."""
MAX_NAMED_HEADS = 20  # in a message


@dataclass(frozen=True)
class Classifiers:
    """The heads of a request, or its labels.

    Args:
        heads: by name; empty if the request has labels.
        prompts: the texts of its labels; empty if the request has heads.
        is_list: whether the request has a list of heads, so that the answer names them.
    """

    heads: "Mapping[str, Head]"
    prompts: Prompts
    is_list: bool = False

    @property
    def labels(self) -> Sequence[Sequence[str]]:
        """The labels of each head."""
        return [list(self.prompts)] if self.prompts else [head.labels for head in self.heads.values()]

    def preprocessings(self, params: ClassifyParams) -> dict[str, Preprocessing]:
        """How the images are preprocessed for each head, by its name, or for the labels, by `OWN_LABELS`."""
        if self.prompts:
            return {OWN_LABELS: params.preprocessing}
        return {name: preprocessing_for(head, params) for name, head in self.heads.items()}


def classifiers_of(params: ClassifyParams, model: ReadyModel, *, max_labels: int) -> Classifiers:
    """What the images of a request are classified by.

    Args:
        params: of the request.
        model: the model, with its heads.
        max_labels: largest number of labels of the request.

    Raises:
        HeadUnknown: a head is not loaded; the message names those that are.
        RequestInvalid: the request has both heads and labels, or neither and the choice is not clear; or its labels
            are wrong, or its `multi_label` does not suit a head.
        TooManyRows: more labels than `max_labels`.
    """
    if params.labels is not None:
        if params.head is not None:
            raise RequestInvalid("The request has both params.head and params.labels; send only one of them.")
        prompts = prompts_of(params.labels, params.template, max_labels=max_labels)
        if params.multi_label and (label := label_without_absent(prompts)) is not None:
            raise RequestInvalid(
                f"params.labels, {label} has no texts for its absence, which multi_label needs; send them under "
                "absent, or leave multi_label out."
            )
        if len(prompts) == 1 and not params.multi_label:
            raise RequestInvalid(
                "params.labels has a single label, whose score would always be 1; send at least two labels, or "
                "multi_label with texts for its absence."
            )
        return Classifiers({}, prompts)
    if params.template != HOLE:
        raise RequestInvalid("params.template shapes params.labels; leave it out, because a head has its own texts.")
    heads = _named(params.head, model)
    for name, head in heads.items():
        try:
            head.check_multi_label(params.multi_label)
        except HeadError as error:
            raise RequestInvalid(f"Head {name}: {error}.") from error
    return Classifiers(heads, {}, isinstance(params.head, list))


def preprocessing_for(head: "Head", params: ClassifyParams) -> Preprocessing:
    """The preprocessing of a head, with the parameters that the request itself has."""
    sent = {name: value for name, value in params.preprocessing.params().items() if name in params.model_fields_set}
    return Preprocessing.from_params(head.preprocessing.params() | sent)


def _named(asked: str | list[str] | None, model: ReadyModel) -> "Mapping[str, Head]":
    if asked is None:
        return _only(model)
    names = [asked] if isinstance(asked, str) else asked
    heads: dict[str, Head] = {}
    for number, name in enumerate(names):
        place = "params.head" if isinstance(asked, str) else f"params.head[{number}]"
        if name not in model.heads:
            raise HeadUnknown(f"{place} is not a loaded head; {_loaded(model)}.")
        if name in heads:
            raise RequestInvalid(f"{place} repeats an earlier head; send each head once.")
        heads[name] = model.heads[name]
    return heads


def _only(model: ReadyModel) -> "Mapping[str, Head]":
    """The head of a request that names none."""
    if model.default_head is not None:
        return {DEFAULT_HEAD: model.default_head}
    if len(model.heads) == 1:
        return model.heads
    raise RequestInvalid(f"The request has neither params.head nor params.labels; send one of them; {_loaded(model)}.")


def _loaded(model: ReadyModel) -> str:
    if not model.heads:
        return "no head is loaded, because the operator has not set HEADS"
    names = list(model.heads)
    more = f" and {len(names) - MAX_NAMED_HEADS} more" if len(names) > MAX_NAMED_HEADS else ""
    return f"loaded {'are' if len(names) > 1 else 'is'} {', '.join(names[:MAX_NAMED_HEADS])}{more}"
