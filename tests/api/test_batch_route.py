"""POST /predict/batch: what it takes, what it answers, what it keeps, what it refuses."""

import asyncio
import base64
import csv
import io
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.batches import route
from api.batches.csv_lines import CSV_COLUMNS
from api.problems import MEDIA_TYPE
from tests.api import batch_files, service
from tests.api.batch_files import (
    CSV_TYPE,
    HEADER,
    JSON_TYPE,
    as_csv,
    as_json_lines,
    challenge,
    lines,
    read,
    send,
    summary,
    zipped,
)
from tests.api.photos import UNUSABLE
from tests.api.service import LIMITLESS, RED, parts


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served"), batch_limit=LIMITLESS) as made:
        yield made


def post(client: TestClient, content: bytes, **headers: str):
    return client.post("/predict/batch", content=content, headers=CSV_TYPE | headers)


def refusal(answer) -> tuple[int, str, str | None]:
    """Status, the last word of the problem's type, its reason."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert told["request_id"] == answer.headers["X-Request-ID"]
    return answer.status_code, told["type"].rsplit(":", 1)[-1], told.get("reason")


def metric(client: TestClient, name: str) -> float:
    told = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in told if line.startswith(name))


def open_files() -> set[str]:
    """What this process has open that has no name any more: spooled uploads among them."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(file.readlink()))
    return {target for target in found if target.endswith("(deleted)")}


def test_each_row_is_answered_as_predict_answers_it(client: TestClient) -> None:
    answer = send(client, challenge(4), batch_files.photos([0, 1]))
    told = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["row"] for line in told] == [1, 2, 3, 4]
    assert [line["has_image"] for line in told] == [True, True, False, False]
    for number, line in enumerate(told):
        _, title, description, productid, imageid = batch_files.product(number)
        single = parts(
            client,
            {"designation": title, "description": description},
            RED if number < 2 else None,
        ).json()
        assert line["predictions"] == single["predictions"]
        assert {name: line[name] for name in ("predicted", "label", "confidence")} == {
            name: single[name] for name in ("predicted", "label", "confidence")
        }
        ids = ("product_identifier", "product_id", "imageid")
        assert [line[name] for name in ids] == [str(number + 500), productid, imageid]
        assert line["model_version"] == single["model_version"]


def test_the_last_line_sums_up(client: TestClient) -> None:
    content = as_csv([["designation", "prix"], ["livre", 3], ["", 4], ["jouet", 5]])
    answer = post(client, content)
    told = summary(answer)
    assert told.pop("model_version") == client.app.state.bundle.version
    assert told == {
        "start_row": 1,
        "rows": 3,
        "predicted": 2,
        "errors": 1,
        "without_image": 2,
        "ignored_columns": ["prix"],
        "request_id": answer.headers["X-Request-ID"],
    }


def test_a_file_without_rows_is_summed_up(client: TestClient) -> None:
    assert summary(post(client, b"designation\n"))["rows"] == 0


def test_raw_json_lines_with_images_in_base64(client: TestClient) -> None:
    rows = [
        {"designation": "livre", "image": base64.b64encode(RED).decode()},
        {"image": base64.b64encode(RED).decode(), "product_identifier": "=1+1\n"},
        {"designation": "livre", "image": base64.b64encode(b"junk").decode()},
    ]
    for kind in ("application/x-ndjson", "application/jsonl; charset=utf-8"):
        answer = client.post(
            "/predict/batch", content=as_json_lines(rows), headers={"Content-Type": kind}
        )
        first, second, third = lines(answer)
        assert (
            first["predictions"]
            == parts(client, {"designation": "livre"}, RED).json()["predictions"]
        )
        assert (second["has_image"], second["product_identifier"]) == (True, "=1+1\n")
        assert third["error"]["reason"] == "unreadable"


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_image_is_its_rows_error_with_predicts_words(
    client: TestClient, kind: str
) -> None:
    image, why = UNUSABLE[kind]
    archive = zipped({"a": image, "b": RED})
    content = as_csv([["designation", "image"], ["livre", "a"], ["livre", "b"]])
    bad, good = lines(send(client, content, archive))
    single = parts(client, {"designation": "livre"}, image).json()
    del single["request_id"]
    assert bad["error"] == single
    assert (bad["error"]["reason"], good["has_image"]) == (why, True)


