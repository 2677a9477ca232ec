"""Flags: every field of an options dataclass is one, with its default, its range and its type."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from app.cli.adapter import adapter
from app.cli.evaluate import evaluate
from app.cli.finetune import finetune
from app.cli.main import main
from app.cli.options.from_dataclasses import dataclass_options, take_options
from app.settings import Settings
from model.evaluation.options import EvaluationOptions
from model.heads.options import AdapterOptions
from model.options import flag, flag_of
from model.training.options import FinetuneOptions

COMMANDS = [(finetune, FinetuneOptions), (evaluate, EvaluationOptions), (adapter.commands["train"], AdapterOptions)]
NEEDED = {"data": "x.csv", "model": Path("m"), "out": Path("o")}


@dataclasses.dataclass(frozen=True)
class Nested:
    share: float = dataclasses.field(default=0.5, metadata=flag("Share", least=0, below=1))


@dataclasses.dataclass(frozen=True)
class Example:
    """One field of each kind that the commands have."""

    folder: Path = dataclasses.field(metadata=flag("Folder to write", path="folder"))
    count: int = dataclasses.field(default=3, metadata=flag("Number of things", least=1))
    rate: float = dataclasses.field(default=0.1, metadata=flag("Rate", above=0))
    betas: tuple[float, float] = dataclasses.field(default=(0.9, 0.99), metadata=flag("Decay rates"))
    names: tuple[str, ...] = dataclasses.field(default=(), metadata=flag("Name; repeatable"))
    tasks: tuple[str, ...] = dataclasses.field(
        default=(), metadata=flag("Tasks", choices=("a", "b"), comma_separated=True)
    )
    shares: dict[str, float] = dataclasses.field(default_factory=dict, metadata=flag("Share", name="--share-of"))
    kind: str = dataclasses.field(default="x", metadata=flag("Kind", choices=("x", "y")))
    enabled: bool = dataclasses.field(default=True, metadata=flag("Disable it"))
    strict: bool = dataclasses.field(default=False, metadata=flag("Be strict"))
    several: bool | None = dataclasses.field(default=None, metadata=flag("Several", name="--several/--single"))
    limit: float | None = dataclasses.field(default=None, metadata=flag("Limit", least=0))
    nested: Nested = dataclasses.field(default_factory=Nested)
    unseen: int = 0


def parsed(*arguments: str) -> Example:
    """The dataclass that a command with these arguments makes."""
    made: list[Example] = []

    @click.command()
    @dataclass_options(Example)
    def command(**given: Any) -> None:
        made.append(take_options(Example, given))
        assert given == {}

    command.main(list(arguments), standalone_mode=False)
    return made[0]


def test_unset_flags_give_the_defaults_of_the_dataclass() -> None:
    assert parsed("--folder", "x") == Example(Path("x"))


def test_every_kind_of_field_is_read() -> None:
    arguments = "--folder x --count 4 --rate 1 --betas 0.8 0.9 --names a --names b --tasks a,b --share-of u=1"
    arguments += " --share-of v=w=0.5 --kind y --no-enabled --strict --single --limit 2 --share 0.25"
    assert parsed(*arguments.split()) == Example(
        folder=Path("x"),
        count=4,
        rate=1.0,
        betas=(0.8, 0.9),
        names=("a", "b"),
        tasks=("a", "b"),
        shares={"u": 1.0, "v=w": 0.5},
        kind="y",
        enabled=False,
        strict=True,
        several=False,
        limit=2.0,
        nested=Nested(0.25),
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--count", "0"], "0 is not in the range x>=1"),
        (["--rate", "0"], "0.0 is not in the range x>0"),
        (["--share", "1"], "1.0 is not in the range 0.0<=x<1"),
        (["--kind", "z"], "'z' is not one of 'x', 'y'"),
        (["--tasks", "a,c"], "'c' is not one of a, b"),
        (["--share-of", "u"], "'u' is not of the form NAME=NUMBER"),
        (["--share-of", "u=v"], "'u=v' is not of the form NAME=NUMBER"),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments: list[str], complaint: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        parsed("--folder", "x", *arguments)
    assert complaint in error.value.format_message()


def test_a_field_without_default_is_required() -> None:
    with pytest.raises(click.MissingParameter, match="folder"):
        parsed()


def fields_of(options: Any) -> Iterator["dataclasses.Field[Any]"]:
    """The fields of a dataclass, and of the dataclasses in it."""
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(field.type):
            yield from fields_of(field.type)
        else:
            yield field


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_every_field_is_a_flag(command: click.Command, options: type) -> None:
    flags = {parameter.name: parameter for parameter in command.params}
    for field in fields_of(options):
        if field.name == "preprocessing":  # has several flags, see options.preprocessing
            continue
        assert field.name in flags
        assert flag_of(field.metadata) or field.name in Settings.model_fields


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_defaults_of_the_flags_are_those_of_the_dataclass(command: click.Command, options: type) -> None:
    context = command.make_context("command", [], resilient_parsing=True)
    for field in fields_of(options):
        if flag_of(field.metadata) and field.default is not dataclasses.MISSING:
            assert context.params[field.name] == field.default


def test_numbers_are_checked_without_a_command_line_too() -> None:
    with pytest.raises(Exception, match="batch_size is 0; it must be at least 1"):
        FinetuneOptions(**NEEDED, batch_size=0)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="ema is 1; it must be at least 0 and below 1"):
        FinetuneOptions(**NEEDED, ema=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["embed a.png -o x.npz", "evaluate x.csv --out o", "adapter apply x m -o y.csv"])
@pytest.mark.parametrize("flag", ["--api-key hush", "--api-key=hush"])
def test_the_key_for_a_server_is_no_flag(command: str, flag: str) -> None:
    result = CliRunner().invoke(main, [*command.split(), "--server", "http://127.0.0.1:1", *flag.split()])
    assert result.exit_code == 2
    assert "--api-key: every user of this machine can read a command line; " in result.output
    assert "set the environment variable MEDIMAGEINSIGHT_API_KEY" in result.output
    assert "hush" not in result.output
