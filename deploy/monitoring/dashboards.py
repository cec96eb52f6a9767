"""Grafana's dashboards, as code: `python -m deploy.monitoring.dashboards` writes them as JSON.

A test fails if the committed JSON differs, and runs each query against a real Prometheus.
"""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.monitoring import model_board, node_board, service_board
from deploy.monitoring.panels import board

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
BOARDS = {
    "service": board("Service", "product-codes-service", service_board.TOLD, service_board.ROWS),
    "model": board("Model", "product-codes-model", model_board.TOLD, model_board.ROWS),
    "node": board("Machine", "product-codes-node", node_board.TOLD, node_board.ROWS),
}


def rendered() -> dict[str, str]:
    """JSON by the name of the dashboard."""
    return {
        name: json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, made in BOARDS.items()
    }


def main() -> None:
    """Writes them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
