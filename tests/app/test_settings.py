"""Every setting: an environment variable, a flag of `serve`, and a row of the README's table."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from app.cli.main import main, serve
from app.settings import Settings
from tests.conftest import IMAGES

README = IMAGES.parents[2] / "README.md"
# Another value than the default, as the shell says it and as it is read.
OTHERS: dict[str, tuple[str, object]] = {
    "model": ("/models/2024.09.27", "/models/2024.09.27"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8080", 8080),
    "device": ("cuda:1", "cuda:1"),
    "dtype": ("bfloat16", "bfloat16"),
    "threads": ("3", 3),
    "decode_threads": ("3", 3),
    "max_batch_size": ("16", 16),
    "text_batch_tokens": ("4096", 4096),
    "concurrent_batches": ("3", 3),
    "batch_wait_ms": ("2.5", 2.5),
    "api_keys": ("one,two", SecretStr("one,two")),
    "api_keys_file": ("/run/secrets/keys", Path("/run/secrets/keys")),
    "cors_origins": ("https://viewer.example", "https://viewer.example"),
    "url_allowlist": ("images.example.org", "images.example.org"),
    "url_timeout_s": ("2.5", 2.5),
    "queue_size": ("2048", 2048),
    "queue_bytes": ("100000000", 100_000_000),
    "max_concurrent_requests": ("16", 16),
    "text_cache_size": ("0", 0),
    "max_rows": ("64", 64),
    "max_body_bytes": ("1000000", 1_000_000),
    "max_image_pixels": ("1000", 1000),
    "max_text_chars": ("1000", 1000),
    "body_timeout_s": ("5", 5.0),
    "request_timeout_s": ("7.5", 7.5),
    "device_timeout_s": ("2", 2.0),
    "unhealthy_exit_s": ("3", 3.0),
    "drain_timeout_s": ("1", 1.0),
    "cache_dir": ("/cache", Path("/cache")),
    "offline": ("true", True),
    "log_format": ("json", "json"),
    "log_level": ("debug", "debug"),
}
NAMES = list(Settings.model_fields)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that `serve` was about to run with."""
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("app.server.run", run)
    return seen


def test_every_setting_is_tried_here() -> None:
    assert list(OTHERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_an_environment_variable(
    name: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = OTHERS[name]
    monkeypatch.setenv(name.upper(), text)
    assert CliRunner().invoke(main, ["serve"]).exit_code == 0
    assert served[0].model_dump() == Settings.model_construct().model_dump() | {name: value}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_a_flag_which_wins_over_the_environment(
    name: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = OTHERS[name]
    monkeypatch.setenv(name.upper(), str(Settings.model_fields[name].default))
    flag = f"--{name.replace('_', '-')}"
    arguments = [flag] if isinstance(value, bool) else [flag, text]
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 0, result.output
    assert getattr(served[0], name) == value


def test_a_boolean_flag_can_be_turned_off(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "true")
    CliRunner().invoke(main, ["serve", "--no-offline"])
    assert served[0].offline is False


def test_the_flags_of_serve_are_the_settings() -> None:
    assert [option.name for option in serve.params] == NAMES


def test_the_help_of_serve_names_every_setting() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    for name in NAMES:
        assert f"--{name.replace('_', '-')}" in text
        assert f"[{name.upper()};" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("port", "65536"),
        ("port", "-1"),
        ("dtype", "int8"),
        ("threads", "-1"),
        ("url_timeout_s", "0"),
        ("url_timeout_s", "inf"),
        ("queue_size", "0"),
        ("max_rows", "0"),
        ("max_rows", "1025"),  # more than queue_size
        ("max_body_bytes", "1000000000"),  # more than queue_bytes
        ("max_image_pixels", "1000000000"),  # more than Pillow allows
        ("batch_wait_ms", "-1"),
        ("body_timeout_s", "0"),
        ("body_timeout_s", "nan"),
        ("drain_timeout_s", "inf"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_the_setting(
    name: str, value: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_flag = CliRunner().invoke(main, ["serve", f"--{name.replace('_', '-')}", value])
    monkeypatch.setenv(name.upper(), value)
    by_environment = CliRunner().invoke(main, ["serve"])
    for result in (by_flag, by_environment):
        assert result.exit_code == click.UsageError.exit_code == 2
        assert "Error: " in result.output
        assert name in result.output
        assert "Traceback" not in result.output
    assert served == []


def test_a_wrong_boolean_in_the_environment(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "perhaps")
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, served) == (2, [])
    assert "offline" in result.output


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def rows_of_the_readme() -> dict[str, str]:
    """The names in the README's settings table, and their defaults."""
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| *`?([^`|]*?)`? *\|", section, re.MULTILINE))


def test_the_readmes_table_has_every_setting_and_no_other() -> None:
    assert list(rows_of_the_readme()) == [name.upper() for name in NAMES]


def test_the_readmes_table_has_the_defaults() -> None:
    defaults = {
        name.upper(): "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert rows_of_the_readme() == defaults
