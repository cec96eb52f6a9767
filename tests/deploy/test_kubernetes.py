"""The manifests, rendered by kustomize: of a valid shape, safe, and in step with the rest."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from api.settings import PREFIX, Settings
from deploy.k8s import rules
from tests.api.service import ROOT
from tests.deploy.monitoring_stack import MONITORING, program

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("local", "production", "canary")
VERSIONS = ("1.30", "1.34")
"""Of Kubernetes: the oldest that has all fields, and a present one."""
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that the Prometheus operator brings."""


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    command = [program("kubectl"), "kustomize", str(K8S / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def of_kind(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    found = (one for one in rendered(overlay) if one["kind"] == kind)
    return {one["metadata"]["name"]: one for one in found}


def pods(overlay: str) -> dict[str, dict[str, Any]]:
    """Templates of pods by the kind and name of what makes them."""
    found = {}
    for one in rendered(overlay):
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[f"{one['kind']} {one['metadata']['name']}"] = spec["template"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_has_the_shape_that_kubernetes_takes(overlay: str, version: str) -> None:
    for manifest in rendered(overlay):
        if manifest["kind"] not in OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_production_has_all_that_keeps_a_service_up() -> None:
    kinds = {manifest["kind"] for manifest in rendered("production")}
    assert kinds == OPERATORS | {
        *("ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Job", "Namespace"),
        *("NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Service"),
        "ServiceAccount",
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_may_do_more_than_it_must(overlay: str) -> None:
    assert pods(overlay)
    for name, template in pods(overlay).items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"]["cpu"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_a_manifest(overlay: str) -> None:
    """Only files that a Secret holds are named."""
    assert not of_kind(overlay, "Secret")
    for template in pods(overlay).values():
        for container in template["spec"]["containers"]:
            names = {variable["name"] for variable in container.get("env", [])}
            assert not {"API_SECRET", "API_PREVIOUS_SECRETS", "API_DATABASE_URL"} & names


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting_of_the_service(overlay: str) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for config in of_kind(overlay, "ConfigMap").values():
        named = {name for name in config["data"] if name.startswith(PREFIX)}
        assert {name.removesuffix("_FILE") for name in named} <= known


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_selectors_find_the_pods_they_are_for(overlay: str) -> None:
    labels = [template["metadata"]["labels"] for template in pods(overlay).values()]
    selectors = [one["spec"]["selector"] for one in of_kind(overlay, "Service").values()]
    selectors += [
        one["spec"]["selector"]["matchLabels"]
        for one in of_kind(overlay, "PodDisruptionBudget").values()
    ]
    assert selectors
    for selector in selectors:
        assert sum(selector.items() <= found.items() for found in labels) == 1, selector


def test_a_canary_stands_behind_the_same_service_and_apart_from_it() -> None:
    selector = of_kind("production", "Service")["product-codes"]["spec"]["selector"]
    [canary] = of_kind("canary", "Deployment").values()
    stable = of_kind("production", "Deployment")["product-codes"]
    template = canary["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()
    own = canary["spec"]["selector"]["matchLabels"]
    assert own["track"] == "canary"
    assert not own.items() <= stable["spec"]["template"]["metadata"]["labels"].items()
    assert canary["metadata"]["name"] != stable["metadata"]["name"]


def test_a_canary_fetches_the_bundle_that_it_serves() -> None:
    [canary] = of_kind("canary", "Deployment").values()
    [config] = of_kind("canary", "ConfigMap").values()
    spec = canary["spec"]["template"]["spec"]
    [fetch] = spec["initContainers"]
    out = next(word for word in fetch["command"] if word.startswith("--out="))
    [served] = spec["containers"]
    environment = {variable["name"]: variable["value"] for variable in served["env"]}
    assert f"--out={environment['API_BUNDLE_DIR']}" == out
    used = [word.split("$(")[1].rstrip(")") for word in fetch["command"] if "$(" in word]
    assert set(used) <= config["data"].keys()
    for container in (fetch, served):
        assert {"configMapRef": {"name": config["metadata"]["name"]}} in container["envFrom"]


def test_the_autoscaler_counts_requests_in_flight_and_falls_back_on_the_processor() -> None:
    [scaler] = of_kind("production", "HorizontalPodAutoscaler").values()
    kinds = [metric["type"] for metric in scaler["spec"]["metrics"]]
    assert kinds == ["Pods", "Resource"]
    name = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    adapter = yaml.safe_load((K8S / "prometheus-adapter.yaml").read_text())
    assert [rule["name"]["as"] for rule in adapter["rules"]["custom"]] == [name]


def test_probes_ask_paths_that_the_service_answers_without_a_token() -> None:
    for template in pods("production").values():
        for container in template["spec"]["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["path"] in {"/ready", "/status"}


def test_the_operators_rules_are_those_of_prometheus(tmp_path: Path) -> None:
    """`python -m deploy.k8s.rules` writes them again; Prometheus takes them."""
    assert rules.FILE.read_text() == rules.rendered()
    [rule] = of_kind("production", "PrometheusRule").values()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    command = [program("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    subprocess.run(command, check=True, capture_output=True)


def test_the_operators_jobs_are_those_of_prometheus() -> None:
    jobs = {
        relabelling["replacement"]
        for monitor in of_kind("production", "ServiceMonitor").values()
        for endpoint in monitor["spec"]["endpoints"]
        for relabelling in endpoint["relabelings"]
        if relabelling["targetLabel"] == "job"
    }
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    assert jobs == {"fastapi", "auth"} <= {job["job_name"] for job in scraped}
