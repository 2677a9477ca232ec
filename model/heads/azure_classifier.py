"""Classification models of Azure: MLflow folders with a head beside the release, in `artifacts/checkpoints`.

Microsoft's component `medimageinsight_classification_model` (azureml-assets) writes `config.json` with the labels of a
zero-shot classifier, or `adapter_model/` with an adapter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.checkpoints.release_folder import ReleaseFolder
from model.engine_embedder import EngineEmbedder
from model.errors import HeadError
from model.evaluation.prompts import LabelPrompts
from model.heads.azure_adapter import CONFIG_FILE, read_azure_adapter, read_labels
from model.heads.head import Head
from model.heads.scorers.azure_adapter import AzureAdapterScorer
from model.heads.zero_shot import make_zero_shot_head, require_labels

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine

ADAPTER_FOLDER = "adapter_model"
TEMPLATE = "{}."  # of Azure's zero-shot wrapper
_DETAILS = {"source": "Azure classification model"}


@dataclass(frozen=True)
class AzureClassifier:
    """The classifier of a folder.

    Args:
        labels: its labels.
        adapter: the scorer of an adapter; None for a zero-shot classifier, whose labels are texts to embed.
    """

    labels: tuple[str, ...]
    adapter: AzureAdapterScorer | None = None

    def head(self, model: Mapping[str, Any], load_engine: "Callable[[], EmbeddingEngine]") -> Head:
        """Make the head.

        Args:
            model: `name` and `weights_sha256` of the model.
            load_engine: returns the model with its text encoder; only called for a zero-shot classifier.

        Raises:
            InvalidInput: a label cannot be embedded.
        """
        if self.adapter is not None:
            return Head("azure_adapter", self.labels, "softmax", self.adapter, model, details=_DETAILS)
        prompts = {label: LabelPrompts((label,)) for label in self.labels}
        return make_zero_shot_head(
            EngineEmbedder(load_engine), prompts, template=TEMPLATE, model=model, details=_DETAILS
        )


def read_azure_classifier(release: ReleaseFolder, embedding_size: int, *, max_labels: int) -> AzureClassifier | None:
    """Read the classifier that lies beside a release; None if there is none.

    Args:
        release: the model.
        embedding_size: number of dimensions of the model's embeddings.
        max_labels: largest number of labels.

    Raises:
        HeadError: the classifier's files are damaged, hold anything but tensors, or do not fit the model; or a
            zero-shot classifier has a single label, whose score would always be 1.
    """
    folder = release.azure_folder
    if folder is None:
        return None
    adapter_folder, config = folder / ADAPTER_FOLDER, folder / CONFIG_FILE
    adapter = None
    if adapter_folder.exists():
        config = adapter_folder / CONFIG_FILE
        labels, adapter = read_azure_adapter(adapter_folder)
    elif config.exists():
        labels, _ = read_labels(config)
    else:
        return None
    try:
        require_labels(labels, max_labels)
        if adapter is None and len(labels) < 2:
            raise HeadError("a zero-shot classifier needs at least two labels")  # noqa: TRY301 (named below)
    except HeadError as error:
        raise HeadError(f"{config}: {error}") from error
    if adapter is not None and adapter.embedding_size != embedding_size:
        raise HeadError(
            f"{config}: in_channels is {adapter.embedding_size}, but embeddings of this model have {embedding_size} "
            "numbers; use the adapter with the model that it was trained on"
        )
    return AzureClassifier(labels, adapter)
