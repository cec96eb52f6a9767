"""The rules of deploy/monitoring for the Prometheus operator: `python -m deploy.k8s.rules`."""

from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
RULES = FOLDER.parent / "monitoring" / "rules"
FILE = FOLDER / "base" / "rules.yaml"
HEAD = "# Written by `python -m deploy.k8s.rules` from deploy/monitoring/rules.\n"
LEFT_OUT = {"monitoring.yml", "node.yml"}
"""What watches the cluster and its nodes comes with the operator's own stack."""


def rendered() -> str:
    """The PrometheusRule, as YAML."""
    files = sorted(path for path in RULES.glob("*.yml") if path.name not in LEFT_OUT)
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "product-codes"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=120)


def main() -> None:
    """Writes it."""
    FILE.write_text(rendered(), encoding="utf-8")


if __name__ == "__main__":
    main()
