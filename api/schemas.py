"""What the service answers, as the API's documentation shows it."""

from pydantic import BaseModel, ConfigDict


class ScoredLabel(BaseModel):
    """Un code, son nom et la probabilité que le modèle lui donne."""

    code: int
    label: str
    confidence: float


class Prediction(BaseModel):
    """La réponse pour un produit ; `model_version` est le md5 de dvc.lock."""

    model_config = ConfigDict(protected_namespaces=())

    predicted: int
    label: str
    confidence: float
    predictions: list[ScoredLabel]
    message: str
    model_version: str
    request_id: str


class NamedCode(BaseModel):
    """Un code et son nom."""

    code: int
    label: str


class Model(BaseModel):
    """Le modèle servi."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    synthetic: bool
    labels: list[NamedCode]
    parameters: dict[str, object]
