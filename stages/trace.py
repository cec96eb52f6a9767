"""From a model_version, as every answer of the service has it, to what the model was made of.

`python -m stages.trace VERSION [--output JSON]`; VERSION may be its first digits.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from api.errors import ProductCodeError
from stages.promotion import registry
from stages.promotion.lineage import Origin, trace
from stages.promotion.revisions import EVALUATION

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints where a model comes from; 1 if that isn't known."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s", force=True)
    parser = argparse.ArgumentParser(prog="python -m stages.trace", description=__doc__)
    parser.add_argument("version", help="a model_version, or its first digits")
    parser.add_argument("--output", type=Path, metavar="JSON", help="the same for programs")
    given = parser.parse_args(arguments)
    try:
        origins = trace(given.version)
        found = described(origins, registered(origins[0].version))
    except ProductCodeError as error:
        logger.error("%s", error)
        return 1
    print(as_text(found))
    if given.output:
        given.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def registered(version: str) -> list[str]:
    """Names of the registered versions that have the bundle, the champion marked."""
    best = registry.champion()
    return [
        f"{each.name} (champion)" if each == best else each.name
        for each in registry.versions().values()
        if each.bundle == version
    ]


def described(origins: Sequence[Origin], versions: Sequence[str]) -> dict[str, Any]:
    """All that is known; parameters, data and metrics are those of the first commit."""
    first = origins[-1]
    return {
        "model_version": first.version,
        "registered": list(versions),
        "commits": [
            {
                "commit": origin.sha,
                "date": origin.date,
                "author": origin.author,
                "subject": origin.subject,
                "names": list(origin.names),
            }
            for origin in origins
        ],
        "data": first.data,
        "parameters": first.parameters,
        "metrics": first.metrics,
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The same, to be read; of the metrics what the fused model scored."""
    lines = [
        f"model_version {found['model_version']}",
        f"registered as {', '.join(found['registered']) or 'nothing'}",
    ]
    for commit in found["commits"]:
        names = f" ({', '.join(commit['names'])})" if commit["names"] else ""
        lines.append(f"commit {commit['commit']}{names}")
        lines.append(f"  {commit['date']} {commit['author']}: {commit['subject']}")
    lines += ["data", *(f"  {path} {md5}" for path, md5 in found["data"].items())]
    lines += ["parameters", _indented(found["parameters"])]
    fused = found["metrics"].get(EVALUATION, {}).get("fused")
    lines += ["metrics of the held-out split", _indented(fused) if fused else "  none committed"]
    lines.append(f"bring it back: make checkout-model REV={found['commits'][-1]['commit'][:10]}")
    return "\n".join(lines)


def _indented(values: Any) -> str:
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
    return "\n".join(f"  {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
