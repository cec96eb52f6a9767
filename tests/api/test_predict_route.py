"""POST /predict: what it takes, what it answers, what it keeps."""

import base64
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from api import bundle
from api.bundle import Product
from api.store import PredictionRecord
from tests.api import photos, service
from tests.api.photos import NOISE, UNUSABLE, USABLE, packed
from tests.api.service import RED, parts

KEEP = examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with service.client(folder) as made:
        yield made


def kept(client: TestClient, request_id: str) -> PredictionRecord | None:
    return client.app.state.store.prediction(request_id)


def reason(answer) -> tuple[int, str]:
    """Status, and the last word of the problem's type."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


def test_a_prediction_is_what_the_bundle_says(client: TestClient, folder: Path) -> None:
    answer = parts(client, {"designation": "livre"}, RED)
    opened = bundle.load(folder / "bundle")
    expected = opened.probabilities([Product("livre", image=RED)])[0]
    told = answer.json()
    assert (answer.status_code, told["model_version"]) == (200, opened.version)
    assert told["predicted"] == opened.labels[expected.argmax()]["code"]
    assert told["confidence"] == pytest.approx(expected.max(), abs=1e-6)
    scores = [scored["confidence"] for scored in told["predictions"]]
    assert scores == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
    assert told["message"] == "Code proposé : 10 (Livres d'occasion)"
    assert told["request_id"] == answer.headers["X-Request-ID"]


def test_json_with_base64_is_the_same_as_a_form(client: TestClient) -> None:
    fields = {"designation": "manette", "description": "<b>jouet</b>", "product_id": 7}
    body = {**fields, "image": base64.b64encode(RED).decode()}
    as_json = client.post("/predict", json=body).json()
    as_form = parts(client, {name: str(value) for name, value in fields.items()}, RED).json()
    assert as_json["predictions"] == as_form["predictions"]


def test_predict_code_is_the_same(client: TestClient) -> None:
    both = [client.post(f"/predict{end}", json={"designation": "jouet"}) for end in ("", "_code")]
    assert both[0].json()["predictions"] == both[1].json()["predictions"]


def test_only_so_many_codes_are_told(tmp_path: Path) -> None:
    with service.client(tmp_path, top_k=2) as made:
        assert len(parts(made, {"designation": "livre"}).json()["predictions"]) == 2


def test_a_title_alone_or_an_image_alone_is_enough(client: TestClient) -> None:
    assert parts(client, {"designation": "livre"}).json()["predicted"] == 10
    assert parts(client, {}, RED).json()["predicted"] == 10


def test_a_file_field_left_empty_in_a_browser_is_no_image(client: TestClient) -> None:
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = part.format("designation", "livre") + part.format("product_id", "")
    body += part.format('image"; filename="', "").replace("\r\n\r\n", "\r\n\r\n", 1) + "--b--\r\n"
    answer = client.post("/predict", content=body, headers=boundary)
    assert answer.status_code == 200
    assert kept(client, answer.json()["request_id"]).has_image is False


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"description": "une piscine"},
        {"designation": " \t\n"},
        {"designation": "<p>&nbsp;</p><script>livre</script>"},
    ],
)
def test_neither_title_nor_image_is_refused(client: TestClient, fields: dict[str, str]) -> None:
    assert reason(parts(client, {"product_identifier": "x", **fields})) == (422, "no_input")
    assert reason(client.post("/predict", json=fields)) == (422, "no_input")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", USABLE)
def test_every_usual_image_is_taken(client: TestClient, kind: str) -> None:
    assert parts(client, {}, USABLE[kind][0]).status_code == 200


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_image_is_refused_with_its_reason(client: TestClient, kind: str) -> None:
    image, why = UNUSABLE[kind]
    for answer in (
        parts(client, {"designation": "livre"}, image),
        client.post("/predict", json={"image": base64.b64encode(image).decode()}),
    ):
        assert reason(answer) == (422, "image")
        assert answer.json()["reason"] == why


def test_limits_on_image_and_text_are_kept_to_the_byte(tmp_path: Path) -> None:
    limits = {"max_image_bytes": len(RED), "max_text_characters": 10}
    with service.client(tmp_path, **limits) as made:
        assert parts(made, {"designation": "é" * 10}, RED).status_code == 200
        large = parts(made, {}, RED + b"\0")
        assert (reason(large), large.json()["reason"]) == ((413, "image"), "file_too_large")
        for field in ("designation", "description"):
            fields = {"designation": "livre", field: "é" * 11}
            assert reason(parts(made, fields)) == (422, "text_too_long")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=b; charset=punycode"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ],
)
def test_other_content_types_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/predict", content=b'{"designation": "livre"}', headers=headers)
    assert reason(answer) == (415, "content_type")
    assert answer.headers["Accept-Post"] == "multipart/form-data, application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n\r",
    ],
)
def test_a_malformed_form_is_refused(client: TestClient, body: bytes) -> None:
    for kind in ("multipart/form-data; boundary=b", "multipart/form-data"):
        answer = client.post("/predict", content=body, headers={"Content-Type": kind})
        assert reason(answer) in {(400, "multipart"), (422, "no_input")}


def test_too_many_parts_are_refused(client: TestClient) -> None:
    answer = client.post("/predict", files=[("designation", (None, "x"))] * 20)
    assert reason(answer) == (400, "multipart")


@pytest.mark.parametrize(
    "body",
    [
        '{"designation": "s3cret", "title": "s3cret"}',
        '{"designation": ["s3cret"]}',
        '["s3cret"]',
        '{"designation": "s3cret',
        '{"designation": "x", "product_id": "s3cret"}',
        '{"designation": "x", "product_id": -1}',
        '{"designation": "x", "imageid": 9223372036854775808}',
        '{"image": "s3cret!"}',
        '{"designation": "x", "product_identifier": "%s"}' % ("s3cret" * 40),
        "[" * 5000,
        "",
    ],
)
def test_wrong_json_is_refused_and_not_repeated(client: TestClient, body: str) -> None:
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert reason(answer) == (422, "validation")
    assert answer.json()["errors"][0]["loc"][0] == "body"
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    "files",
    [
        [("image", (None, "text"))],
        [("designation", ("file.txt", b"livre"))],
        [("designation", (None, "a")), ("designation", (None, "b"))],
        [("titre", (None, "livre"))],
    ],
)
def test_wrong_fields_of_a_form_are_named(client: TestClient, files: list) -> None:
    answer = client.post("/predict", files=files)
    assert reason(answer) == (422, "validation")
    assert answer.json()["errors"][0]["loc"] == ["body", files[-1][0]]


def test_what_is_answered_is_kept_without_the_image(client: TestClient) -> None:
    fields = {
        "product_identifier": "vendeur/7",
        "designation": "livre \x00 & <b>manette</b>",
        "description": "été",
        "product_id": str(2**63 - 1),
        "imageid": "12",
    }
    told = parts(client, fields, RED).json()
    found = kept(client, told["request_id"])
    assert (found.user, found.variant) == (service.USER, "champion")
    assert (found.predicted, found.confidence) == (told["predicted"], told["confidence"])
    assert found.top == [(code["code"], code["confidence"]) for code in told["predictions"]]
    assert found.model_version == told["model_version"]
    assert (found.product_id, found.imageid, found.has_image) == (2**63 - 1, 12, True)
    assert (found.product_identifier, found.description) == ("vendeur/7", "été")


def test_a_request_id_serves_once(client: TestClient) -> None:
    headers = {"X-Request-ID": "mine-1"}
    first = client.post("/predict", json={"designation": "livre"}, headers=headers)
    again = client.post("/predict", json={"designation": "jouet"}, headers=headers)
    assert (first.status_code, reason(again)) == (200, (409, "request_id"))
    assert kept(client, "mine-1").designation == "livre"


def test_nothing_is_answered_that_could_not_be_kept(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        with sqlite3.connect(tmp_path / "service.db") as other:
            other.execute("DROP TABLE feedback")
            other.execute("DROP TABLE predictions")
        other.close()
        answer = made.post("/predict", json={"designation": "livre"})
        counted = made.get("/metrics").text
    assert (reason(answer), answer.headers["Retry-After"]) == ((503, "store"), "5")
    assert "predicted" not in answer.json()
    assert "predictions_total{" not in counted


def test_without_a_token_nothing_is_read(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Authorization": "", "Content-Type": "application/json"}
    assert client.post("/predict", content=b"{}", headers=headers).status_code == 401


def test_a_user_may_predict_so_often(tmp_path: Path) -> None:
    with service.client(tmp_path, predict_limit="2/minute") as made:
        answers = [made.post("/predict", json={"designation": "livre"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
        assert made.post("/predict_code", json={}).status_code == 429


def test_no_temporary_file_is_made(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    image = packed(NOISE.resize((1200, 1200)), "PNG", compress_level=0)
    assert len(image) > 4_000_000
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert parts(client, {}, image).status_code == 200
    assert client.post("/predict", json={"image": base64.b64encode(image).decode()}).is_success


@KEEP
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_answered(client: TestClient, designation: str, description: str) -> None:
    body = {"designation": designation, "description": description}
    answer = client.post("/predict", json=body)
    assert answer.status_code in {200, 422}
    fields = {name: value.encode() for name, value in body.items()}
    assert parts(client, fields).status_code in {200, 422}


@KEEP
@given(st.binary(max_size=200), st.sampled_from([photos.JPEG, photos.PNG, RED]), st.integers(0))
def test_any_image_is_answered(client: TestClient, junk: bytes, image: bytes, at: int) -> None:
    at %= len(image)
    answer = parts(client, {"designation": "livre"}, image[:at] + junk + image[at + len(junk) :])
    assert answer.status_code in {200, 422}


@KEEP
@given(st.binary(max_size=300))
def test_any_body_is_answered(client: TestClient, body: bytes) -> None:
    for kind in ("application/json", "multipart/form-data; boundary=b"):
        answer = client.post("/predict", content=body, headers={"Content-Type": kind})
        assert answer.status_code in {400, 422}
