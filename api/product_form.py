"""Reads a product out of a request: a multipart form, or JSON with a base64 image."""

import sys
from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import Request
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.problems import Problem, invalid
from api.schemas import ProductInput
from api.settings import Settings

MULTIPART, JSON = "multipart/form-data", "application/json"
CHARSETS = {"utf-8", "utf8", "us-ascii", "iso-8859-1", "latin-1"}
MAX_PARTS = 16
SMALL = 64 * 1024
"""Bytes of JSON that are read at once, without a thread."""


STRUCTURE = 300
"""Commas, or colons, of a product's JSON beside those of its two texts."""


class _InMemory(MultiPartParser):
    """Writes nothing to disk: the body's size is limited already."""

    spool_max_size = sys.maxsize


async def read_product(request: Request) -> ProductInput:
    """The product that a request's body describes.

    Raises:
        Problem: 400, 413, 415 or 422, as README and OpenAPI list them.
    """
    settings: Settings = request.app.state.settings
    if _content_type(request) == MULTIPART:
        product = validated(await _form_fields(request))
    else:
        product = await _from_json(await request.body(), settings)
    check_sizes(product, settings)
    if not (product.image is not None or (product.designation or "").strip()):
        raise missing_input()
    return product


def missing_input() -> Problem:
    """Neither title nor image."""
    return Problem(
        422,
        "Envoyez un titre (designation) ou une image : il n'y a ni l'un ni l'autre.",
        "no_input",
    )


def _content_type(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("content-type"))
    told = kind.decode("latin-1").lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    if told in {MULTIPART, JSON} and encoding == "identity" and charset in CHARSETS:
        return told
    raise Problem(
        415,
        f"Envoyez {MULTIPART} ou {JSON}, en UTF-8 et sans compression.",
        "content_type",
        headers={"Accept-Post": f"{MULTIPART}, {JSON}"},
    )


async def _form_fields(request: Request) -> dict[str, Any]:
    try:
        parser = _InMemory(
            request.headers,
            request.stream(),
            max_files=1,
            max_fields=MAX_PARTS,
            max_part_size=request.app.state.settings.max_body_bytes,
        )
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(
            400, f"Le formulaire multipart est mal formé : {error.message}", "multipart"
        ) from error
    try:
        return _fields(form)
    finally:
        await form.close()


def _fields(form: FormData) -> dict[str, Any]:
    """By name; an empty number, or a file field left empty in a browser, is missing."""
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise _fault(name, "le champ est répété", "repeated")
        if isinstance(value, UploadFile) is not (name == "image"):
            raise _fault(name, "seul « image » est un fichier, et il en est un", "file")
        if isinstance(value, UploadFile):
            fields[name] = value.file.read() if value.filename or value.size else None
        else:
            fields[name] = value or None
    return fields


def _fault(name: str, told: str, kind: str) -> Problem:
    return invalid([{"loc": ("body", name), "msg": told, "type": kind}])


def validated(fields: dict[str, Any]) -> ProductInput:
    """The product of these fields, or a Problem that names the wrong ones."""
    try:
        return ProductInput.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from None


async def _from_json(body: bytes, settings: Settings) -> ProductInput:
    _check_structure(body, settings)
    read = partial(ProductInput.model_validate_json, body)
    try:
        return await anyio.to_thread.run_sync(read) if len(body) > SMALL else read()
    except ValidationError as error:
        raise _invalid(error) from None


def _check_structure(body: bytes, settings: Settings) -> None:
    """Refuses millions of small members, which would hold every thread up for seconds.

    There are a few members, and texts of limited length; base64 has neither sign.
    """
    most = 2 * settings.max_text_characters + STRUCTURE
    if body.count(b",") > most or body.count(b":") > most:
        raise _text_too_long(settings.max_text_characters)


def _invalid(error: ValidationError) -> Problem:
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return invalid([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


def check_sizes(product: ProductInput, settings: Settings) -> None:
    """Raises a Problem if a text or the image is too long."""
    longest = max(len(product.designation or ""), len(product.description or ""))
    if longest > settings.max_text_characters:
        raise _text_too_long(settings.max_text_characters)
    if len(product.image or b"") > settings.max_image_bytes:
        raise image_too_large(settings.max_image_bytes)


def _text_too_long(limit: int) -> Problem:
    return Problem(
        422,
        f"Un texte dépasse {limit} caractères : raccourcissez-le.",
        "text_too_long",
        limit_characters=limit,
    )


def image_too_large(limit: int) -> Problem:
    """An image file of more bytes than may be sent."""
    return Problem(
        413,
        f"L'image dépasse {limit} octets : envoyez-la plus petite.",
        "image",
        reason="file_too_large",
        limit_bytes=limit,
    )
