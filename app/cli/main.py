"""`medimageinsight`: one command a capability. Heavy imports stand inside the commands, so that --help is instant."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import click

from app.cli.evaluate_flags import adapter_apply_flags, adapter_train_flags, evaluate_flags
from app.cli.finetune_flags import finetune_flags
from app.settings import Settings

COMMAND = TypeVar("COMMAND", bound=Callable[..., Any])
EXIT_BAD_START = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="medimageinsight-server")
def main() -> None:
    """MedImageInsight Server: medical images and texts to embeddings.

    Research software; not for clinical use.
    """


def settings_options(*names: str) -> Callable[[COMMAND], COMMAND]:
    """One flag for each of these settings, all of them if none is named; unset flags leave the environment's value."""

    def decorate(command: COMMAND) -> COMMAND:
        for name in reversed(names or tuple(Settings.model_fields)):
            field = Settings.model_fields[name]
            flag = f"--{name.replace('_', '-')}"
            default = "none" if str(field.default) in ("", "None") else field.default
            text = f"{field.description}  [{name.upper()}; default: {default}]"
            if field.annotation is bool:
                option = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
            else:
                option = click.option(flag, name, default=None, metavar="VALUE", help=text)
            command = option(command)
        return command

    return decorate


def read_settings(given: dict[str, Any]) -> Settings:
    """The settings from flags and the environment; a wrong one ends the command with a sentence."""
    from pydantic import ValidationError

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}" for problem in error.errors()]
        raise click.UsageError("; ".join(lines)) from None


@main.command()
@settings_options()
def serve(**given: Any) -> None:
    """Serve the model over HTTP, in this process, until SIGTERM or Ctrl-C.

    Every flag is also an environment variable, named at its end.
    """
    from app.server import run

    sys.exit(run(read_settings(given)))


@main.command()
@click.argument("model")
@settings_options("cache_dir", "offline")
def info(model: str, **given: Any) -> None:
    """Say what MODEL is: a release folder, a weights file, or a Hugging Face id."""
    from app.cli.commands import print_info

    _run(lambda: print_info(read_settings({"model": model, **given})))


@main.command()
@click.argument("hub_id", metavar="ID")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="also write it to this new folder, with SHA256SUMS, to be carried to a machine without internet",
)
@settings_options("cache_dir")
def download(hub_id: str, folder: Path | None, **given: Any) -> None:
    """Download the model ID (owner/name or owner/name@revision) into the cache, and print its folder."""
    from app.cli.commands import carry_out, download_model

    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise click.UsageError("--to names a folder that has something in it already")

    def run() -> None:
        cached = download_model(hub_id, read_settings(given))
        click.echo(cached if folder is None else carry_out(cached, folder))

    _run(run)


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--text", "texts", multiple=True, help="a text to embed; may be repeated")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="out.npz or out.parquet")
@click.option(
    "--plain", is_flag=True, help="skip the standardisation (resize to 512 pixels, JPEG) that the service does"
)
@click.option("--strict", is_flag=True, help="stop at the first unreadable image instead of listing it")
@click.option("--server", metavar="URL", help="let this server compute; no model is loaded here")
@click.option("--api-key", default="", envvar="MEDIMAGEINSIGHT_API_KEY", help="of that server", show_envvar=True)
@settings_options(
    "model",
    "device",
    "dtype",
    "threads",
    "decode_threads",
    "max_batch_size",
    "max_image_pixels",
    "cache_dir",
    "offline",
)
def embed(
    paths: tuple[Path, ...],
    texts: tuple[str, ...],
    output: Path,
    plain: bool,
    strict: bool,
    server: str | None,
    api_key: str,
    **given: Any,
) -> None:
    """Embed images, and folders of images, and texts into a file; with --server by a server, else here."""
    from app.cli.commands import embed_to_file, embed_with_server

    if not paths and not texts:
        raise click.UsageError("name at least one PATH or --text")
    if output.suffix not in (".npz", ".parquet"):
        raise click.UsageError("--output must end in .npz or .parquet")
    if not output.parent.is_dir():
        raise click.UsageError("--output names a folder that does not exist")
    if server:
        _run(lambda: embed_with_server(paths, texts, output, server, plain=plain, api_key=api_key))
        return
    _run(lambda: embed_to_file(paths, texts, output, read_settings(given), plain=plain, strict=strict))


@main.command()
@settings_options("model")
@finetune_flags
@settings_options("device", "threads", "cache_dir", "offline")
def finetune(**given: Any) -> None:
    """Fine-tune a model with the UniCL objective, and write it as a release folder.

    Several processes share the work when `torchrun` starts them.
    """
    from app.cli.finetune import run_finetune

    named = {name: given.pop(name) for name in ("model", "device", "threads", "cache_dir", "offline")}
    _run(lambda: run_finetune(given, read_settings(named)))


@main.command()
@settings_options("model")
@evaluate_flags
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def evaluate(**given: Any) -> None:
    """Say how good a model is on a manifest: report.json and report.html.

    Needs medimageinsight-server[train]. Embeddings are kept in CACHE_DIR/embeddings, so that a second report is quick.
    """
    from app.cli.evaluate import run_evaluate
    from model.evaluation.options import EvaluationOptions

    settings, options = (
        _taken_out(given, Settings.model_fields),
        _taken_out(given, EvaluationOptions.__dataclass_fields__),
    )
    _run(lambda: run_evaluate(EvaluationOptions(**options), read_settings(settings), **given))


@main.group()
def adapter() -> None:
    """A classifier on a model's embeddings: train it, apply it."""


@adapter.command()
@settings_options("model")
@adapter_train_flags
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def train(**given: Any) -> None:
    """Learn a classifier from a manifest's labels. Needs medimageinsight-server[train]."""
    from app.cli.adapter import run_adapter_train
    from model.heads.options import AdapterOptions

    settings, options = _taken_out(given, Settings.model_fields), _taken_out(given, AdapterOptions.__dataclass_fields__)
    _run(lambda: run_adapter_train(AdapterOptions(**options), read_settings(settings), **given))


@adapter.command()
@settings_options("model")
@adapter_apply_flags
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def apply(adapter: Path, paths: tuple[Path, ...], output: Path, no_cache: bool, strict: bool, **given: Any) -> None:
    """Classify images, and folders of images, with the ADAPTER folder, into a CSV file."""
    from app.cli.adapter import run_adapter_apply

    _run(lambda: run_adapter_apply(adapter, paths, output, read_settings(given), no_cache=no_cache, strict=strict))


def _taken_out(given: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The entries with these names, which `given` then lacks."""
    return {name: given.pop(name) for name in list(given) if name in names}


def _run(command: Callable[[], None]) -> None:
    """Run a command; what the model refuses ends it with its one sentence."""
    from model.errors import MedImageInsightError

    try:
        command()
    except MedImageInsightError as error:
        click.echo(f"medimageinsight: {error}", err=True)
        sys.exit(EXIT_BAD_START)


if __name__ == "__main__":
    main()
