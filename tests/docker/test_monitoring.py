"""The dashboard and the alerts ask for what `/metrics` shows."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.app.samples import TEXT, encoded, png, table

DOCKER = Path(__file__).parents[2] / "docker"
ALERTS: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((DOCKER / "grafana" / "medimageinsight.json").read_text())
RULES: list[dict[str, Any]] = ALERTS["groups"][0]["rules"]
QUERIES = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.mark.parametrize("query", QUERIES)
async def test_every_metric_that_is_asked_for_is_shown(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["image", "text"], [[encoded(png()), TEXT]]))
    assert answer.status_code == 200
    shown = (await client.get("/metrics")).text
    expression = QUERIES[query]
    names = re.findall(r"\b(?:medimageinsight|process)_[a-z_]+", re.sub(r'"[^"]*"', "", expression))
    assert names or expression.startswith("up{")
    for name in names:
        assert re.search(rf"^{name}[ {{]", shown, re.MULTILINE), name
    for label in re.findall(r"([a-z_]+)=~?\"", expression) + re.findall(r"by \(([a-z_]+)\)", expression):
        assert label == "job" or f'{label}="' in shown


def test_every_alert_says_what_is_wrong() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) == 7
    for rule in RULES:
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_prometheus_is_told_where_the_alerts_are() -> None:
    configuration = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
    for name in configuration["rule_files"]:
        assert (DOCKER / "prometheus" / name).is_file()
    assert configuration["scrape_configs"][0]["job_name"] == "medimageinsight"


def test_panels_do_not_overlap_and_take_the_data_source_of_the_dashboard() -> None:
    panels = DASHBOARD["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
