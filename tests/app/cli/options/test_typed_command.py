"""The command line as it was typed."""

import click
import pytest
from click.testing import CliRunner

from app.cli.options.typed_command import TypedCommand, typed_line


@click.command("evaluate", cls=TypedCommand)
@click.option("--server")
@click.option("--data")
def command(server: str | None, data: str | None) -> None:
    click.echo(typed_line())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--data", "my rows.csv"], "medimageinsight evaluate --data 'my rows.csv'"),
        (["--server=http://host:8000"], "medimageinsight evaluate --server=http://host:8000"),
        (["--server", "https://me:secret@host/x"], "medimageinsight evaluate --server 'https://***@host/x'"),
        (["--server", "https://host/?key=secret"], "medimageinsight evaluate --server 'https://host/?***'"),
    ],
)
def test_it_is_as_typed_without_secrets(arguments: list[str], line: str) -> None:
    assert CliRunner().invoke(command, arguments).output == f"{line}\n"
