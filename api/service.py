"""What the service tells of itself: GET /, /status, /ready and /model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request

from api import openapi
from api.bundle import Bundle
from api.problems import Problem
from api.schemas import Model, NamedCode, Ready, Status, Welcome
from api.settings import Settings, SettingsError

WELCOME = "Bienvenue sur l'API de classification des produits Rakuten"
RUNNING = "L'API fonctionne correctement"
router = APIRouter(tags=["service"])


@router.get("/", summary="Message de bienvenue")
async def root() -> Welcome:
    """Dit bonjour."""
    return Welcome(message=WELCOME)


@router.get("/status", summary="L'API répond-elle ?")
async def status() -> Status:
    """Répond même quand les prédictions occupent toute la machine."""
    return Status(status=RUNNING)


@router.get(
    "/ready", summary="L'API peut-elle classer des produits ?", responses=openapi.problems(503)
)
async def ready(request: Request) -> Ready:
    """Non tant que le modèle n'est pas chargé, ou que la base de données ne répond pas."""
    state = request.app.state
    if not state.ready:
        raise Problem(
            503, "Le modèle n'est pas chargé ; réessayez.", "not_ready", {"Retry-After": "1"}
        )
    await anyio.to_thread.run_sync(state.store.check, limiter=state.store_threads)
    return Ready(model_version=state.bundle.version)


@router.get("/model", summary="Le modèle servi", responses=openapi.problems(503))
async def model(request: Request) -> Model:
    """Version, étiquettes, paramètres d'entraînement, mesures et provenance."""
    if not request.app.state.ready:
        raise Problem(
            503, "Le modèle n'est pas chargé ; réessayez.", "not_ready", {"Retry-After": "1"}
        )
    described: Model = request.app.state.model
    return described


def describe(served: Bundle, settings: Settings) -> Model:
    """What /model tells; read once, as the files may change under a running service.

    Raises:
        SettingsError: metrics_file isn't JSON.
    """
    lock = settings.dvc_lock.read_bytes() if settings.dvc_lock.is_file() else None
    return Model(
        model_version=served.version,
        dvc_lock_md5=lock and hashlib.md5(lock, usedforsecurity=False).hexdigest(),
        in_dvc_lock=None if lock is None else served.version.encode() in lock,
        build_revision=settings.build_revision,
        synthetic=served.synthetic,
        source=served.meta.source,
        labels=[NamedCode(code=label["code"], label=label["name"]) for label in served.labels],
        parameters=served.meta.parameters,
        parameters_sha256=served.meta.parameters_sha256,
        metrics=_metrics(settings.metrics_file),
    )


def _metrics(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        read: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise SettingsError(f"API_METRICS_FILE: {path} is not JSON: {error}") from error
    return read
