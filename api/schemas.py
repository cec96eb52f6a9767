"""What the service takes and answers, as the API's documentation shows it, in French."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

LARGEST = 2**63 - 1
MOST_FIELDS = 16
DETAILS_EXAMPLE: JsonDict = {
    "type": "urn:product-codes:image",
    "title": "Contenu inutilisable",
    "status": 422,
    "detail": "L'image est animée : envoyez une image fixe.",
    "request_id": "3f0c8a52b7d94c0e9d5a6f1e2b7c8d90",
    "reason": "animated",
}
VERSION_EXAMPLE = "1fb7f9e0c2d84a57b3a6e5d4c3b2a190.dir"


def _from_base64(value: Any) -> Any:
    """Bytes as they are; text as strict base64, as a lenient reading would garble an image."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("l'image n'est pas en base64") from error


Base64Image = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Identifier = Annotated[int, Field(ge=0, le=LARGEST)]


class ProductInput(BaseModel):
    """Un produit à classer : un titre ou une image, ou les deux."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "product_identifier": "vendeur-42/piscine-7",
                    "designation": "Piscine gonflable ronde 3 m",
                    "description": "<p>Livr&eacute;e avec pompe</p>",
                    "product_id": 3804725264,
                    "imageid": 1263597046,
                }
            ]
        },
    )

    @model_validator(mode="before")
    @classmethod
    def _few(cls, value: Any) -> Any:
        """Each unknown field is a fault to tell: a million would take a gigabyte, and seconds."""
        if isinstance(value, dict) and len(value) > MOST_FIELDS:
            raise ValueError(f"plus de {MOST_FIELDS} champs")
        return value

    product_identifier: str | None = Field(
        default=None, max_length=200, description="Identifiant libre du vendeur"
    )
    designation: str | None = Field(default=None, description="Titre du produit")
    description: str | None = Field(default=None, description="Texte détaillé ; HTML permis")
    product_id: Identifier | None = Field(default=None, description="Numéro du produit")
    imageid: Identifier | None = Field(default=None, description="Numéro de l'image")
    image: Base64Image | None = Field(
        default=None, description="Photo : JPEG, PNG, WebP, GIF, BMP ou TIFF, sans animation"
    )


class ScoredLabel(BaseModel):
    """Un code, son nom et la probabilité que le modèle lui donne."""

    code: int
    label: str
    confidence: float = Field(ge=0, le=1)


class Prediction(BaseModel):
    """La réponse pour un produit ; `model_version` est le md5 du modèle dans dvc.lock."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "predicted": 2583,
                    "label": "Piscine et spa",
                    "confidence": 0.97,
                    "predictions": [
                        {"code": 2583, "label": "Piscine et spa", "confidence": 0.97},
                        {"code": 1302, "label": "Jeux et loisirs de plein air", "confidence": 0.02},
                    ],
                    "message": "Code proposé : 2583 (Piscine et spa)",
                    "model_version": VERSION_EXAMPLE,
                    "request_id": "3f0c8a52b7d94c0e9d5a6f1e2b7c8d90",
                }
            ]
        },
    )

    predicted: int = Field(description="Code le plus probable")
    label: str
    confidence: float = Field(ge=0, le=1)
    predictions: list[ScoredLabel] = Field(description="Les codes les plus probables d'abord")
    message: str
    model_version: str
    request_id: str = Field(description="À donner à POST /feedback ; aussi dans X-Request-ID")


class Welcome(BaseModel):
    """Le message de bienvenue."""

    message: str


class Status(BaseModel):
    """Le service répond."""

    status: str


class Ready(BaseModel):
    """Le service peut classer des produits."""

    ready: Literal[True] = True
    model_version: str

    model_config = ConfigDict(protected_namespaces=())


class NamedCode(BaseModel):
    """Un code et son nom."""

    code: int
    label: str


class Model(BaseModel):
    """Le modèle servi, et ce qui permet de retrouver comment il a été fait."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="md5 du modèle, tel que dans dvc.lock")
    dvc_lock_md5: str | None = Field(description="md5 du fichier dvc.lock, s'il est là")
    in_dvc_lock: bool | None = Field(description="Ce dvc.lock nomme-t-il ce modèle ?")
    build_revision: str | None = Field(description="Révision git de la construction, si connue")
    synthetic: bool = Field(description="Appris sur des produits générés, non réels")
    source: str
    labels: list[NamedCode]
    parameters: dict[str, Any]
    parameters_sha256: str
    metrics: dict[str, Any] | None = Field(description="Mesures de l'étape evaluate, si connues")


class ProblemDetails(BaseModel):
    """Une erreur (RFC 9457) ; `reason` ou `errors` la précisent."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [DETAILS_EXAMPLE]})

    type: str
    title: str
    status: int
    detail: str | None
    request_id: str
