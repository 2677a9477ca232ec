"""The commands `head make`, `head import` and `head labels`: classifiers that need no training."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.shared import (
    FILE,
    FOLDER,
    api_key,
    example,
    labels,
    no_cache,
    open_head_folder,
    overwrite_head,
    server,
    shown,
    template,
)
from model.errors import HeadError

if TYPE_CHECKING:
    from model.evaluation.prompts import LabelPrompts, Prompts
    from model.heads.catalogue import Catalogue

HEAD_FOLDER = click.option(
    "-o", "--output", required=True, type=FOLDER, help="Folder for head.json and head.safetensors"
)


@click.group(
    short_help="Make and import heads (classifiers), and list ready texts.",
    epilog=example(
        "medimageinsight head make --catalogue chest-xray-findings -o chest/ --model lion-ai/MedImageInsights",
        "medimageinsight head labels --modality x-ray",
    ),
)
def head() -> None:
    """Make a classifier from texts, import one from Azure, and list ready texts."""


@head.command(
    short_help="Make a zero-shot head from texts.",
    epilog=example(
        'medimageinsight head make --label "x-ray chest" --label "ct chest" -o modality/',
        "medimageinsight head make --catalogue chest-xray-findings -o chest/ --model lion-ai/MedImageInsights",
        "medimageinsight head make --prompts prompts.yaml --template '{}.' -o findings/ --server localhost:8000",
    ),
)
@settings_options("model")
@labels
@click.option("--labels", "labels_file", type=FILE, help="Text file of labels, one per line; each is its own text")
@click.option("--prompts", type=FILE, help="JSON, YAML or CSV file of label -> prompts, as evaluate takes it")
@click.option("--catalogue", metavar="NAME", help="Name in the label catalogue, see head labels")
@template
@HEAD_FOLDER
@overwrite_head
@preprocessing_options
@no_cache
@server
@api_key
@settings_options("device", "dtype", "threads", "max_labels", "cache_dir", "offline")
def make(
    labels: tuple[str, ...],
    labels_file: Path | None,
    prompts: Path | None,
    catalogue: str | None,
    template: str,
    output: Path,
    overwrite: bool,
    **given: Any,
) -> None:
    """Make a zero-shot head: the texts of its labels are embedded once, and never again.

    The labels come from --label, --labels, --prompts or --catalogue. The flags of the preprocessing are stored in the
    head, and apply to the images that it classifies.
    """
    if sum(map(bool, (labels, labels_file, prompts, catalogue))) != 1:
        raise click.UsageError("name the labels by one of --label, --labels, --prompts and --catalogue")
    from app.cli.embedders.embedding_model import open_embedder
    from model.heads.head_folder import save_head
    from model.heads.zero_shot import make_zero_shot_head

    settings, preprocessing = take_settings(given), take_preprocessing(given)
    wanted, details = _read_labels(labels, labels_file, prompts, catalogue, settings.max_labels)
    _warn_of_negatives(wanted)
    open_head_folder(output, overwrite=overwrite)
    with open_embedder(settings, preprocessing=preprocessing, **given) as model:
        made = make_zero_shot_head(
            model.embedder,
            wanted,
            template=template,
            model={"name": model.name, "weights_sha256": model.weights_sha256()},
            preprocessing=preprocessing,
            details=details,
        )
    save_head(made, output)
    click.echo(f"{output}: zero-shot head with {len(made.labels)} labels", err=True)


@head.command(
    "import",
    short_help="Import an adapter that Azure trained.",
    epilog=example("medimageinsight head import adapter_model/ -o azure/ --model lion-ai/MedImageInsights"),
)
@settings_options("model")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@HEAD_FOLDER
@overwrite_head
@preprocessing_options
@server
@api_key
@settings_options("max_labels", "cache_dir", "offline")
def import_(folder: Path, output: Path, overwrite: bool, **given: Any) -> None:
    """Import the adapter that Azure's pipeline or Microsoft's notebook trained, from adapter_model.pth and config.json.

    FOLDER holds both files, or is the MLflow folder of the model. The files do not name the model whose embeddings the
    adapter was trained on: --model or --server names it.
    """
    from app.cli.embedders.embedding_model import open_embedder
    from model.heads.azure_adapter import CONFIG_FILE, WEIGHTS_FILE, find_azure_adapter, read_azure_adapter
    from model.heads.head import Head
    from model.heads.head_folder import save_head
    from model.heads.zero_shot import require_labels

    settings, preprocessing = take_settings(given), take_preprocessing(given)
    place = find_azure_adapter(folder)
    if place is None:
        raise HeadError(f"{folder} has no adapter of Azure: {WEIGHTS_FILE} and {CONFIG_FILE} are needed")
    names, scorer = read_azure_adapter(place)
    require_labels(names, settings.max_labels)
    open_head_folder(output, overwrite=overwrite)
    with open_embedder(settings, preprocessing=preprocessing, no_cache=True, **given) as model:
        if scorer.embedding_size != model.embedding_size:
            raise HeadError(
                f"the adapter takes embeddings of {scorer.embedding_size} numbers, but those of {model.name} have "
                f"{model.embedding_size}; name the model that it was trained on by --model"
            )
        facts = {"name": model.name, "weights_sha256": model.weights_sha256()}
    details = {"imported_from": WEIGHTS_FILE}
    save_head(Head("azure_adapter", names, "softmax", scorer, facts, preprocessing, details=details), output)
    click.echo(f"{output}: Azure adapter with {len(names)} labels", err=True)


@head.command(
    "labels",
    short_help="List ready texts for common questions.",
    epilog=example("medimageinsight head labels --modality x-ray --search 'pneumo|effusion'"),
)
@click.option("--modality", default="", help="Show only the files about images of this modality, such as x-ray")
@click.option(
    "--search",
    metavar="REGEX",
    callback=lambda *given: _compiled(given[-1]),
    help="Show only the files and labels that match",
)
def list_labels(modality: str, search: re.Pattern[str] | None) -> None:
    """List the label catalogue: ready texts for common questions, each with its name for --catalogue.

    --search shows all labels of a file whose name, title or question matches. Of the other files, it shows only the
    labels that match, or whose texts for their presence match. Upper and lower case are the same.
    """
    from model.heads.catalogue import find_catalogues

    found = find_catalogues(modality=modality, search=search)
    if not found:
        known = ", ".join(sorted({entry.modality for entry in find_catalogues()}))
        raise click.UsageError(f"nothing in the label catalogue matches; its modalities are {known}")
    click.echo("\n\n".join("\n".join(_lines(entry)) for entry in found))


def _compiled(expression: str | None) -> re.Pattern[str] | None:
    try:
        return None if expression is None else re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise click.BadParameter(f"this is not a regular expression: {error}") from None


def _lines(entry: "Catalogue") -> list[str]:
    """One file of the catalogue for the terminal: a heading, then one line per label."""
    part = "" if len(entry.prompts) == entry.label_count else f"{len(entry.prompts)} of "
    facts = f"{entry.modality}, {part}{entry.label_count} labels, {entry.wording}"
    heading = [f"{entry.name}: {entry.title} ({facts})", f"  {entry.question} Classes: {entry.source}."]
    return heading + [f"  - {label}: {_texts(texts)}" for label, texts in entry.prompts.items()]


def _texts(texts: "LabelPrompts") -> str:
    absent = f"; absent: {' | '.join(texts.absent)}" if texts.absent else ""
    return " | ".join(texts.present) + absent


def _read_labels(
    labels: tuple[str, ...], labels_file: Path | None, prompts: Path | None, catalogue: str | None, max_labels: int
) -> "tuple[Prompts, dict[str, Any]]":
    """The labels with their texts, and what is to be stored about them."""
    from model.data.text_lines import read_lines
    from model.evaluation.prompts import as_prompts, read_prompts
    from model.heads.catalogue import read_catalogue
    from model.heads.zero_shot import require_labels

    details: dict[str, Any] = {}
    if catalogue:
        entry = read_catalogue(catalogue)
        wanted: Prompts = entry.prompts
        details = {"catalogue": entry.name, "wording": entry.wording}
        if not entry.validated:
            advice = f"measure it on labelled images: medimageinsight evaluate --prompts {entry.name}"
            click.echo(f"warning: the wording of {entry.name} is not validated; {advice}", err=True)
    elif prompts:
        wanted = read_prompts(prompts)
    else:
        lines = [line.strip() for line in read_lines(labels_file)] if labels_file else labels
        texts = [line for line in lines if line or not labels_file]
        require_labels(texts, max_labels)
        wanted = as_prompts({text: text for text in texts})
    require_labels(tuple(wanted), max_labels)
    return wanted, details


def _warn_of_negatives(prompts: "Prompts") -> None:
    """Say on stderr that the head cannot score each label by itself although some labels have texts for that."""
    from model.heads.zero_shot import missing_negatives

    missing = missing_negatives(prompts)
    if missing and len(missing) < len(prompts):
        click.echo(
            f"warning: {shown(missing[0])} has no text for its absence; the head cannot score each label by itself "
            "(multi_label), and ignores the other texts for absence",
            err=True,
        )
