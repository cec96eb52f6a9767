"""The local service, over a real bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api import bundle
from api.bundle import BundleError, Product
from api.main import create_app
from api.settings import Settings
from tests.stages import tiny_catalogue

RED = tiny_catalogue.photo(10, 0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_catalogue.write_bundle(tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(bundle_dir=path, max_image_bytes=100_000))) as client:
        yield client


def test_root_welcomes(client: TestClient) -> None:
    assert "Bienvenue" in client.get("/").json()["message"]


def test_status_is_the_briefs(client: TestClient) -> None:
    assert client.get("/status").json() == {"status": "L'API fonctionne correctement"}


def test_a_prediction_is_what_the_bundle_says(client: TestClient, path: Path) -> None:
    answer = client.post("/predict", data={"designation": "livre"}, files={"image": RED}).json()
    opened = bundle.load(path)
    expected = opened.probabilities([Product("livre", image=RED)])[0]
    assert answer["model_version"] == opened.version
    assert answer["predicted"] == opened.labels[expected.argmax()]["code"]
    assert answer["confidence"] == pytest.approx(expected.max(), abs=1e-5)
    scores = [scored["confidence"] for scored in answer["predictions"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("form", [{"designation": "livre"}, {"description": "livre"}])
def test_text_alone_is_enough(client: TestClient, form: dict) -> None:
    assert client.post("/predict", data=form).json()["predicted"] == 10


def test_an_image_alone_is_enough(client: TestClient) -> None:
    assert client.post("/predict", files={"image": RED}).json()["predicted"] == 10


def test_nothing_at_all_is_refused(client: TestClient) -> None:
    answer = client.post("/predict", data={"designation": "  "})
    assert (answer.status_code, "titre ou une image" in answer.text) == (422, True)


def test_a_broken_image_is_refused_with_its_reason(client: TestClient) -> None:
    answer = client.post("/predict", files={"image": b"no image"})
    assert (answer.status_code, "unreadable" in answer.text) == (422, True)


def test_a_large_image_is_refused(client: TestClient) -> None:
    assert client.post("/predict", files={"image": b"x" * 100_001}).status_code == 413


def test_model_tells_what_is_served(client: TestClient, path: Path) -> None:
    told = client.get("/model").json()
    assert told["model_version"] == bundle.version(path)
    assert [label["code"] for label in told["labels"]] == [10, 40, 1280, 2583]


def test_metrics_are_exposed(client: TestClient) -> None:
    client.get("/status")
    assert 'http_requests_total{handler="/status"' in client.get("/metrics").text


def test_without_a_bundle_it_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match="dvc pull"),
        TestClient(create_app(Settings(bundle_dir=tmp_path))),
    ):
        pass
