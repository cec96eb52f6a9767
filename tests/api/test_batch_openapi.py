"""What the OpenAPI document tells of /predict/batch: complete, and true."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.api import batch_files, service
from tests.api.batch_files import as_csv, read, send
from tests.api.service import LIMITLESS

LINES = ("BatchPrediction", "BatchFault", "BatchSummary", "BatchFailure")
KEEP = examples(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served"), batch_limit=LIMITLESS) as made:
        yield made


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    read: dict[str, Any] = client.get("/openapi.json").json()
    return read


@pytest.fixture(scope="module")
def operation(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"]["/predict/batch"]["post"]
    return found


def validator(document: dict[str, Any], kind: str) -> Draft202012Validator:
    reference = f"#/components/schemas/{kind}"
    return Draft202012Validator({"$ref": reference, "components": document["components"]})


def check(document: dict[str, Any], line: dict[str, Any]) -> str:
    """The one kind of line that it is."""
    kinds = [kind for kind in LINES if validator(document, kind).is_valid(line)]
    assert len(kinds) == 1, line
    return kinds[0]


def test_it_tells_every_answer_it_gives(operation: dict[str, Any]) -> None:
    errors = {"400", "401", "403", "408", "409", "413", "415", "422", "429", "500", "503"}
    assert operation["responses"].keys() == {"200"} | errors
    assert operation["security"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["start_row"]
    assert operation["responses"]["200"]["content"].keys() == {"application/x-ndjson", "text/csv"}


def test_examples_of_bodies_are_taken(client: TestClient, operation: dict[str, Any]) -> None:
    examples = {
        kind: content["example"]
        for kind, content in operation["requestBody"]["content"].items()
        if "example" in content
    }
    assert examples.keys() == {"text/csv", "application/x-ndjson", "application/jsonl"}
    for kind, example in examples.items():
        answer = client.post(
            "/predict/batch", content=example.encode(), headers={"Content-Type": kind}
        )
        assert read(answer.content)[-1]["summary"]["predicted"] == 2


def test_examples_of_lines_are_such_lines(
    document: dict[str, Any], operation: dict[str, Any]
) -> None:
    shown = operation["responses"]["200"]["content"]["application/x-ndjson"]["examples"]
    kinds = [
        [check(document, line) for line in read(one["value"].encode())] for one in shown.values()
    ]
    assert kinds == [
        ["BatchPrediction", "BatchFault", "BatchSummary"],
        ["BatchPrediction", "BatchFailure"],
    ]


def test_lines_are_as_described(client: TestClient, document: dict[str, Any]) -> None:
    content = batch_files.challenge(3) + b'x,,,,\n"x,,,,\nx\n'
    told = read(send(client, content, batch_files.photos([1])).content)
    kinds = [check(document, line) for line in told]
    assert kinds == ["BatchPrediction"] * 3 + ["BatchFault"] * 3 + ["BatchSummary"]


@KEEP
@given(st.lists(st.tuples(*[st.text(max_size=20)] * 5), max_size=8), st.booleans())
def test_any_cells_are_answered_row_by_row(
    client: TestClient, document: dict[str, Any], rows: list[tuple[str, ...]], named: bool
) -> None:
    header = batch_files.HEADER[:-1] + (["image"] if named else ["imageid"])
    content = as_csv([header, *rows]).decode(errors="replace").encode()
    told = read(send(client, content, batch_files.photos([1])).content)
    assert {check(document, line) for line in told[:-1]} <= {"BatchPrediction", "BatchFault"}
    assert check(document, told[-1]) == "BatchSummary"
    assert [line["row"] for line in told[:-1]] == list(range(1, len(told)))


@KEEP
@given(st.binary(max_size=300))
def test_any_body_is_answered(client: TestClient, body: bytes) -> None:
    kinds = ("text/csv", "application/x-ndjson", "multipart/form-data; boundary=b")
    for kind in kinds:
        for content in (body, b"designation\n" + body, b'{"designation": "x"}\n' + body):
            answer = client.post("/predict/batch", content=content, headers={"Content-Type": kind})
            assert answer.status_code in {200, 400, 422}


@KEEP
@given(st.binary(max_size=300))
def test_any_archive_is_answered(client: TestClient, junk: bytes) -> None:
    whole = batch_files.photos([0, 1])
    at = len(junk) * 7 % len(whole)
    for archive in (junk, whole[:at] + junk + whole[at + len(junk) :]):
        assert send(client, batch_files.challenge(2), archive).status_code in {200, 422}
