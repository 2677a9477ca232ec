"""Flags of a command that are made from the fields of an options dataclass."""

import dataclasses
import types
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import click

from app.cli.options.from_settings import Decorator, Function, flag_name
from app.cli.options.shared import FILE, FOLDER
from model.options import Flag, flag_of

Options = TypeVar("Options")


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


def _option(field: "dataclasses.Field[Any]", declared: Flag) -> Decorator:
    """The click option of one field of an options dataclass."""
    default: Any = field.default
    if default is dataclasses.MISSING and callable(field.default_factory):
        default = field.default_factory()
    name = declared.name or flag_name(field.name)
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
