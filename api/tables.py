"""The tables of the service's database: users, predictions, feedback."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware in Python; SQLite itself keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into UTC; a naive moment would be ambiguous, and raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: give an aware moment")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Out of the database, aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Any Python string; what no database can hold (NUL, half a surrogate) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy calls it
        """As valid UTF-8 without NUL."""
        if value is None:
            return None
        return (
            value.encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
            .replace("\x00", "\ufffd")
        )


class Base(DeclarativeBase):
    """What the migrations are held against."""


class UserRow(Base):
    """An account; `version` grows with every change, so that tokens of before stop working."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(AnyText, primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(Text)
    disabled: Mapped[bool]
    version: Mapped[int]
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class PredictionRow(Base):
    """An answer with its question, without the image."""

    __tablename__ = "predictions"
    __table_args__ = (Index("predictions_by_time", "created", "request_id"),)

    request_id: Mapped[str] = mapped_column(AnyText, primary_key=True)
    user: Mapped[str] = mapped_column(AnyText)
    product_id: Mapped[int | None] = mapped_column(BigInteger)
    imageid: Mapped[int | None] = mapped_column(BigInteger)
    product_identifier: Mapped[str] = mapped_column(AnyText)
    designation: Mapped[str] = mapped_column(AnyText)
    description: Mapped[str] = mapped_column(AnyText)
    has_image: Mapped[bool]
    predicted: Mapped[int]
    confidence: Mapped[float]
    top: Mapped[list[list[float]]] = mapped_column(JSON)
    model_version: Mapped[str] = mapped_column(Text)
    variant: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class FeedbackRow(Base):
    """The right code of a prediction, one per user: a later one replaces it."""

    __tablename__ = "feedback"
    __table_args__ = (Index("feedback_by_time", "created", "request_id", "user"),)

    request_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.request_id", ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(AnyText, primary_key=True)
    code: Mapped[int]
    comment: Mapped[str] = mapped_column(AnyText)
    created: Mapped[datetime] = mapped_column(UtcDateTime)
