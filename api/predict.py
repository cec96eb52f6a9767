"""POST /predict: one product in, its product type code out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from api import openapi
from api.auth import User, limited_user
from api.bundle import Bundle, Product
from api.inference import Inference, OverloadedError
from api.inputs import clean_text
from api.metrics import CHAMPION, Metrics
from api.problems import Problem, request_id
from api.product_form import missing_input, read_product
from api.schemas import Prediction, ProductInput, ScoredLabel
from api.store import DuplicateError, PredictionRecord

RETRY_OVERLOAD = "1"
Result = TypeVar("Result")
router = APIRouter(tags=["prédiction"])


async def predict(
    request: Request, user: Annotated[User, Depends(limited_user("predict"))]
) -> Response:
    """Classe un produit d'après son titre, sa description et sa photo.

    Le titre ou la photo peut manquer, mais pas les deux. La description précise le titre. En JSON,
    l'image est en base64.
    """
    product = await read_product(request)
    state = request.app.state
    scores = await unless_gone(request, lambda: infer(state.inference, product))
    prediction = answer(state.bundle, scores, state.settings.top_k, request_id(request))
    await keep(request, user, product, prediction)
    count(state.metrics, product, prediction)
    # Made here: FastAPI would check once more what was just made.
    return Response(prediction.model_dump_json(), media_type="application/json")


for _path, _shown in (("/predict", True), ("/predict_code", False)):
    router.add_api_route(
        _path,
        predict,
        methods=["POST"],
        response_model=Prediction,
        summary="Classer un produit",
        responses=openapi.problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=openapi.PREDICT_BODY,
        include_in_schema=_shown,
    )


async def infer(inference: Inference, product: ProductInput) -> np.ndarray:
    """Probabilities, float32 (classes,).

    Raises:
        Problem: 503 if too many wait, 422 if the title holds nothing but markup.
        ImageError: The image can't be used.
    """

    def work() -> np.ndarray:
        if product.image is None and not clean_text(product.designation):
            raise missing_input()
        raw = Product(product.designation, product.description, product.image)
        scores: np.ndarray = inference.bundle.probabilities([raw])[0]
        return scores

    try:
        return await inference.run(work)
    except OverloadedError as error:
        raise Problem(
            503,
            "Trop de produits attendent déjà ; réessayez après le délai de Retry-After.",
            "overloaded",
            headers={"Retry-After": RETRY_OVERLOAD},
        ) from error


async def unless_gone(request: Request, start: Callable[[], Awaitable[Result]]) -> Result:
    """Awaits some work, and cancels it when the client leaves.

    Raises:
        ClientDisconnect: It left; nobody waits for an answer.
    """
    work = asyncio.ensure_future(start())
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return await work
    finally:
        work.cancel()
        gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer(served: Bundle, scores: np.ndarray, top_k: int, identity: str) -> Prediction:
    """The answer for one product, from its probabilities, float32 (classes,)."""
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
        request_id=identity,
    )


async def keep(request: Request, user: User, product: ProductInput, given: Prediction) -> None:
    """Stores the prediction, durably, before anyone is told of it.

    Raises:
        StoreError: The database can't; 503.
        Problem: 409, the caller used this X-Request-ID before.
    """
    state: Any = request.app.state
    kept = record(user.name, product, given, product.image is not None)
    try:
        await anyio.to_thread.run_sync(
            state.store.add_prediction, kept, limiter=state.store_threads
        )
    except DuplicateError as error:
        raise Problem(
            409,
            "Cet identifiant X-Request-ID a déjà servi : envoyez-en un autre, ou aucun.",
            "request_id",
        ) from error


def record(
    user: str, product: ProductInput, given: Prediction, has_image: bool
) -> PredictionRecord:
    """What is kept of an answer."""
    return PredictionRecord(
        request_id=given.request_id,
        user=user,
        predicted=given.predicted,
        confidence=given.confidence,
        model_version=given.model_version,
        product_id=product.product_id,
        imageid=product.imageid,
        product_identifier=product.product_identifier or "",
        designation=product.designation or "",
        description=product.description or "",
        has_image=has_image,
        top=[(scored.code, scored.confidence) for scored in given.predictions],
        variant=CHAMPION,
    )


def count(metrics: Metrics, product: ProductInput, given: Prediction) -> None:
    """Tells Prometheus."""
    has_text = bool((product.designation or "").strip() or (product.description or "").strip())
    metrics.modalities(has_text, product.image is not None)
    metrics.predicted(given.predicted, given.confidence, given.model_version)
