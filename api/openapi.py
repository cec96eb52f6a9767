"""The OpenAPI document: what FastAPI can't see for itself, problems and the body of /predict."""

from copy import deepcopy
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.batches.schemas import Line
from api.problem_texts import TITLES
from api.schemas import ProblemDetails, ProductInput

TITLE = "Codes produit Rakuten"
DESCRIPTION = """Propose le code de type d'un produit d'après son titre, sa description et sa photo.

1. `POST /token` donne un jeton, à envoyer dans l'en-tête `Authorization: Bearer`.
2. `POST /predict` classe un produit, `POST /predict/batch` un fichier de produits.
3. `POST /feedback` dit le bon code quand la réponse était fausse.

Toute erreur est un objet `application/problem+json` (RFC 9457) avec `request_id`."""
TAGS = [
    {"name": "prédiction", "description": "Classer des produits."},
    {"name": "retour", "description": "Corriger une réponse."},
    {"name": "authentification", "description": "Obtenir un jeton."},
    {"name": "service", "description": "L'état du service et du modèle servi."},
]
PROBLEM = "application/problem+json"
REFERENCE = {"$ref": "#/components/schemas/ProblemDetails"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error responses for a route's `responses`."""
    return {
        status: {"description": TITLES[status], "content": {PROBLEM: {"schema": REFERENCE}}}
        for status in statuses
    }


def _predict_body() -> dict[str, Any]:
    as_json = ProductInput.model_json_schema()
    as_form = deepcopy(as_json)
    image = as_form["properties"]["image"]
    as_form["properties"]["image"] = {
        "type": "string",
        "format": "binary",
        "title": image["title"],
        "description": image["description"],
    }
    content = {"multipart/form-data": {"schema": as_form}, "application/json": {"schema": as_json}}
    return {"requestBody": {"required": True, "content": content}}


PREDICT_BODY = _predict_body()


def install(app: FastAPI) -> None:
    """Gives the application its document, made when it is first asked for."""

    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, in which each error is a problem."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    schemas |= _batch_lines()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in made["paths"].values():
        for operation in path.values():
            _complete(operation)
    return made


def _batch_lines() -> dict[str, Any]:
    """What the lines of a batch's answer hold: the answer itself is text."""
    made = models_json_schema(
        [(model, "serialization") for model in get_args(Line)],
        ref_template="#/components/schemas/{model}",
    )
    lines: dict[str, Any] = made[1]["$defs"]
    return lines


def _complete(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    responses |= {str(status): error for status, error in problems(500).items()}
    if "requestBody" in operation:
        own = {str(status): error for status, error in problems(400, 408, 413).items()}
        operation["responses"] = responses = dict(sorted({**own, **responses}.items()))
    for status, response in responses.items():
        if not status.startswith("2"):
            response["content"] = {PROBLEM: {"schema": REFERENCE}}
            response["description"] = TITLES.get(int(status), response["description"])
