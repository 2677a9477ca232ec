"""The table of `docs/settings.md`, made from `Settings`: `python -m tests.docs.settings_table` writes it."""

from pydantic import SecretStr

from app.cli.options.from_settings import flag_of_setting
from app.settings import Settings
from tests.docs.pages import table_row, write_generated

PAGE, MARKER = "settings.md", "settings"


def settings_table() -> str:
    """A Markdown table with one row per setting."""
    rows = [table_row("variable", "flag", "default", "meaning"), "|---|---|---|---|\n"]
    for name, field in Settings.model_fields.items():
        # A secret is shown as asterisks; only its empty default is documented.
        default = "" if str(field.default) in ("", "None") else f"`{field.default}`"
        flag = "" if field.annotation is SecretStr else f"`{flag_of_setting(name)}`"
        rows.append(table_row(f"`{name.upper()}`", flag, default, field.description or ""))
    return "".join(rows)


if __name__ == "__main__":
    write_generated(PAGE, {MARKER: settings_table()})
