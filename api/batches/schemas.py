"""The lines of a batch's answer, as the API's documentation shows them, in French."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas import VERSION_EXAMPLE, ScoredLabel

REQUEST_EXAMPLE = "3f0c8a52b7d94c0e9d5a6f1e2b7c8d90"
PREDICTION_EXAMPLE: JsonDict = {
    "row": 1,
    "product_identifier": "84916",
    "product_id": 3804725264,
    "imageid": 1263597046,
    "has_image": True,
    "predicted": 2583,
    "label": "Piscine et spa",
    "confidence": 0.97,
    "predictions": [{"code": 2583, "label": "Piscine et spa", "confidence": 0.97}],
    "model_version": VERSION_EXAMPLE,
    "request_id": f"{REQUEST_EXAMPLE}.1",
}
FAULT_EXAMPLE: JsonDict = {
    "row": 2,
    "product_identifier": "84917",
    "error": {
        "type": "urn:product-codes:image",
        "title": "Contenu inutilisable",
        "status": 422,
        "detail": "L'image est incomplète : envoyez-la à nouveau, en entier.",
        "reason": "truncated",
    },
}
SUMMARY_EXAMPLE: JsonDict = {
    "summary": {
        "start_row": 1,
        "rows": 2,
        "predicted": 1,
        "errors": 1,
        "without_image": 0,
        "ignored_columns": ["prix"],
        "model_version": VERSION_EXAMPLE,
        "request_id": REQUEST_EXAMPLE,
    }
}
FAILURE_EXAMPLE: JsonDict = {
    "failure": {
        "type": "urn:product-codes:store",
        "title": "Service momentanément indisponible",
        "status": 503,
        "detail": "Le service ne peut pas répondre ; réessayez plus tard.",
        "start_row": 1201,
        "request_id": REQUEST_EXAMPLE,
    }
}


class _Line(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class _OfRow(_Line):
    row: int = Field(ge=1, description="Rang du produit dans le fichier, à partir de 1")
    product_identifier: str | None = Field(
        default=None, description="Tel qu'envoyé ; à défaut, la première colonne sans nom"
    )
    product_id: int | None = None
    imageid: int | None = None


class BatchPrediction(_OfRow):
    """Un produit classé."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREDICTION_EXAMPLE]})

    has_image: bool = Field(description="Une image a-t-elle servi ?")
    predicted: int = Field(description="Code le plus probable")
    label: str
    confidence: float = Field(ge=0, le=1)
    predictions: list[ScoredLabel] = Field(description="Les codes les plus probables d'abord")
    model_version: str
    request_id: str | None = Field(
        default=None, description="À donner à POST /feedback : celui de l'appel, un point, le rang"
    )


class BatchProblem(BaseModel):
    """Ce qui ne va pas : les mêmes `type` et `reason` que dans les erreurs de POST /predict."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None


class BatchFault(_OfRow):
    """Un produit qui n'a pas pu être classé ; les suivants le sont."""

    model_config = ConfigDict(json_schema_extra={"examples": [FAULT_EXAMPLE]})

    error: BatchProblem


class Summary(_Line):
    """Ce qui a été répondu, à partir de la ligne demandée."""

    start_row: int
    rows: int
    predicted: int
    errors: int
    without_image: int = Field(description="Produits classés d'après leur seul texte")
    ignored_columns: list[str] = Field(description="Colonnes qui n'ont pas servi")
    model_version: str
    request_id: str | None = None


class BatchSummary(_Line):
    """La dernière ligne : sans elle, la réponse est incomplète."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUMMARY_EXAMPLE]})

    summary: Summary


class Failure(BatchProblem):
    """Ce qui a interrompu l'appel."""

    start_row: int = Field(description="À donner au prochain appel pour reprendre là")
    request_id: str | None = None


class BatchFailure(_Line):
    """La dernière ligne d'une réponse interrompue : reprenez à `start_row`."""

    model_config = ConfigDict(json_schema_extra={"examples": [FAILURE_EXAMPLE]})

    failure: Failure


Line = BatchPrediction | BatchFault | BatchSummary | BatchFailure
