"""Generated images and texts: whatever they hold, the service answers as documented."""

import base64
import io
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from tests.api import service
from tests.api.photos import UNUSABLE, USABLE, packed
from tests.api.service import parts

HARD = examples(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
SMALL = Image.linear_gradient("L").resize((24, 24)).convert("RGB")
KINDS = {kind: packed(SMALL, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")}
SEEDS = [*KINDS.values(), *(image for image, _ in [*USABLE.values(), *UNUSABLE.values()])]
MAGIC = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0"]

# As served.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served")) as made:
        yield made


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A real file some of whose bytes are changed, lost, doubled or put elsewhere."""
    image = bytearray(draw(st.sampled_from(SEEDS))[:20_000])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(image)))
        end = min(len(image), start + draw(st.integers(0, 64)))
        piece = bytes(image[start:end])
        match draw(st.sampled_from(["change", "lose", "double", "move", "cut", "extreme"])):
            case "change":
                image[start:end] = draw(st.binary(min_size=len(piece), max_size=len(piece)))
            case "lose":
                del image[start:end]
            case "double":
                image[start:start] = piece * draw(st.integers(1, 3))
            case "move":
                at = draw(st.integers(0, len(image)))
                image[at:at] = piece
            case "cut":
                del image[end:]
            case "extreme":
                image[start:end] = draw(st.sampled_from([b"\0", b"\xff", b"\x7f"])) * len(piece)
    return bytes(image)


def check(client: TestClient, image: bytes) -> None:
    """An image is classified, or refused with a reason, whichever way it comes."""
    as_form = parts(client, {"designation": "livre"}, image)
    as_json = client.post("/predict", json={"image": base64.b64encode(image).decode()})
    assert as_form.status_code == as_json.status_code
    if as_form.status_code == 200:
        Image.open(io.BytesIO(image)).close()  # no other is believed to be one
        return
    assert as_form.status_code == 422
    for answer in (as_form, as_json):
        assert answer.json()["type"] == "urn:product-codes:image"
        assert answer.json()["reason"] in {
            "empty",
            "unreadable",
            "truncated",
            "too_large",
            "animated",
        }


@HARD
@given(mutants())
def test_any_broken_photo_is_classified_or_refused(client: TestClient, image: bytes) -> None:
    check(client, image)


@HARD
@given(st.sampled_from([b"", *MAGIC]), st.binary(max_size=2_000))
def test_any_bytes_are_classified_or_refused(client: TestClient, magic: bytes, rest: bytes) -> None:
    check(client, magic + rest)


TAGS = ["<", ">", "</", "<!--", "-->", "<![CDATA[", "&", "&#", "&#x110000;", "&nbsp;", "<script>"]
ODD = ["\x00", "\x1b[31m", "\u202e", "\ufeff", "\ud7ff", "\r\nX: y", "Ã©", "â€™", "😀", '"', "'"]
ATTACKS = ["' OR 1=1 --", "{{7*7}}", "${jndi:ldap://x}", "../../etc/passwd", "%s%n", "<svg>", "<p"]
MARKUP = st.sampled_from([*TAGS, *ODD, *ATTACKS])
TEXTS = st.lists(MARKUP | st.text(max_size=40), max_size=30).map("".join)


@HARD
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_is_classified_or_refused(
    client: TestClient, designation: str, description: str, identifier: str
) -> None:
    body = {"designation": designation, "description": description}
    answer = client.post("/predict", json={**body, "product_identifier": identifier[:200]})
    assert answer.status_code in {200, 422}
    if answer.status_code == 422:
        assert answer.json()["type"] == "urn:product-codes:no_input"
        return
    assert "x" not in answer.headers
    kept = client.app.state.store.prediction(answer.json()["request_id"])  # type: ignore[attr-defined]
    assert kept.designation == designation.replace("\x00", "\ufffd")


@HARD
@given(
    st.sampled_from([20_000, 19_999]),
    st.sampled_from(["<b>", "&amp;", "é", "👩‍👩‍👧", " ", "<!--", "["]),
)
def test_long_texts_are_classified_quickly(client: TestClient, size: int, piece: str) -> None:
    """Nesting and entities up to the limit of length."""
    text = "livre " + (piece * size)[: size - 6]
    answer = client.post("/predict", json={"designation": "livre", "description": text})
    assert answer.status_code == 200
