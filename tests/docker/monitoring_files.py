"""The queries of the alerts and of the dashboard."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).parents[2] / "docker"
ALERTS: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((DOCKER / "grafana" / "medimageinsight.json").read_text())
RULES: list[dict[str, Any]] = ALERTS["groups"][0]["rules"]
OF_ALERTS = {rule["alert"]: rule["expr"] for rule in RULES}
OF_PANELS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
QUERIES = OF_ALERTS | OF_PANELS


def metrics_of(expression: str) -> list[str]:
    """The names of the service's metrics in a query."""
    return re.findall(r"\b(?:medimageinsight|process)_[a-z_]+", re.sub(r'"[^"]*"', "", expression))
