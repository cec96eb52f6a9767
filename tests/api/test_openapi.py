"""The OpenAPI document: complete, true, and in French where users read it."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from tests.api import service
from tests.api.service import RED, parts

HTTP = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    read: dict[str, Any] = client.get("/openapi.json").json()
    return read


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in HTTP
    ]


def test_every_route_of_the_design_is_described(document: dict[str, Any]) -> None:
    described = {name for name, _ in operations(document)}
    routes = {"get /", "get /status", "get /ready", "get /model", "post /token", "post /predict"}
    assert routes | {"post /feedback"} <= described
    assert "get /metrics" not in described


def test_every_route_has_a_tag_a_summary_and_a_description(document: dict[str, Any]) -> None:
    known = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert set(operation["tags"]) <= known, name
        assert operation["tags"], name
        assert operation["summary"], name
        assert operation["description"], name


def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    reference = {"$ref": "#/components/schemas/ProblemDetails"}
    expected = {"application/problem+json": {"schema": reference}}
    for name, operation in operations(document):
        errors = {s: r for s, r in operation["responses"].items() if not s.startswith("2")}
        assert "500" in errors, name
        assert all(error["content"] == expected for error in errors.values()), name
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_predict_tells_every_answer_it_gives(document: dict[str, Any]) -> None:
    predict = document["paths"]["/predict"]["post"]
    errors = {"400", "401", "403", "408", "409", "413", "415", "422", "429", "500", "503"}
    assert predict["responses"].keys() == {"200"} | errors
    assert predict["requestBody"]["content"].keys() == {"multipart/form-data", "application/json"}
    assert predict["security"]


def test_the_token_route_is_where_the_document_says(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] in {"token", "/token"}


def validator(document: dict[str, Any], reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": document["components"]})


@pytest.mark.parametrize("path", ["/", "/status", "/ready", "/model"])
def test_answers_are_as_described(client: TestClient, document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    reference = content["application/json"]["schema"]["$ref"]
    validator(document, reference).validate(client.get(path).json())


def test_predictions_and_problems_are_as_described(
    client: TestClient, document: dict[str, Any]
) -> None:
    prediction = validator(document, "#/components/schemas/Prediction")
    prediction.validate(parts(client, {"designation": "livre"}, RED).json())
    problem = validator(document, "#/components/schemas/ProblemDetails")
    for answer in (client.get("/nowhere"), parts(client, {}, b""), client.post("/token")):
        problem.validate(answer.json())


def test_examples_are_right(client: TestClient, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Prediction", "ProblemDetails"):
        check = validator(document, f"#/components/schemas/{name}")
        assert schemas[name]["examples"]
        for example in schemas[name]["examples"]:
            check.validate(example)
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["schema"]["examples"]:
        assert client.post("/predict", json=example).status_code == 200
