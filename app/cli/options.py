"""Flags of the commands: made from the settings, made from options dataclasses, and shared by several commands."""

import dataclasses
import os
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic import SecretStr

from app.environment import foreign_variables, unusable_bare_variables, variable_of
from app.settings import PREFIX, Settings
from model.options import Flag, flag_of

Options = TypeVar("Options")
Function = Callable[..., Any]
Decorator = Callable[[Function], Function]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

plain = click.option(
    "--plain", is_flag=True, help="Skip the standardisation (512 by 512 pixels, JPEG) that the service applies"
)
no_cache = click.option(
    "--no-cache", is_flag=True, help="Neither read nor write the embeddings in the folder embeddings of --cache-dir"
)
strict_images = click.option(
    "--strict", is_flag=True, help="Stop at an unreadable image; otherwise it is listed and left out"
)
strict_rows = click.option(
    "--strict", is_flag=True, help="Stop at a bad row; otherwise bad rows are listed and left out"
)
server = click.option(
    "--server",
    metavar="URL",
    help=f"URL of a server that computes the embeddings; no model is loaded here; {PREFIX}API_KEY holds its key",
)


def secret(name: str, *, instead: str = "", **attributes: Any) -> Decorator:
    """A hidden flag that is refused: every user of a machine can read the command lines of its processes.

    Args:
        name: name of the value, whose environment variable is to be used.
        instead: what else can be used, for the message. Default: nothing.
        attributes: further attributes of the click option.
    """

    def refuse(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            message = "every user of this machine can read a command line; set the environment variable"
            raise click.UsageError(f"{_flag_name(name)}: {message} {PREFIX}{name.upper()}{instead}")
        return value

    return click.option(_flag_name(name), name, hidden=True, callback=refuse, **attributes)


def _flag_name(name: str) -> str:
    return f"--{name.replace('_', '-')}"


api_key = secret("api_key", default="", envvar=f"{PREFIX}API_KEY")


def example(*lines: str) -> str:
    """The end of a command's help text: examples, one per line."""
    return "Example:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def shown(text: object) -> str:
    """A text for a line on a terminal: what it cannot show, or would obey, is replaced."""
    characters = os.fsencode(str(text)).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in characters)


def require_folder_of(output: Path) -> None:
    """Raise UsageError if the folder of an output file does not exist."""
    if not output.parent.is_dir():
        raise click.UsageError("--output names a file in a folder that does not exist")


def settings_options(*names: str) -> Decorator:
    """Give a command one flag per named setting, or per setting if none is named; unset, the environment decides."""

    def decorate(command: Function) -> Function:
        for name in reversed(names or tuple(Settings.model_fields)):
            field = Settings.model_fields[name]
            flag = _flag_name(name)
            default = "none" if str(field.default) in ("", "None") else field.default
            text = f"{field.description}  [{PREFIX}{name.upper()}; default: {default}]"
            if field.annotation is SecretStr:
                option = secret(name, instead=f", or name a file by {flag}-file")
            elif field.annotation is bool:
                option = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
            else:
                option = click.option(flag, name, default=None, metavar="VALUE", help=text)
            command = option(command)
        return command

    return decorate


def read_settings(given: Mapping[str, Any]) -> Settings:
    """The settings of a command.

    Args:
        given: value per setting that the command has a flag for; None takes it from the environment. Settings that
            the command has no flag for keep their defaults.

    Raises:
        click.UsageError: a value is unusable; the sentence names the flag or the environment variable.
    """
    from pydantic import ValidationError

    asked = [name for name, value in given.items() if value is None]
    values = {name: field.default for name, field in Settings.model_fields.items() if name not in given}
    values |= {name: value for name, value in given.items() if value is not None}
    for name, sentence in foreign_variables(asked).items():
        click.echo(f"medimageinsight: warning: {sentence}", err=True)
        values[name] = Settings.model_fields[name].default
    problems = [_problem((name,), sentence, given) for name, sentence in unusable_bare_variables(asked).items()]
    if problems:
        raise click.UsageError("; ".join(problems))
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = [_problem(found["loc"], found["msg"], given) for found in error.errors()]
        raise click.UsageError("; ".join(problems)) from None


def dataclass_options(options: type, *names: str) -> Decorator:
    """Give a command the flags that an options dataclass declares, nested dataclasses included.

    Args:
        options: the dataclass.
        names: the fields that become flags; default all.
    """

    def decorate(command: Function) -> Function:
        for field in reversed(dataclasses.fields(options)):
            declared = flag_of(field.metadata)
            if names and field.name not in names:
                continue
            if declared:
                command = _option(field, declared)(command)
            elif dataclasses.is_dataclass(field.type):
                command = dataclass_options(cast(type, field.type))(command)
        return command

    return decorate