def test_images_are_found_by_name(client: TestClient) -> None:
    files = {"x/photo.png": RED, "y/other.jpg": RED, "z/other.jpg": RED + b"2", "é.jpg": RED}
    names = ["photo.png", "x/photo.png", "y/other.jpg", "é.jpg", "other.jpg", "nothing.jpg"]
    content = as_csv([["designation", "image"], *(["livre", name] for name in names)])
    told = lines(send(client, content, zipped(files)))
    assert [line.get("has_image") for line in told] == [True] * 4 + [None] * 2
    assert [line["error"]["reason"] for line in told[4:]] == ["not_found"] * 2
    rows = as_json_lines([{"designation": "livre", "image": name} for name in names])
    told = lines(send(client, rows, zipped(files)))
    assert [line.get("has_image") for line in told] == [True] * 4 + [None] * 2


def test_an_image_named_without_an_archive_is_an_error(client: TestClient) -> None:
    (told,) = lines(post(client, b"designation,image\nlivre,a.jpg\n"))
    assert told["error"]["reason"] == "not_found"


def test_an_image_alone_is_enough(client: TestClient) -> None:
    content = as_csv([["productid", "imageid"], [0, 10_000], [1, 10_001]])
    first, second = lines(send(client, content, batch_files.photos([0])))
    assert first["has_image"] is True
    assert second["error"]["type"] == "urn:product-codes:no_input"


def test_errors_of_rows_are_counted_and_leave_nothing_in_the_store(client: TestClient) -> None:
    before = (
        metric(client, 'rejected_inputs_total{reason="no_input"'),
        metric(client, "predictions_total{"),
    )
    stored = client.app.state.store.counts().predictions
    lines(post(client, b"designation,description\nlivre,\n,x\n<br>,\nmanette,\n"))
    assert metric(client, 'rejected_inputs_total{reason="no_input"') - before[0] == 2
    assert metric(client, "predictions_total{") - before[1] == 2
    assert client.app.state.store.counts().predictions - stored == 2


def test_what_is_answered_is_kept_and_can_be_corrected(client: TestClient) -> None:
    told = lines(
        send(client, challenge(40), batch_files.photos([33]), headers={"X-Request-ID": "batch-1"})
    )
    assert [line["request_id"] for line in told] == [f"batch-1.{n}" for n in range(1, 41)]
    found = client.app.state.store.prediction("batch-1.34")
    assert (found.user, found.predicted) == (service.USER, told[33]["predicted"])
    assert (found.product_id, found.imageid, found.has_image) == (33, 10_033, True)
    assert (found.product_identifier, found.designation) == ("533", "manette n°33")
    assert found.top == [(one["code"], one["confidence"]) for one in told[33]["predictions"]]
    correction = {"request_id": told[33]["request_id"], "code": 10}
    assert client.post("/feedback", json=correction).status_code == 201


def test_a_request_id_serves_once(client: TestClient) -> None:
    headers = {"X-Request-ID": "batch-2"}
    lines(post(client, challenge(3), **headers))
    assert refusal(post(client, challenge(3), **headers)) == (409, "request_id", None)


def test_a_batch_is_resumed_by_row_number(client: TestClient) -> None:
    whole = lines(post(client, challenge(50)))
    answer = client.post(
        "/predict/batch", params={"start_row": 34}, content=challenge(50), headers=CSV_TYPE
    )
    rest = lines(answer)
    for line in (*whole, *rest):
        del line["request_id"]
    assert rest == whole[33:]
    assert (summary(answer)["start_row"], summary(answer)["rows"]) == (34, 17)


