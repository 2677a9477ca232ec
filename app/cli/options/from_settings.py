"""Flags of a command that are made from the settings."""

from collections.abc import Callable, Mapping
from typing import Any

import click
from click.core import ParameterSource
from pydantic import SecretStr

from app.environment import foreign_variables, unusable_bare_variables, variable_of
from app.settings import PREFIX, Settings

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]

_NOT_OF_THE_MODEL = ("cache_dir", "max_labels")
_REPEATED = {"heads": "--head"}
"""Flags that are given once per value of a setting whose values are separated by commas."""


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
            raise click.UsageError(f"{flag_name(name)}: {message} {PREFIX}{name.upper()}{instead}")
        return value

    return click.option(flag_name(name), name, hidden=True, callback=refuse, **attributes)


def flag_name(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def flag_of_setting(name: str) -> str:
    """The flag of a setting, as it is typed."""
    return _REPEATED.get(name) or flag_name(name)


def _joined(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    return ",".join(given) or None


def settings_options(*names: str) -> Decorator:
    """Give a command one flag per named setting, or per setting if none is named; unset, the environment decides."""

    def decorate(command: Function) -> Function:
        for name in reversed(names or tuple(Settings.model_fields)):
            field = Settings.model_fields[name]
            flag = flag_of_setting(name)
            default = "none" if str(field.default) in ("", "None") else field.default
            text = f"{field.description}  [{PREFIX}{name.upper()}; default: {default}]"
            if field.annotation is SecretStr:
                option = secret(name, instead=f", or name a file by {flag}-file")
            elif name in _REPEATED:
                option = click.option(flag, name, multiple=True, callback=_joined, metavar="DIR", help=text)
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


def take_settings(given: dict[str, Any]) -> Settings:
    """Read the settings that a command has flags for, see `read_settings`, and remove these from `given`.

    With --server only the cache folder and the limit of labels count: a MODEL or DEVICE of the environment is not even
    looked at.
    """
    values = {name: given.pop(name) for name in list(given) if name in Settings.model_fields}
    if given.get("server"):
        values = {name: value for name, value in values.items() if name in _NOT_OF_THE_MODEL}
    return read_settings(values)


def _problem(place: tuple[int | str, ...], message: str, given: Mapping[str, Any]) -> str:
    """A sentence about an unusable setting that names its flag or its environment variable."""
    message = message.removeprefix("Value error, ")
    if not place:
        return message
    name = str(place[0])
    variable = None if given.get(name) is not None else variable_of(name)
    if variable is None:
        return f"{flag_of_setting(name)}: {message}"
    if variable.startswith(PREFIX):
        return f"{variable}: {message}"
    return (
        f"{variable}: {message} (the environment variable {variable} is read as a setting: unset it if another program "
        f"set it, or set {PREFIX}{variable}, which has priority)"
    )
