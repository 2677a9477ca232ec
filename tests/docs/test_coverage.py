"""Everything that a user can name is on its page: routes, parameters, headers, error codes, metrics, commands."""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from app.api.classify.schema import ClassifyParams
from app.api.error_handlers import _HTTP_CODES, INTERNAL_ERROR, STATUS
from app.api.params import Params
from app.cli.options.from_settings import flag_of_setting
from app.settings import PREFIX, Settings
from tests.docs.flag_tables import commands
from tests.docs.pages import ROOT, has_code, page

FOREIGN_METRICS = ("process_", "python_")
OUR_HEADERS = re.compile(r"x-[a-z-]+|server-timing|retry-after|www-authenticate|vary|cache-control|referrer-policy")


def header_names() -> Iterator[str]:
    """Header names among the string constants of the service: those that it reads and those that it sends."""
    for file in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.lower()
                if OUR_HEADERS.fullmatch(name) and name != "x-gzip":  # an encoding
                    yield name


def paths_of(routes: Iterable[Any]) -> Iterator[str]:
    """The paths of all routes, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route.path
        else:
            yield from paths_of(included.routes)


def has_path(text: str, path: str) -> bool:
    """Whether a text has a path, after an optional method, inside backticks."""
    shown = path.replace(":path}", "}")
    return re.search(rf"`(?:[A-Z]+ )?{re.escape(shown)}`", text) is not None


def metrics_of(app: FastAPI) -> Iterator[str]:
    """The names of the metrics as Prometheus shows them."""
    found: list[Metric] = list(app.state.service.metrics.registry.collect())
    for metric in found:
        if not metric.name.startswith(FOREIGN_METRICS):
            yield metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    text = page("settings.md")
    assert has_code(text, name.upper())
    assert has_code(text, flag_of_setting(name))
    assert PREFIX in text


@pytest.mark.parametrize("name", dict.fromkeys((*Params.model_fields, *ClassifyParams.model_fields)))
def test_every_parameter_is_documented(name: str) -> None:
    assert f"\n| `{name}` |" in page("api.md")


@pytest.mark.parametrize(("status", "code"), [*STATUS.values(), *_HTTP_CODES.items(), (500, INTERNAL_ERROR)])
def test_every_error_code_is_documented_with_its_status(status: int, code: str) -> None:
    assert f"\n| {status} | `{code}` |" in page("api.md")


def test_no_other_error_code_is_documented() -> None:
    codes = {code for _, code in STATUS.values()} | {*_HTTP_CODES.values(), INTERNAL_ERROR}
    assert set(re.findall(r"^\| \d{3} \| `(\w+)` \|", page("api.md"), re.MULTILINE)) == codes


def test_every_header_is_documented() -> None:
    names = set(header_names())
    assert {"x-request-id", "server-timing", "retry-after", "x-request-timeout-ms"} <= names
    assert [name for name in sorted(names) if not has_code(page("api.md"), name)] == []


@pytest.mark.usefixtures("client")  # the model's metrics appear once it is served
async def test_every_metric_is_documented(app: FastAPI) -> None:
    names = sorted(metrics_of(app))
    assert len(names) > 20
    assert [name for name in names if not has_code(page("operate.md"), name)] == []


@pytest.mark.usefixtures("client")
async def test_no_other_metric_is_documented(app: FastAPI) -> None:
    shown = set(re.findall(r"`(medimageinsight_\w+)`", page("operate.md")))
    assert shown - set(metrics_of(app)) == set()


def test_every_route_is_documented(app: FastAPI) -> None:
    paths = sorted(set(paths_of(app.routes)))
    assert {"/embed", "/v1/models", "/metrics", "/docs"} <= set(paths)
    assert [path for path in paths if not has_path(page("api.md"), path)] == []


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command: str) -> None:
    assert has_code(page("commands.md"), f"medimageinsight {command}")
