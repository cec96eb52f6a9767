"""What /metrics counts, with one worker and with two."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api import bundle
from tests.api import service
from tests.api.photos import UNUSABLE
from tests.api.service import RED, parts


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with service.client(tmp_path) as made:
        yield made


def read(text: str) -> dict[tuple[str, tuple], float]:
    """Value by name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(client: TestClient, metric: str, **labels: str) -> float:
    return read(client.get("/metrics").text).get((metric, tuple(sorted(labels.items()))), 0)


def test_predictions_are_counted_by_code_bundle_and_variant(
    client: TestClient, tmp_path: Path
) -> None:
    for word in ("livre", "livre", "jouet"):
        assert parts(client, {"designation": word}, None).status_code == 200
    labels = {"model_version": bundle.version(tmp_path / "bundle"), "variant": "champion"}
    assert value(client, "predictions_total", code="10", **labels) == 2
    assert value(client, "predictions_total", code="1280", **labels) == 1
    assert value(client, "model_info", synthetic="false", **labels) == 1
    assert value(client, "prediction_confidence_count", variant="champion") == 3


def test_what_products_lack_is_counted(client: TestClient) -> None:
    parts(client, {"designation": "livre"})
    parts(client, {"description": "livre"}, RED)
    parts(client, {}, RED)
    assert value(client, "missing_modality_total", modality="image") == 1
    assert value(client, "missing_modality_total", modality="text") == 1


def test_waiting_and_inference_are_timed(client: TestClient) -> None:
    parts(client, {"designation": "livre"}, RED)
    assert value(client, "inference_seconds_count") == value(client, "queue_seconds_count") == 1
    assert 0 < value(client, "inference_seconds_sum") < 60
    assert 0 <= value(client, "queue_seconds_sum") < 60


def test_refused_inputs_are_counted_by_reason(client: TestClient) -> None:
    for kind in ("animated gif", "animated png", "svg"):
        parts(client, {}, UNUSABLE[kind][0])
    parts(client, {"description": "x"})
    client.post("/predict", content=b"x")
    client.post("/predict", json={"designation": 1})
    counted = {
        reason: value(client, "rejected_inputs_total", reason=reason)
        for reason in ("animated", "unreadable", "no_input", "content_type", "validation")
    }
    expected = {"animated": 2, "unreadable": 1, "no_input": 1, "content_type": 1, "validation": 1}
    assert counted == expected


def test_requests_are_counted_by_route_method_and_status(client: TestClient) -> None:
    client.get("/status")
    client.post("/predict", json={})
    client.post("/predict_code", json={"designation": "livre"})
    for handler, method, status in (
        ("/status", "GET", "200"),
        ("/predict", "POST", "422"),
        ("/predict_code", "POST", "200"),
    ):
        labels = {"handler": handler, "method": method, "status": status}
        assert value(client, "http_requests_total", **labels) == 1


def test_labels_stay_few_whatever_callers_send(client: TestClient) -> None:
    client.get("/a"), client.get("/b")
    client.request("SPAM", "/status"), client.request("SPAM2", "/status")
    found = read(client.get("/metrics").text)
    handlers = {dict(labels).get("handler") for _, labels in found} - {None}
    methods = {dict(labels).get("method") for _, labels in found} - {None}
    assert (handlers, methods) == ({"none", "/status"}, {"GET", "other"})


def test_reading_metrics_is_the_one_request_in_flight(client: TestClient) -> None:
    client.get("/status")
    assert value(client, "requests_in_flight") == 1
