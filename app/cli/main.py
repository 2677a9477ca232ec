"""The command `medimageinsight`, with one file per subcommand.

Subcommands import what is heavy when they run, so that `--help` is instant.
"""

import sys
from typing import Any

import click

from app.cli.adapter import adapter
from app.cli.classify import classify
from app.cli.download import download
from app.cli.embed import embed
from app.cli.evaluate import evaluate
from app.cli.finetune import finetune
from app.cli.head import head
from app.cli.info import info
from app.cli.options.shared import example, shown
from app.cli.render import render
from app.cli.serve import serve
from model.errors import MedImageInsightError

EXIT_FAILED = 2


class _Group(click.Group):
    """Ends with one sentence and status 2 on every error that `model` raises on purpose."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except MedImageInsightError as error:
            click.echo(f"medimageinsight: {shown(error)}", err=True)
            sys.exit(EXIT_FAILED)

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 (named by click)
        """The commands in the order in which a newcomer meets them, instead of that of the alphabet."""
        return list(self.commands)


@click.group(
    cls=_Group,
    commands=[serve, classify, embed, render, head, adapter, evaluate, finetune, info, download],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "medimageinsight serve",
        'medimageinsight classify scans/ --label "computed tomography" --label mri --label "chest x-ray"',
        'medimageinsight embed scans/ --text "chest x-ray" -o out.npz',
    ),
)
@click.version_option(package_name="medimageinsight-server")
def main() -> None:
    """MedImageInsight Server: embeddings of medical images and texts.

    Research software; not for clinical use.

    Each command has its own --help. Without --model, the commands use the demonstration model.
    """
