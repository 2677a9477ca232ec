"""`python -m tests.docker.check_monitoring URL`: a running Prometheus answers the queries of all alerts and panels."""

import sys
import time
from typing import Any

import httpx

from tests.docker.monitoring_files import OF_ALERTS, OF_PANELS, QUERIES, RULES, metrics_of

INTERVAL = "1m"  # Grafana's $__rate_interval for a scrape interval of 15 seconds
TWICE_SCRAPED_WITHIN_S = 60


def main(prometheus: str) -> None:
    with httpx.Client(base_url=f"{prometheus}/api/v1", trust_env=False) as api:

        def ask(path: str, **parameters: str) -> Any:
            answer = api.get(path, params=parameters).json()
            assert answer["status"] == "success", (parameters, answer)
            return answer["data"]

        def query(expression: str) -> list[Any]:
            found: list[Any] = ask("query", query=expression.replace("$__rate_interval", INTERVAL))["result"]
            return found

        deadline = time.monotonic() + TWICE_SCRAPED_WITHIN_S
        while not query("rate(medimageinsight_requests_total[1m])"):
            assert time.monotonic() < deadline, "Prometheus has not scraped the service twice"
            time.sleep(0.5)

        (up,) = query('up{job="medimageinsight"}')
        assert up["value"][1] == "1"
        for name in {name for expression in QUERIES.values() for name in metrics_of(expression)}:
            assert query(name), name
        for expression in OF_ALERTS.values():
            assert query(expression) == []  # no alert fires
        for panel, expression in OF_PANELS.items():
            assert query(expression), panel

        rules = ask("rules")["groups"][0]["rules"]
        while any(rule["health"] == "unknown" for rule in rules):
            assert time.monotonic() < deadline, "Prometheus has not evaluated the alerts"
            time.sleep(0.5)
            rules = ask("rules")["groups"][0]["rules"]
        assert len(rules) == len(RULES)
        assert all((rule["health"], rule["state"]) == ("ok", "inactive") for rule in rules), rules
        print(f"{len(OF_PANELS)} queries of panels and {len(rules)} alerts were answered")


if __name__ == "__main__":
    main(*sys.argv[1:])
