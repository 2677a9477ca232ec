"""The command line as it was typed."""

import click
import pytest
from click.testing import CliRunner

from app.cli.options.typed_command import TypedCommand, typed_line


@click.command("evaluate", cls=TypedCommand)
@click.option("--server")
@click.option("--data")
@click.option("--model")
def command(**_: str | None) -> None:
    click.echo(typed_line())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--data", "my rows.csv"], "medimageinsight evaluate --data 'my rows.csv'"),
        (["--server=http://host:8000"], "medimageinsight evaluate --server=http://host:8000"),
        (["--server", "https://me:secret@host/x"], "medimageinsight evaluate --server 'https://***@host/x'"),
        (["--server", "https://host/?key=secret"], "medimageinsight evaluate --server 'https://host/?***'"),
        (["--server", "http://me:s@cret@host"], "medimageinsight evaluate --server 'http://***@host'"),
        (["--server", "http://me:se cret@host"], "medimageinsight evaluate --server 'http://***@host'"),
        (["--server", "http://me:s/c#ret@host"], "medimageinsight evaluate --server 'http://***@host'"),
        (["--server", "http://me:s?c@host"], "medimageinsight evaluate --server 'http://***'"),
        (["--server", "http://me:s@host/?key=s@c"], "medimageinsight evaluate --server 'http://***'"),
        (["--server", "token@host:8000"], "medimageinsight evaluate --server '***@host:8000'"),
        (["--server=me:secret@host:8000"], "medimageinsight evaluate '--server=***@host:8000'"),
        (["--server=http://me:s@host"], "medimageinsight evaluate '--server=http://***@host'"),
        (["--server", "me@a", "--server", "b"], "medimageinsight evaluate --server '***@a' --server b"),
        (["--model", "owner/name@main"], "medimageinsight evaluate --model owner/name@main"),
        (["--data", "http://me:secret@host/a.csv"], "medimageinsight evaluate --data 'http://***@host/a.csv'"),
    ],
)
def test_it_is_as_typed_without_secrets(arguments: list[str], line: str) -> None:
    assert CliRunner().invoke(command, arguments).output == f"{line}\n"
