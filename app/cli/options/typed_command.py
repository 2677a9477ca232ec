"""A command that knows how it was typed."""

import re
import shlex
from itertools import pairwise

import click

_KEY = "app.cli.options.typed_command"
_FLAG = re.compile(r"--[a-z-]+=")
# Up to the last @, because a password may have one; everything behind the scheme if a query may have it; the query.
_SECRET_PART_OF_URL = re.compile(
    r"^((?:[a-z][a-z0-9+.-]*://)?)(?:[^?]*(?=@[^@]*\Z)|.*@.*)|(?<=\?).+", re.DOTALL | re.IGNORECASE
)


class TypedCommand(click.Command):
    """Command that keeps its arguments as they were typed, for `typed_line`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.meta[_KEY] = list(args)
        return super().parse_args(context, args)


def typed_line() -> str:
    """The running command's line as it was typed. `***` replaces user names, passwords and queries of URLs."""
    context = click.get_current_context()
    arguments = [_shown(argument, before) for before, argument in pairwise(["", *context.meta[_KEY]])]
    return shlex.join(["medimageinsight", str(context.info_name), *arguments])


def without_secrets(url: str) -> str:
    """A URL, which may lack its scheme, with `***` in place of user name, password and query."""
    return _SECRET_PART_OF_URL.sub(r"\1***", url)


def _shown(argument: str, before: str) -> str:
    """An argument without secrets; `before` is the argument before it."""
    found = _FLAG.match(argument)
    flag = found[0] if found else ""
    is_url = "--server" in (before, flag.rstrip("=")) or "://" in argument  # that of a server may lack its scheme
    return flag + without_secrets(argument.removeprefix(flag)) if is_url else argument