@pytest.mark.parametrize("start", ["0", "-1", "x", "9" * 30])
def test_a_wrong_start_is_refused(client: TestClient, start: str) -> None:
    answer = client.post(f"/predict/batch?start_row={start}", content=b"", headers=CSV_TYPE)
    assert refusal(answer)[:2] == (422, "validation")


def test_csv_for_whoever_asks_for_it(client: TestClient) -> None:
    rows = [HEADER, ["=cmd|' /C calc'!A0", "livre", "", 1, 2], ["+1", "", "x", 3, 4]]
    rows += [
        ["-1\n=2", "livre", "", 5, 6],
        ["\t=3", "livre", "", "", ""],
        ["'x", "jouet", "", "", ""],
    ]
    answer = send(client, as_csv(rows, ";"), headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *told, last = csv.reader(io.StringIO(answer.text), delimiter=";")
    assert tuple(header) == CSV_COLUMNS
    found = [dict(zip(header, cells, strict=True)) for cells in told]
    assert [cells["row"] for cells in found] == ["1", "2", "3", "4", "5"]
    identifiers = [cells["product_identifier"] for cells in found]
    assert identifiers == ["'=cmd|' /C calc'!A0", "'+1", "'-1 =2", "'=3", "'x"]
    assert (found[0]["predicted"], found[0]["label"]) == ("10", "Livres d'occasion")
    assert (found[1]["predicted"], found[1]["error"]) == ("", "no_input")
    assert found[1]["detail"].startswith("Envoyez un titre")
    assert (last[0], last[-1]) == (
        "summary",
        "start_row=1 rows=5 predicted=4 errors=1 without_image=4 ignored_columns=",
    )
    kept = client.app.state.store.prediction(found[0]["request_id"])
    assert kept.product_identifier == "=cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/zip"},
        {"Content-Type": "text/csv; charset=iso-8859-1"},
        {"Content-Type": "text/csv", "Content-Encoding": "gzip"},
    ],
)
def test_other_content_types_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/predict/batch", content=b"designation\nx\n", headers=headers)
    assert refusal(answer) == (415, "content_type", None)
    assert "application/x-ndjson" in answer.headers["Accept-Post"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"titre\nlivre\n", "missing_columns"),
        (b"designation,designation\na,b\n", "duplicate_columns"),
        ("designation\nété\n".encode("latin-1"), "encoding"),
    ],
)
def test_an_unusable_file_is_refused_before_anything_is_answered(
    client: TestClient, content: bytes, why: str
) -> None:
    assert refusal(post(client, content)) == (422, "batch", why)
    assert refusal(send(client, content)) == (422, "batch", why)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("images", ("a.zip", b"x"))], (422, "archive", None)),
        ([("products", (None, "designation\nx\n"))], (400, "multipart", None)),
        ([("titre", ("a.csv", b"x"))], (422, "validation", None)),
        ([("products", ("a.csv", b"x")), ("products", ("b.csv", b"x"))], (422, "validation", None)),
    ],
)
def test_a_wrong_form_is_refused(client: TestClient, files: list, expected: tuple) -> None:
    before = open_files()
    if files[0][0] == "images":
        files = [("products", ("a.csv", b"designation\nx\n")), *files]
    assert refusal(client.post("/predict/batch", files=files)) == expected
    assert open_files() == before


