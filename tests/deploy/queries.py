"""Every query that dashboards and rules hold."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
COMPARED = re.compile(r"\s(?:>|<|>=|<=|==|!=)\s+(?:[\d.]+|\([\d.* ]+\))$")


def rules() -> list[dict[str, Any]]:
    """Recording and alert rules."""
    files = sorted((MONITORING / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> Iterator[dict[str, Any]]:
    """Panels of all dashboards, rows left out."""
    for file in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            if panel["type"] != "row":
                yield panel


def measured(expression: str) -> list[str]:
    """What an alert compares: its operands, which have values whether it fires or not.

    An alert is `operand > number`, several of them joined by `and`, or `absent(operand)`.
    """
    operands = []
    for part in re.split(r"\band\b", expression):
        absent = re.fullmatch(r"absent\((.*)\)", part.strip())
        operand = absent[1] if absent else COMPARED.sub("", part.strip())
        assert absent or operand != part.strip(), f"{part!r} compares nothing with a number"
        operands.append(operand)
    return operands


def all_queries(window: str) -> set[str]:
    """Of panels, with `window` for Grafana's; of recording rules; and the operands of alerts."""
    drawn = {target["expr"] for panel in panels() for target in panel["targets"]}
    found = {expression.replace("$__rate_interval", window) for expression in drawn}
    for rule in rules():
        found |= set(measured(rule["expr"])) if "alert" in rule else {rule["expr"]}
    return found
