"""Tables of the commands' flags, made from click: `python -m tests.docs.flag_tables` writes them."""

from collections.abc import Mapping

import click

from app.cli.main import main
from app.settings import PREFIX
from tests.docs.pages import table_row, write_generated

# `serve` is missing, because its flags are the settings.
PAGE_OF_COMMAND: Mapping[str, str] = {
    "embed": "commands.md",
    "render": "commands.md",
    "info": "commands.md",
    "download": "commands.md",
    "finetune": "finetune.md",
    "evaluate": "evaluate.md",
    "adapter train": "heads.md",
    "adapter apply": "heads.md",
    "classify": "heads.md",
    "head make": "heads.md",
    "head import": "heads.md",
    "head labels": "heads.md",
}


def commands(group: click.Group = main, prefix: str = "") -> dict[str, click.Command]:
    """All commands, with the name that follows `medimageinsight`."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= commands(command, f"{name} ") if isinstance(command, click.Group) else {f"{prefix}{name}": command}
    return found


def marker(command: str) -> str:
    return f"flags: {command}"


def flag_table(command: str) -> str:
    """A Markdown table with one row per flag of a command, without those that are refused."""
    rows = [table_row("flag", "meaning", "default"), "|---|---|---|\n"]
    for option in commands()[command].params:
        if isinstance(option, click.Option) and not option.hidden:
            rows.append(table_row(_names(option), *_meaning_and_default(option)))
    return "".join(rows)


def _names(option: click.Option) -> str:
    metavar = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('x')))}"
    return ", ".join(f"`{name}{metavar}`" for name in [*option.opts, *option.secondary_opts])


def _meaning_and_default(option: click.Option) -> tuple[str, str]:
    meaning, _, setting = (option.help or "").partition(f"  [{PREFIX}")
    if setting:  # its default stands in the help text
        default = setting.rpartition("default: ")[2].rstrip("]")
        return meaning, "" if default == "none" else f"`{default}`"
    shown = option.get_help_extra(click.Context(click.Command("x"))).get("default", "")
    return meaning, "required" if option.required else f"`{shown}`" if shown else ""


if __name__ == "__main__":
    for page_name in set(PAGE_OF_COMMAND.values()):
        names = [command for command, page in PAGE_OF_COMMAND.items() if page == page_name]
        write_generated(page_name, {marker(name): flag_table(name) for name in names})
