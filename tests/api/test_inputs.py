"""Raw products become model inputs, and what can't is refused with a reason."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from api.inputs import ImageError, clean_text, decode_image, join_text
from tests.api import photos

# Pillow warns of broken EXIF data and of large images; both are dealt with.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF data:UserWarning", "ignore::PIL.Image.DecompressionBombWarning"
)
REASONS = {"empty", "unreadable", "truncated", "too_large", "animated"}


@pytest.mark.parametrize("kind", photos.USABLE)
def test_usable_images_become_pixels(kind: str) -> None:
    data, colour = photos.USABLE[kind]
    pixels = decode_image(data, 8)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
    np.testing.assert_allclose(pixels.reshape(-1, 3), [colour] * 64, atol=2)


@pytest.mark.parametrize("kind", photos.UNUSABLE)
def test_unusable_images_are_refused_with_a_reason(kind: str) -> None:
    data, reason = photos.UNUSABLE[kind]
    with pytest.raises(ImageError, match=f"image {reason}: ") as caught:
        decode_image(data, 8)
    assert caught.value.reason == reason


def test_photos_are_turned_as_exif_says() -> None:
    pixels = decode_image(photos.rotated(), 8)
    np.testing.assert_allclose(pixels[1, 4], (255, 0, 0), atol=10)
    np.testing.assert_allclose(pixels[6, 4], (0, 0, 255), atol=10)


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
def test_reduced_decoding_is_close_to_full_decoding(resampling: str) -> None:
    """JPEG files are decoded at a half or a quarter where that is enough."""
    waves = 127 + 120 * np.sin(np.linspace(0, 9, 500)[:, None, None] + np.arange(500)[:, None] / 60)
    image = Image.fromarray(np.repeat(waves, 3, axis=2).astype(np.uint8))
    reduced = decode_image(photos.packed(image, "JPEG", quality=95), 96, resampling)
    full = decode_image(photos.packed(image, "PNG"), 96, resampling)
    assert np.abs(reduced.astype(int) - full).mean() < 2


def test_threads_decode_alike_and_leave_the_warnings_alone() -> None:
    kinds = [data for data, _ in (photos.USABLE | photos.UNUSABLE).values()] * 8

    def decoded(data: bytes) -> bytes:
        try:
            return decode_image(data, 16).tobytes()
        except ImageError as error:
            return error.reason.encode()

    alone = [decoded(data) for data in kinds]
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decoded, kinds))
    assert together == alone
    assert warnings.filters == filters


@given(data=st.binary(max_size=300))
def test_any_bytes_are_pixels_or_an_image_error(data: bytes) -> None:
    for start in (b"", photos.JPEG[:200], photos.PNG[:60], b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 "):
        try:
            outcome: object = decode_image(start + data, 4).shape
        except ImageError as error:
            outcome = error.reason
        assert outcome in {(4, 4, 3), *REASONS}


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (None, ""),
        ("", ""),
        ("  deux \n\t mots  ", "deux mots"),
        ("<p>Un&nbsp;<b>été</b></p><br/>fin", "Un été fin"),
        ("caf&eacute; &amp; th&eacute;", "café & thé"),
        ("dÃ©jÃ  vu", "déjà vu"),
        ("prix < 5 & plus", "prix < 5 & plus"),
        ("<script>alert(1)</script>jeu", "jeu"),
    ],
)
def test_text_is_cleaned(raw: str | None, clean: str) -> None:
    assert clean_text(raw) == clean


def test_title_and_description_stand_on_lines_of_their_own() -> None:
    assert join_text("un  jeu", "<p>neuf\nici</p>") == "un jeu\nneuf ici"
    assert join_text("un jeu", None) == "un jeu"
    assert join_text(None, "neuf") == "\nneuf"
    assert join_text(None, "<br>") == ""


@given(text=st.text(max_size=200))
def test_clean_text_is_one_line_and_stays_clean(text: str) -> None:
    """Whatever the input: no line breaks, no spaces at the ends, none doubled."""
    clean = clean_text(text)
    assert clean == " ".join(clean.split())
    assert join_text(text, text).count("\n") == (1 if clean else 0)
