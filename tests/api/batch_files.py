"""Files of products for batches, and how their answers are read."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient

from api.archive import image_name
from tests.api.service import RED

HEADER = ["", "designation", "description", "productid", "imageid"]
CSV_TYPE = {"Content-Type": "text/csv"}
JSON_TYPE = {"Content-Type": "application/x-ndjson"}
WORDS = ("livre", "manette", "jouet", "piscine")


def as_csv(rows: Iterable[Iterable[Any]], separator: str = ",") -> bytes:
    """As the csv module writes it."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def challenge(rows: int) -> bytes:
    """A catalogue in the challenge's columns."""
    return as_csv([HEADER, *(product(number) for number in range(rows))])


def product(number: int) -> list[Any]:
    text = f"{WORDS[number % 4]} n°{number}"
    return [number + 500, text, "<p>&eacute;</p>" if number % 3 else "", number, number + 10_000]


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def photos(numbers: Iterable[int], content: bytes = RED) -> bytes:
    """The images of these products of `challenge`."""
    return zipped({f"image_train/{image_name(n + 10_000, n)}": content for n in numbers})


def send(
    client: TestClient, products: bytes, images: bytes | None = None, **given: Any
) -> httpx.Response:
    """A multipart form, as curl -F sends it."""
    files = {"products": ("products.csv", products)}
    if images is not None:
        files["images"] = ("images.zip", images)
    return client.post("/predict/batch", files=files, **given)


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    """All but the summary, which has to be there."""
    assert answer.status_code == 200, answer.text
    *told, last = read(answer.content)
    assert last.keys() == {"summary"}
    return told


def summary(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = read(answer.content)[-1]["summary"]
    return told


def read(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def write_folder(folder: Path, numbers: Iterable[int]) -> Path:
    """The same images, unpacked."""
    (folder / "image_train").mkdir(parents=True)
    for number in numbers:
        (folder / "image_train" / image_name(number + 10_000, number)).write_bytes(RED)
    return folder