def take_options(options: type[Options], given: dict[str, Any], **more: Any) -> Options:
    """Make an options dataclass from a command's values, and remove these from `given`.

    Args:
        options: the dataclass that `dataclass_options` made flags from.
        given: value per flag of the command.
        more: values of the fields that have no flag.
    """
    for field in dataclasses.fields(cast(Any, options)):
        if field.name in given:
            more[field.name] = given.pop(field.name)
        elif dataclasses.is_dataclass(field.type):
            more[field.name] = take_options(cast(type, field.type), given)
    return options(**more)


def take_settings(given: dict[str, Any]) -> Settings:
    """Read the settings that a command has flags for, see `read_settings`, and remove these from `given`.

    With --server only the cache folder counts: a MODEL or DEVICE of the environment is not even looked at.
    """
    values = {name: given.pop(name) for name in list(given) if name in Settings.model_fields}
    return read_settings({"cache_dir": values["cache_dir"]} if given.get("server") else values)


def _problem(place: tuple[int | str, ...], message: str, given: Mapping[str, Any]) -> str:
    """A sentence about an unusable setting that names its flag or its environment variable."""
    message = message.removeprefix("Value error, ")
    if not place:
        return message
    name = str(place[0])
    variable = None if given.get(name) is not None else variable_of(name)
    if variable is None:
        return f"{_flag_name(name)}: {message}"
    if variable.startswith(PREFIX):
        return f"{variable}: {message}"
    return (
        f"{variable}: {message} (the environment variable {variable} is read as a setting: unset it if another program "
        f"set it, or set {PREFIX}{variable}, which has priority)"
    )


def _option(field: "dataclasses.Field[Any]", declared: Flag) -> Decorator:
    """The click option of one field of an options dataclass."""
    default: Any = field.default
    if default is dataclasses.MISSING and callable(field.default_factory):
        default = field.default_factory()
    name = declared.name or _flag_name(field.name)
    attributes = {"help": declared.help, "metavar": declared.metavar or None, **_value_of_type(field.type, declared)}
    if default is dataclasses.MISSING:
        attributes["required"] = True
    elif field.type is bool:
        attributes |= {"is_flag": True, "default": default, "flag_value": not default}
        name = declared.name or (f"--no-{name[2:]}" if default else name)
    elif default not in (None, "", (), {}):
        attributes |= {"default": default, "show_default": True}
    elif default in (None, ""):
        attributes["default"] = default
    return click.option(name, field.name, **attributes)


def _value_of_type(annotation: Any, declared: Flag) -> dict[str, Any]:
    """The attributes of a click option that follow from the type of its field."""
    is_optional = isinstance(annotation, types.UnionType)
    kind = next(part for part in get_args(annotation) if part is not type(None)) if is_optional else annotation
    if declared.path or kind is Path:
        return {"type": FOLDER if declared.path == "folder" else FILE}
    if declared.comma_separated:
        return {"default": "", "callback": partial(_comma_separated, declared.choices)}
    if declared.choices:
        return {"type": click.Choice(declared.choices)}
    if get_origin(kind) in (Mapping, dict):
        return {"multiple": True, "callback": _numbers_by_name}
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return {"multiple": True} if ... in parts else {"type": parts[0], "nargs": len(parts)}
    if kind in (int, float) and declared.bounds:
        return {"type": _range(kind, declared), "metavar": declared.metavar or ("INTEGER" if kind is int else "NUMBER")}
    return {} if kind is bool else {"type": kind}


def _range(kind: type, declared: Flag) -> click.IntRange | click.FloatRange:
    low = declared.least if declared.above is None else declared.above
    high = declared.most if declared.below is None else declared.below
    least, most = (None if bound is None else kind(bound) for bound in (low, high))
    of_kind: type[click.IntRange | click.FloatRange] = click.IntRange if kind is int else click.FloatRange
    return of_kind(least, most, min_open=declared.above is not None, max_open=declared.below is not None)


def _comma_separated(
    choices: tuple[str, ...], _context: click.Context, _parameter: click.Parameter, given: str
) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in given.split(",") if part.strip())
    if unknown := [part for part in parts if choices and part not in choices]:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(choices)}")
    return parts


def _numbers_by_name(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    numbers = {}
    for pair in given:
        name, _, number = pair.rpartition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{pair!r} is not of the form NAME=NUMBER")
    return numbers
