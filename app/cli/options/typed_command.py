"""A command that knows how it was typed."""

import re
import shlex

import click

_KEY = "app.cli.options.typed_command"
_SECRET_PART_OF_URL = re.compile(r"(?<=://)[^/@\s]*(?=@)|(?<=\?).+")


class TypedCommand(click.Command):
    """Command that keeps its arguments as they were typed, for `typed_line`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.meta[_KEY] = list(args)
        return super().parse_args(context, args)


def typed_line() -> str:
    """The running command's line as it was typed. `***` replaces user names, passwords and queries of URLs."""
    context = click.get_current_context()
    arguments = [_without_secrets(argument) for argument in context.meta[_KEY]]
    return shlex.join(["medimageinsight", str(context.info_name), *arguments])


def _without_secrets(argument: str) -> str:
    return _SECRET_PART_OF_URL.sub("***", argument) if "://" in argument else argument
