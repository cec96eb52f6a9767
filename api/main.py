"""The service: one product in, the product type code out, by the bundle that DVC checked out."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated

import numpy as np
from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from prometheus_fastapi_instrumentator import Instrumentator

from api import bundle
from api.bundle import Bundle, Product
from api.errors import ProductCodeError
from api.schemas import Model, NamedCode, Prediction, ScoredLabel
from api.settings import Settings

WELCOME = "Bienvenue sur l'API de classification des produits Rakuten"
RUNNING = "L'API fonctionne correctement"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it starts only with a bundle that can be served.

    Raises (at startup):
        BundleError: The bundle is missing, was changed, or does not fit together.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.bundle = bundle.load(settings.bundle_dir)
        app.state.bundle.probabilities([Product(designation="chauffe")])
        with ThreadPoolExecutor(settings.threads, "inference") as app.state.executor:
            yield

    app = FastAPI(title="Codes produit Rakuten", lifespan=lifespan)
    app.state.settings = settings
    app.get("/", tags=["service"])(root)
    app.get("/status", tags=["service"])(status)
    app.get("/model", tags=["service"])(model)
    app.post("/predict", tags=["prédiction"])(predict)
    Instrumentator().instrument(app).expose(app, tags=["service"])
    return app


async def root() -> dict[str, str]:
    """Message de bienvenue."""
    return {"message": WELCOME}


async def status() -> dict[str, str]:
    """L'API répond-elle ?"""
    return {"status": RUNNING}


async def model(request: Request) -> Model:
    """Version, étiquettes et paramètres du modèle servi."""
    served: Bundle = request.app.state.bundle
    return Model(
        model_version=served.version,
        synthetic=served.synthetic,
        labels=[NamedCode(code=label["code"], label=label["name"]) for label in served.labels],
        parameters=served.meta.parameters,
    )


async def predict(
    request: Request,
    designation: Annotated[str, Form(description="Titre du produit")] = "",
    description: Annotated[str, Form(description="Texte détaillé")] = "",
    image: Annotated[UploadFile | None, File(description="Photo du produit")] = None,
) -> Prediction:
    """Code d'un produit, d'après son titre, sa description et sa photo ; l'un peut manquer."""
    app = request.app
    content = await image.read(app.state.settings.max_image_bytes + 1) if image else b""
    if len(content) > app.state.settings.max_image_bytes:
        limit = app.state.settings.max_image_bytes
        raise HTTPException(413, f"L'image dépasse {limit} octets : envoyez-la plus petite.")
    if not (designation.strip() or description.strip() or content):
        raise HTTPException(422, "Envoyez un titre ou une image : il n'y a ni l'un ni l'autre.")
    product = Product(designation, description, content or None)
    loop = asyncio.get_running_loop()
    try:
        scores = await loop.run_in_executor(
            app.state.executor, app.state.bundle.probabilities, [product]
        )
    except ProductCodeError as error:
        raise HTTPException(422, f"Image inutilisable : {error}") from error
    return _answer(app.state.bundle, scores[0], app.state.settings.top_k)


def _answer(served: Bundle, scores: np.ndarray, top_k: int) -> Prediction:
    best = [
        ScoredLabel(
            code=served.labels[position]["code"],
            label=served.labels[position]["name"],
            confidence=float(scores[position]),
        )
        for position in np.argsort(-scores, kind="stable")[:top_k]
    ]
    return Prediction(
        predicted=best[0].code,
        label=best[0].label,
        confidence=best[0].confidence,
        predictions=best,
        message=f"Code proposé : {best[0].code} ({best[0].label})",
        model_version=served.version,
        request_id=uuid.uuid4().hex,
    )
