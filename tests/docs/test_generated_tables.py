"""The tables of settings and flags in the documentation are those that the code makes."""

import pytest

from tests.docs.flag_tables import PAGE_OF_COMMAND, commands, flag_table, marker
from tests.docs.pages import generated, page
from tests.docs.settings_table import MARKER, PAGE, settings_table


def test_the_table_of_settings_is_current() -> None:
    assert generated(page(PAGE), MARKER) == settings_table(), "run python -m tests.docs.settings_table"


def test_every_command_except_serve_has_a_page() -> None:
    assert {*PAGE_OF_COMMAND, "serve"} == commands().keys()


@pytest.mark.parametrize("command", PAGE_OF_COMMAND)
def test_the_table_of_flags_is_current(command: str) -> None:
    shown = generated(page(PAGE_OF_COMMAND[command]), marker(command))
    assert shown == flag_table(command), "run python -m tests.docs.flag_tables"