def test_a_form_without_products_is_refused(client: TestClient) -> None:
    answer = client.post("/predict/batch", files={"images": ("a.zip", batch_files.photos([1]))})
    assert refusal(answer) == (422, "batch", "no_products")


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image_1_product_1.jpg", bytes(10_000_000))
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(zipped({"a.jpg": RED}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("archive", "explanation"),
    [
        (b"junk", "not a whole zip file"),
        (zipped({"a.jpg": RED})[:-10], "not a whole zip file"),
        (bomb(), "unpacks to more than 200 times its size"),
        (zipped({"../a.jpg": RED}), "leads out of the archive"),
        (zipped({"/etc/a.jpg": RED}), "absolute path"),
        (zipped({"a.zip": zipped({"b.jpg": RED})}), "an archive inside the archive"),
        (encrypted(), "is encrypted"),
    ],
)
def test_a_hostile_archive_is_refused(client: TestClient, archive: bytes, explanation: str) -> None:
    before = open_files()
    answer = send(client, challenge(1), archive)
    assert refusal(answer) == (422, "archive", None)
    assert explanation in answer.json()["explanation"]
    assert "/proc" not in answer.text
    assert open_files() == before


def test_an_entry_that_is_corrupt_is_its_rows_error(client: TestClient) -> None:
    archive = bytearray(batch_files.photos([0, 1]))
    archive[archive.index(RED) + 20] ^= 0xFF
    first, second = lines(send(client, challenge(2), bytes(archive)))
    assert first["error"]["reason"] == "archive_entry"
    assert second["has_image"] is True


def test_limits_are_kept_to_the_byte_and_the_row(tmp_path: Path) -> None:
    content = challenge(5)
    archive = batch_files.photos([0])
    limits = {
        "max_batch_bytes": len(content),
        "max_archive_bytes": len(archive),
        "max_batch_rows": 5,
        "max_image_bytes": len(RED),
        "batch_limit": LIMITLESS,
    }
    with service.client(tmp_path, **limits) as made:
        before = open_files()
        assert len(lines(send(made, content, archive))) == 5
        assert len(lines(post(made, content))) == 5
        longer = content.rstrip(b"\n") + b"\n\n"
        for answer in (post(made, longer), send(made, longer), send(made, content, archive + b"0")):
            assert refusal(answer) == (413, "body_too_large", None)
            assert answer.json()["limit_bytes"] in {len(content), len(archive)}
        many = as_csv([["designation"], *([word] for word in "abcdef")])
        assert refusal(post(made, many)) == (413, "batch", "too_many_rows")
        large = zipped({"a": RED + b"0"})
        (told,) = lines(send(made, b"designation,image\nx,a\n", large))
        assert told["error"]["reason"] == "file_too_large"
        assert open_files() == before


def test_line_breaks_within_fields_are_no_rows(tmp_path: Path) -> None:
    with service.client(tmp_path, max_batch_rows=1) as made:
        assert len(lines(post(made, b'designation\n"livre\n\n\nde\npoche"\n'))) == 1


def test_a_user_may_send_so_many(tmp_path: Path) -> None:
    with service.client(tmp_path, batch_limit="1/hour", predict_limit="1/minute") as made:
        assert post(made, challenge(1)).status_code == 200
        limited = post(made, challenge(1))
        assert refusal(limited) == (429, "limit", None)
        assert int(limited.headers["Retry-After"]) > 60
        assert parts(made, {"designation": "livre"}).status_code == 200


def test_without_a_token_nothing_is_read(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = client.post(
        "/predict/batch", content=body(), headers={**CSV_TYPE, "Authorization": ""}
    )
    assert answer.status_code == 401


def test_without_the_scope_it_is_refused(client: TestClient) -> None:
    issued = client.app.state.tokens.issue(service.USER, frozenset({"feedback"}), 1)
    assert post(client, challenge(1), Authorization=f"Bearer {issued}").status_code == 403


def test_nothing_is_answered_that_could_not_be_kept(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        with sqlite3.connect(tmp_path / "service.db") as other:
            other.execute("DROP TABLE feedback")
            other.execute("DROP TABLE predictions")
        other.close()
        answer = post(made, challenge(3))
        assert refusal(answer) == (503, "store", None)
        assert answer.headers["Retry-After"] == "5"
        assert metric(made, "predictions_total{") == 0
        assert made.app.state.batches.free == made.app.state.settings.max_batches


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv"])
def test_what_fails_on_the_way_is_told_in_the_last_line(tmp_path: Path, kind: str) -> None:
    """The database fails after 16 rows have been kept."""
    with service.client(tmp_path) as made:
        with sqlite3.connect(tmp_path / "service.db") as other:
            other.execute(
                "CREATE TRIGGER failing BEFORE INSERT ON predictions WHEN "
                "(SELECT count(*) FROM predictions) >= 16 BEGIN SELECT json('{'); END"
            )
        other.close()
        answer = post(made, challenge(60), Accept=kind)
        assert answer.status_code == 200
        assert made.app.state.store.counts().predictions == 16
    if kind == "text/csv":
        told = answer.text.splitlines()
        assert (len(told), told[-1].split(",")[0]) == (18, "failure")
        assert "start_row=17" in told[-1]
        return
    *told, last = read(answer.content)
    assert [line["row"] for line in told] == list(range(1, 17))
    assert (last["failure"]["type"], last["failure"]["status"]) == ("urn:product-codes:store", 503)
    assert last["failure"]["start_row"] == 17


def test_a_batch_that_takes_too_long_says_where_to_go_on(tmp_path: Path) -> None:
    with service.client(tmp_path, batch_seconds=2) as made:
        *told, last = read(post(made, challenge(20_000)).content)
    assert last["failure"]["type"] == "urn:product-codes:batch_seconds"
    assert last["failure"]["start_row"] == len(told) + 1


def test_only_so_many_at_a_time(client: TestClient) -> None:
    places = client.app.state.batches
    places.free, before = 0, places.free
    try:
        answer = post(client, challenge(1))
    finally:
        places.free = before
    assert refusal(answer) == (503, "busy", None)
    assert answer.headers["Retry-After"] == "30"


def test_a_full_disk_is_told_and_leaves_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    answer = post(client, challenge(1))
    assert refusal(answer) == (503, "no_room", None)
    assert client.app.state.batches.free == client.app.state.settings.max_batches


def test_uploads_have_no_name_and_are_closed(client: TestClient, tmp_path: Path) -> None:
    tempfile.tempdir, before = str(tmp_path), tempfile.tempdir
    seen, opened = [], open_files()
    try:

        def watched() -> Iterator[bytes]:
            yield challenge(2000)
            seen.extend(tmp_path.iterdir())

        lines(client.post("/predict/batch", content=watched(), headers=CSV_TYPE))
        assert len(lines(send(client, challenge(2), batch_files.photos([0, 1])))) == 2
        assert list(tmp_path.iterdir()) == seen == []
    finally:
        tempfile.tempdir = before
    assert open_files() == opened


def test_a_hostile_row_among_others_is_an_error_row(client: TestClient) -> None:
    content = b'designation,description\nlivre,a\n"jouet,\nmanette,b\x00\npiscine,c,d\njouet,\n'
    told = lines(post(client, content))
    assert [line.get("error", {}).get("reason") for line in told] == [
        None,
        "malformed",
        None,
        "columns",
        None,
    ]
    assert (
        lines(client.post("/predict/batch", content=b'{"designation": "x"}\n{', headers=JSON_TYPE))[
            1
        ]["error"]["reason"]
        == "json"
    )


def test_a_client_that_reads_nothing_is_given_up(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection takes the first lines, and then nothing for longer than it may."""
    monkeypatch.setattr(route, "STALLED", 0.1)
    opened, sent = open_files(), []
    headers = {"Content-Type": "text/csv", "Authorization": client.headers["Authorization"]}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict/batch",
        "query_string": b"",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 1),
        "app": client.app,
    }

    async def ask() -> None:
        body = iter([{"type": "http.request", "body": challenge(200), "more_body": False}])

        async def receive() -> dict:
            if message := next(body, None):
                return message
            return await asyncio.Event().wait()

        async def send(message: dict) -> None:
            sent.append(message)
            if len(sent) > 2:
                await asyncio.Event().wait()

        await client.app(scope, receive, send)

    client.portal.call(ask)
    assert [message["type"] for message in sent] == ["http.response.start"] + [
        "http.response.body"
    ] * 2
    assert client.app.state.batches.free == client.app.state.settings.max_batches
    assert open_files() == opened
