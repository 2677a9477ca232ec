"""Settings: environment variables with and without prefix, and flags of `serve`."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from app.cli.main import main
from app.cli.options.from_settings import flag_of_setting
from app.cli.serve import serve
from app.settings import PREFIX, Settings

# A value other than the default: as the shell writes it, and as it is read.
OTHERS: dict[str, tuple[str, object]] = {
    "model": ("/models/2024.09.27", "/models/2024.09.27"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8080", 8080),
    "heads": ("/heads/chest,/heads/modality", "/heads/chest,/heads/modality"),
    "image_only": ("true", True),
    "device": ("cuda:1", "cuda:1"),
    "dtype": ("bfloat16", "bfloat16"),
    "threads": ("3", 3),
    "decode_threads": ("3", 3),
    "decode_workers": ("3", 3),
    "decode_memory_bytes": ("4000000000", 4_000_000_000),
    "decode_timeout_s": ("2.5", 2.5),
    "max_batch_size": ("16", 16),
    "text_batch_tokens": ("4096", 4096),
    "concurrent_batches": ("3", 3),
    "batch_wait_ms": ("2.5", 2.5),
    "api_keys": ("one,two", SecretStr("one,two")),
    "api_keys_file": ("/run/secrets/keys", Path("/run/secrets/keys")),
    "metrics_key": ("scraper", SecretStr("scraper")),
    "metrics_key_file": ("/run/secrets/metrics_key", Path("/run/secrets/metrics_key")),
    "ui": ("false", False),
    "docs_open": ("true", True),
    "cors_origins": ("https://viewer.example", "https://viewer.example"),
    "url_allowlist": ("images.example.org", "images.example.org"),
    "url_timeout_s": ("2.5", 2.5),
    "queue_size": ("2048", 2048),
    "queue_bytes": ("100000000", 100_000_000),
    "max_concurrent_requests": ("16", 16),
    "text_cache_size": ("0", 0),
    "max_rows": ("64", 64),
    "max_labels": ("64", 64),
    "max_body_bytes": ("1000000", 1_000_000),
    "max_image_pixels": ("1000", 1000),
    "max_text_chars": ("1000", 1000),
    "header_timeout_s": ("2.5", 2.5),
    "body_timeout_s": ("5", 5.0),
    "request_timeout_s": ("7.5", 7.5),
    "device_timeout_s": ("2", 2.0),
    "unhealthy_exit_s": ("3", 3.0),
    "drain_timeout_s": ("1", 1.0),
    "layout": ("azure", "azure"),
    "cache_dir": ("/cache", Path("/cache")),
    "offline": ("true", True),
    "log_format": ("json", "json"),
    "log_level": ("debug", "debug"),
}
NAMES = list(Settings.model_fields)
SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DECODE_WORKERS")


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


@pytest.mark.parametrize("prefix", [PREFIX, "", PREFIX.lower()])
@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_an_environment_variable_with_and_without_prefix(
    name: str, prefix: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = OTHERS[name]
    monkeypatch.setenv(f"{prefix}{name.upper()}", text)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, result.output) == (0, "")
    assert served[0].model_dump() == Settings.model_construct().model_dump() | {name: value}


@pytest.mark.parametrize("name", NAMES)
def test_the_prefixed_variable_wins(name: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = OTHERS[name]
    monkeypatch.setenv(name.upper(), str(Settings.model_fields[name].default))
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", text)
    assert CliRunner().invoke(main, ["serve"]).exit_code == 0
    assert getattr(served[0], name) == value


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SECRETS])
def test_a_setting_is_a_flag_which_wins_over_the_environment(
    name: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = OTHERS[name]
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", str(Settings.model_fields[name].default))
    flag = flag_of_setting(name)
    arguments = [flag, text]
    if isinstance(value, bool):
        arguments = [flag if value else f"--no-{flag.removeprefix('--')}"]
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 0, result.output
    assert getattr(served[0], name) == value


def test_the_secrets_are_the_keys() -> None:
    assert SECRETS == ["api_keys", "metrics_key"]


@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_no_flag_because_command_lines_are_public(name: str, form: str, served: list[Settings]) -> None:
    flag = flag_of_setting(name)
    result = CliRunner().invoke(main, ["serve", *form.format(flag, "hush").split()])
    assert (result.exit_code, served) == (2, [])
    assert f"Error: {flag}: every user of this machine can read a command line; " in result.output
    assert f"{PREFIX}{name.upper()}, or name a file by {flag}-file" in result.output
    assert "hush" not in result.output


def test_a_boolean_flag_can_be_turned_off(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "true")
    CliRunner().invoke(main, ["serve", "--no-offline"])
    assert served[0].offline is False


def test_a_flag_with_one_folder_is_repeated_for_several(served: list[Settings]) -> None:
    result = CliRunner().invoke(main, ["serve", "--head", "heads/chest", "--head", "heads/modality"])
    assert (result.exit_code, served[0].heads) == (0, "heads/chest,heads/modality")


def test_the_flags_of_serve_are_the_settings() -> None:
    assert [option.name for option in serve.params] == NAMES


def test_the_help_of_serve_names_every_setting() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    for name in NAMES:
        assert flag_of_setting(name) in text or name in SECRETS
        shown = f"{PREFIX}{name.upper()} " if name in SECRETS else f"[{PREFIX}{name.upper()};"
        assert shown in " ".join(text.split())


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
        ("decode_workers", "-1"),
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
    flag = flag_of_setting(name)
    by_flag = CliRunner().invoke(main, ["serve", flag, value])
    monkeypatch.setenv(name.upper(), value)
    by_bare_name = CliRunner().invoke(main, ["serve"])
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    by_prefixed_name = CliRunner().invoke(main, ["serve"])
    for result, place in ((by_flag, flag), (by_bare_name, name.upper()), (by_prefixed_name, PREFIX + name.upper())):
        assert result.exit_code == click.UsageError.exit_code == 2
        compares_two = f"Error: {name} (" in result.output
        assert f"Error: {place}: " in result.output or compares_two
        assert "Traceback" not in result.output
    assert served == []


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("OFFLINE", "perhaps", "OFFLINE: Input should be a valid boolean"),
        ("PORT", "serial", "PORT: Input should be a valid integer"),
        ("THREADS", "many", "THREADS: Input should be a valid integer"),
        ("DECODE_WORKERS", "all", "DECODE_WORKERS: Input should be auto, or an integer greater than or equal to 0 ("),
        ("LOG_LEVEL", "WARN", "LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("MODEL", "gpt-4", "MODEL: 'gpt-4' is neither an existing path nor a Hugging Face id"),
        ("DEVICE", "tty1", "DEVICE: 'tty1' is not one of auto, cpu, cuda, cuda:N and mps"),
    ],
)
def test_an_unusable_bare_variable_names_itself_and_the_prefixed_one(
    variable: str, value: str, sentence: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, served) == (2, [])
    assert f"Error: {sentence}" in result.output
    assert f"unset it if another program set it, or set {PREFIX}{variable}, which has priority" in result.output


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "a..b", ""])
def test_a_bare_host_that_is_not_a_host_is_ignored_with_one_warning(
    host: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", host)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, served[0].host) == (0, "127.0.0.1")
    assert result.stderr.startswith(f"medimageinsight: warning: HOST={host} is ignored: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "localhost"])
def test_a_bare_host_that_is_a_host_is_used(host: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", host)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.output, served[0].host) == ("", host)


def test_a_bare_host_is_not_looked_at_where_it_is_not_used(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
    monkeypatch.setattr("app.environment.resolves", lambda _: pytest.fail("the host was looked up"))
    assert CliRunner().invoke(main, ["serve", "--host", "127.0.0.2"]).output == ""
    monkeypatch.setenv(f"{PREFIX}HOST", "127.0.0.3")
    assert CliRunner().invoke(main, ["serve"]).output == ""
    monkeypatch.delenv(f"{PREFIX}HOST")
    assert CliRunner().invoke(main, ["download", "no-id"]).stderr.startswith("medimageinsight: 'no-id' is not")
    assert [settings.host for settings in served] == ["127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize("variable", ["PORT", f"{PREFIX}PORT"])
def test_the_link_to_a_service_of_kubernetes_is_not_a_port(
    variable: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "tcp://10.0.0.1:8000")
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, served[0].port) == (0, 8000)
    assert f"{variable}=tcp://10.0.0.1:8000 is ignored" in result.stderr


def test_a_command_does_not_read_settings_that_it_has_no_flag_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "serial")
    result = CliRunner().invoke(main, ["info", str(tmp_path)])
    assert result.stderr.startswith("medimageinsight: no config.yaml in ")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
