"""A batch as it comes in: spooled to files that have no name, so that none is ever left behind."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import Any, BinaryIO, cast

import anyio.to_thread
from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.batches.images import Images, NoImages, ZipImages
from api.batches.raw import refused
from api.problems import Problem, invalid
from api.product_form import MULTIPART
from api.settings import Settings
from api.zip_safety import ArchiveError

CSV_TYPES = ("text/csv",)
JSON_TYPES = ("application/x-ndjson", "application/jsonl")
CHARSETS = {"utf-8", "utf8", "us-ascii"}
PRODUCTS, IMAGES = "products", "images"
BLOCK = 1 << 20
FOLDERS = 1000
"""Entries of an archive beyond one for each product."""


@dataclass(frozen=True)
class Upload:
    """Files that `stack` closes."""

    products: BinaryIO
    images: Images


async def receive(request: Request, stack: ExitStack) -> Upload:
    """Takes in the whole body.

    Raises:
        Problem: 400, 413, 415, 422, or 503 if the disk is full.
    """
    settings: Settings = request.app.state.settings
    kind = _content_type(request)
    try:
        if kind != MULTIPART:
            file = await _raw(request, settings.max_batch_bytes, stack)
            return Upload(file, NoImages())
        return await _multipart(request, settings, stack)
    except OSError as error:
        raise Problem(
            503,
            "Le service n'a plus la place de recevoir ce fichier : réessayez plus tard.",
            "no_room",
            {"Retry-After": "60"},
        ) from error


def _content_type(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("content-type"))
    told = kind.decode("latin-1").lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    accepted = (*CSV_TYPES, *JSON_TYPES, MULTIPART)
    if told in accepted and encoding == "identity" and charset in CHARSETS:
        return told
    raise Problem(
        415,
        f"Envoyez {', '.join(accepted[:-1])} ou {MULTIPART}, en UTF-8 et sans compression.",
        "content_type",
        headers={"Accept-Post": ", ".join(accepted)},
    )


async def _raw(request: Request, limit: int, stack: ExitStack) -> BinaryIO:
    file = stack.enter_context(TemporaryFile())  # noqa: SIM115  # which closes it
    block, size = bytearray(), 0
    async for chunk in request.stream():
        block += chunk
        size += len(chunk)
        if size > limit:
            raise _too_large("Le fichier de produits", limit)
        if len(block) >= BLOCK:
            await anyio.to_thread.run_sync(file.write, block)
            block = bytearray()
    await anyio.to_thread.run_sync(file.write, block)
    return cast(BinaryIO, file)


async def _multipart(request: Request, settings: Settings, stack: ExitStack) -> Upload:
    limits = {PRODUCTS: settings.max_batch_bytes, IMAGES: settings.max_archive_bytes}
    try:
        form = await _OnDisk(request, limits).parse()
    except MultiPartException as error:
        raise Problem(
            400, f"Le formulaire multipart est mal formé : {error.message}", "multipart"
        ) from error
    files: dict[str, Any] = {}
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            files[name] = stack.enter_context(part.file)
    if PRODUCTS not in files:
        raise refused("Envoyez les produits dans le champ « products ».", "no_products")
    images: Images = NoImages()
    if IMAGES in files:
        images = await anyio.to_thread.run_sync(_open_archive, files[IMAGES], settings)
        stack.enter_context(cast(ZipImages, images))
    return Upload(files[PRODUCTS], images)


class _OnDisk(MultiPartParser):
    """Takes two files, each under a limit of its own."""

    def __init__(self, request: Request, limits: dict[str, int]) -> None:
        super().__init__(request.headers, request.stream(), max_files=2, max_fields=0)
        self._left = dict(limits)
        self._limits = limits

    def on_headers_finished(self) -> None:
        """Refuses other parts before anything of them is kept."""
        super().on_headers_finished()
        name = self._current_part.field_name
        if name not in self._limits or self._current_part.file is None:
            raise _fault(name, "seuls « products » et « images » sont des champs, et des fichiers")
        if [kept for kept, _ in self.items].count(name):
            raise _fault(name, "le champ est répété")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Counts."""
        name = self._current_part.field_name
        self._left[name] -= end - start
        if self._left[name] < 0:
            told = "Le fichier de produits" if name == PRODUCTS else "L'archive d'images"
            raise _too_large(told, self._limits[name])
        super().on_part_data(data, start, end)


def _open_archive(file: SpooledTemporaryFile[bytes], settings: Settings) -> ZipImages:
    number = file.fileno()  # from here on it is on the disk, however small
    file.flush()
    path = Path(f"/proc/self/fd/{number}")
    try:
        return ZipImages(path, settings.max_batch_rows + FOLDERS, settings.max_image_bytes)
    except ArchiveError as error:
        entry = (error.entry or "")[:200]
        told = f" (fichier « {entry} »)" if entry else ""
        raise Problem(
            422,
            f"L'archive d'images ne peut pas être acceptée{told} : refaites un zip simple des "
            "seuls fichiers image, sans chiffrement ni archive dedans.",
            "archive",
            explanation=error.reason,
        ) from error


def _too_large(told: str, limit: int) -> Problem:
    return Problem(
        413, f"{told} dépasse {limit} octets : partagez-le.", "body_too_large", limit_bytes=limit
    )


def _fault(name: str, told: str) -> Problem:
    return invalid([{"loc": ("body", name[:200]), "msg": told, "type": "file"}])
