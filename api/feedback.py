"""POST /feedback: the right code for an earlier prediction, from whoever knows the product."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api import openapi
from api.auth import User, limited_user
from api.labels import NAMES
from api.problems import Problem
from api.store import FeedbackRecord, PredictionRecord, Store, UnknownPredictionError

router = APIRouter(tags=["retour"])


class Feedback(BaseModel):
    """Le bon code d'un produit déjà classé."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "request_id": "5f0f3b9d2f6b4a6c9a3f6a0d8d1f7e21",
                "code": 40,
                "comment": "Un jeu, pas un accessoire.",
            }
        },
    )

    request_id: str = Field(
        min_length=1, max_length=200, description="L'identifiant que la prédiction a donné"
    )
    code: int = Field(description="Le bon code de type de produit", ge=0, lt=2**31)
    comment: str = Field(default="", max_length=1000, description="Une remarque, facultative")


class FeedbackTaken(BaseModel):
    """Le retour, tel qu'il est noté."""

    request_id: str
    code: int
    predicted: int = Field(description="Le code que le modèle avait proposé")
    correct: bool = Field(description="Le modèle avait-il raison ?")
    message: str


@router.post(
    "/feedback",
    status_code=201,
    summary="Donner le bon code",
    responses=openapi.problems(401, 403, 404, 422, 429, 503),
)
async def feedback(
    request: Request,
    given: Feedback,
    user: Annotated[User, Depends(limited_user("feedback", "feedback"))],
) -> FeedbackTaken:
    """Note le bon code d'une prédiction ; un second retour du même compte remplace le premier.

    On corrige ses propres prédictions ; l'autorisation « admin » permet de corriger les autres.
    """
    _check_code(request, given.code)
    store: Store = request.app.state.store
    try:
        predicted = await run_in_threadpool(_keep, store, given, user)
    except UnknownPredictionError as error:
        raise Problem(
            404, "Aucune de vos prédictions conservées n'a cet identifiant.", "prediction"
        ) from error
    return FeedbackTaken(
        request_id=given.request_id,
        code=given.code,
        predicted=predicted.predicted,
        correct=predicted.predicted == given.code,
        message=f"Merci : le code {given.code} est noté.",
    )


def _keep(store: Store, given: Feedback, user: User) -> PredictionRecord:
    """Keeps it, if there is such a prediction and it is the user's to correct."""
    found = store.prediction(given.request_id)
    if found is None or not (found.user == user.name or "admin" in user.scopes):
        # Whether another user has such a prediction isn't told.
        raise UnknownPredictionError(f"no prediction {given.request_id!r} of {user.name}")
    store.add_feedback(FeedbackRecord(found.request_id, user.name, given.code, given.comment))
    return found


def _check_code(request: Request, code: int) -> None:
    bundle = getattr(request.app.state, "bundle", None)
    served = {label["code"] for label in bundle.labels} if bundle else set()
    if code not in served | NAMES.keys():
        raise Problem(422, f"Le code {code} n'existe pas ; GET /model donne la liste.", "code")
