"""Configuration, rules and dashboards as files: valid, tested, explained, and in step."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring import dashboards
from tests.deploy import queries
from tests.deploy.monitoring_stack import MONITORING, program

RULES = sorted((MONITORING / "rules").glob("*.yml"))
UNIT_TESTS = sorted((MONITORING / "rules" / "tests").glob("*.yml"))
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def check(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_configuration_and_rules() -> None:
    check(program("promtool"), "check", "config", MONITORING / "prometheus.yml")


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(file: Path) -> None:
    check(program("promtool"), "test", "rules", file)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    expected: dict[str, set[bool]] = {}
    for file in UNIT_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                expected.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    expected["Watchdog"].add(False)  # always fires
    assert expected == {name: {True, False} for name in queries.alerts()}


def test_alertmanager_takes_its_configuration() -> None:
    check(program("amtool"), "check-config", MONITORING / "alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=Watchdog", "severity=none"], "watchdog"),
        (["alertname=ServiceDown", "severity=page"], "pager"),
        (["alertname=CpuSaturated", "severity=ticket"], "tickets"),
        (["alertname=ModelStale", "severity=ticket", "action=retrain"], "retraining,tickets"),
    ],
)
def test_alerts_are_routed(labels: list[str], receivers: str) -> None:
    """A retraining is started and a person told."""
    file = f"--config.file={MONITORING / 'alertmanager.yml'}"
    command = [program("amtool"), "config", "routes", "test", file]
    done = subprocess.run([*command, *labels], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == receivers


def test_every_alert_has_a_paragraph_in_the_runbook() -> None:
    headings = re.findall(r"^#+ (\w+)$", OPERATIONS.read_text(), re.MULTILINE)
    for name, rule in queries.alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert name in headings
    paragraphs = re.findall(r"^#### (\w+)\n\n\S", OPERATIONS.read_text(), re.MULTILINE)
    assert sorted(paragraphs) == sorted(queries.alerts())


@pytest.mark.parametrize("name", dashboards.BOARDS)
def test_the_committed_dashboard_is_the_codes(name: str) -> None:
    """`python -m deploy.monitoring.dashboards` writes them again."""
    committed = (dashboards.FOLDER / f"{name}.json").read_text()
    assert committed == dashboards.rendered()[name]


def test_dashboards_read_the_data_source_that_is_provisioned() -> None:
    file = MONITORING / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    [source] = yaml.safe_load(file.read_text())["datasources"]
    used = {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in queries.panels()}
    assert used == {(source["type"], source["uid"])}


def test_every_panel_says_what_it_shows_and_none_lies_on_another() -> None:
    for file in dashboards.FOLDER.glob("*.json"):
        panels = json.loads(file.read_text())["panels"]
        places = [place for panel in panels for place in cells(panel["gridPos"])]
        assert len(places) == len(set(places)), file
        assert len({panel["id"] for panel in panels}) == len(panels), file
    for panel in queries.panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])]


def test_the_metrics_that_the_brief_names_are_drawn() -> None:
    drawn = " ".join(target["expr"] for panel in queries.panels() for target in panel["targets"])
    for metric in ("http_requests_total", "process_cpu_seconds_total", "node_memory_Active_bytes"):
        assert metric in drawn


def test_jobs_are_the_briefs_and_the_rules() -> None:
    """A rule on a job that nothing scrapes would never fire."""
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    jobs = {job["job_name"] for job in scraped}
    assert {"prometheus", "fastapi", "node"} <= jobs
    expressions = " ".join([*queries.all_queries("5m")])
    named: set[Any] = set()
    for jobs_of_one in re.findall(r'job=~?"([^"]+)"', expressions):
        named |= set(jobs_of_one.split("|"))
    assert named <= jobs
