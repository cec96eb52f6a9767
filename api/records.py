"""What the service keeps: a prediction, and feedback on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class PredictionRecord:
    """An answer with its question, without the image.

    `product_id` and `imageid` are 64-bit integers; `top` holds (code, probability), best first;
    any text is kept, but NUL and half surrogates become U+FFFD.
    """

    request_id: str
    user: str
    predicted: int
    confidence: float
    model_version: str
    product_id: int | None = None
    imageid: int | None = None
    product_identifier: str = ""
    designation: str = ""
    description: str = ""
    has_image: bool = False
    top: Sequence[tuple[int, float]] = ()
    variant: str = "champion"
    created: datetime = field(default_factory=now)


@dataclass(frozen=True)
class FeedbackRecord:
    """The right code for an earlier prediction, as a user gave it."""

    request_id: str
    user: str
    code: int
    comment: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True)
class Counts:
    """Rows that are kept."""

    predictions: int
    feedback: int
