"""The dashboard and the alerts query metrics that `/metrics` has."""

import re

import httpx
import pytest
import yaml

from tests.docker.monitoring_files import DASHBOARD, DOCKER, QUERIES, RULES, metrics_of
from tests.docs.pages import ROOT, page
from tests.support.samples import TEXT, encoded, png, table


@pytest.mark.parametrize("query", QUERIES)
async def test_every_queried_metric_exists(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["image", "text"], [[encoded(png()), TEXT]]))
    assert answer.status_code == 200
    shown = (await client.get("/metrics")).text
    expression = QUERIES[query]
    names = metrics_of(expression)
    assert names or expression.startswith("up{")
    for name in names:
        assert re.search(rf"^{name}[ {{]", shown, re.MULTILINE), name
    for label in re.findall(r"([a-z_]+)=~?\"", expression) + re.findall(r"by \(([a-z_]+)\)", expression):
        assert label == "job" or f'{label}="' in shown


def test_every_alert_has_a_sentence_and_a_severity() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) == 7
    for rule in RULES:
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_every_alert_links_to_its_section_of_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", page("runbook.md"), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert "runbook.md" in (ROOT / "mkdocs.yml").read_text()


def test_the_first_row_of_the_dashboard_is_the_status() -> None:
    first = [panel for panel in DASHBOARD["panels"] if panel["gridPos"]["y"] == 0]
    assert [panel["title"] for panel in first] == ["Status", "Model", "Version", "Share of answers with a 5xx status"]
    assert {panel["type"] for panel in first} == {"stat"}
    assert all(panel["fieldConfig"]["defaults"]["noValue"] for panel in first)


async def test_every_legend_names_labels_of_its_metric(client: httpx.AsyncClient) -> None:
    await client.post("/embed", json=table(["image", "text"], [[encoded(png()), TEXT]]))
    shown = (await client.get("/metrics")).text
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
                name = re.escape(metrics_of(target["expr"])[0])
                assert re.search(rf'^{name}\{{.*\b{label}="', shown, re.MULTILINE), (panel["title"], label)


def test_prometheus_loads_the_alerts() -> None:
    configuration = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
    for name in configuration["rule_files"]:
        assert (DOCKER / "prometheus" / name).is_file()
    assert configuration["scrape_configs"][0]["job_name"] == "medimageinsight"


def test_panels_do_not_overlap_and_use_the_data_source_of_the_dashboard() -> None:
    panels = DASHBOARD["panels"]
    cells = [cell for panel in panels for cell in _cells(**panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")


def _cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    return [(column, row) for column in range(x, x + w) for row in range(y, y + h)]


def test_provisioned_files_are_where_compose_mounts_them() -> None:
    grafana = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["grafana"]
    mounted = {target: DOCKER / source for source, target, *_ in (volume.split(":") for volume in grafana["volumes"])}
    provisioning = mounted["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "medimageinsight.yaml").read_text())["providers"]
    assert (mounted[provider["options"]["path"]] / "medimageinsight.json").is_file()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
