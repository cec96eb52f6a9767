"""Predictions and feedback, kept durably: what a method added is on the disk when it returns."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from api.database import PATIENCE, Database
from api.records import Counts, FeedbackRecord, PredictionRecord, now
from api.sqlite_file import Synchronous
from api.store_errors import DuplicateError, StoreError, UnknownPredictionError
from api.tables import FeedbackRow, PredictionRow

__all__ = [
    "Counts",
    "DuplicateError",
    "FeedbackRecord",
    "PredictionRecord",
    "Store",
    "StoreError",
    "UnknownPredictionError",
]

PAGE = 1000
"""Rows that are read, or deleted, at a time."""


class Store:
    """Every method blocks: call it in a thread. All raise StoreError if the database can't."""

    def __init__(
        self, url: str, patience: float = PATIENCE, synchronous: Synchronous = "FULL"
    ) -> None:
        self.database = Database(url, patience, synchronous)

    def open(self) -> None:
        """Connects and migrates; see `Database.open`."""
        self.database.open()

    def close(self) -> None:
        """Gives the connections back."""
        self.database.close()

    def check(self) -> None:
        """Asks the database for an answer."""
        self.database.check()

    def add_prediction(self, record: PredictionRecord) -> None:
        """Keeps one prediction.

        Raises:
            DuplicateError: One of that request id is kept.
        """
        self.add_predictions([record])

    def add_predictions(self, records: Iterable[PredictionRecord]) -> None:
        """Keeps all of them or none, in one transaction: for batches.

        Raises:
            DuplicateError: One of a request id among them is kept.
        """
        rows = [asdict(record) for record in records]
        if not rows:
            return
        with self.database.writing("adding predictions") as connection:
            try:
                connection.execute(insert(PredictionRow), rows)
            except IntegrityError as error:
                raise DuplicateError(
                    f"request id {rows[0]['request_id']!r} has a prediction: use each id once"
                ) from error

    def prediction(self, request_id: str) -> PredictionRecord | None:
        """The prediction of that request, if it is kept."""
        query = select(PredictionRow.__table__).where(PredictionRow.request_id == request_id)
        with self.database.reading("reading a prediction") as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _prediction(row) if row else None

    def predictions(self, since: datetime, until: datetime) -> Iterator[PredictionRecord]:
        """Predictions made from `since` up to, not including, `until`, oldest first.

        Read page by page: memory is bounded, and no transaction stays open in between.
        """
        key = (PredictionRow.created, PredictionRow.request_id)
        return map(_prediction, self._window(key, since, until))

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Keeps the right code for a prediction; a user's later one replaces the earlier.

        Raises:
            UnknownPredictionError: No prediction of that request id is kept.
        """
        kind = postgresql if self.database.dialect == "postgresql" else sqlite
        statement = kind.insert(FeedbackRow).values(asdict(record))
        replacing = statement.on_conflict_do_update(
            index_elements=["request_id", "user"],
            set_={name: statement.excluded[name] for name in ("code", "comment", "created")},
        )
        with self.database.writing("adding feedback") as connection:
            try:
                connection.execute(replacing)
            except IntegrityError as error:
                raise UnknownPredictionError(
                    f"request id {record.request_id!r} has no prediction that is kept"
                ) from error

    def feedback(self, since: datetime, until: datetime) -> Iterator[FeedbackRecord]:
        """Feedback given from `since` up to, not including, `until`, as `predictions`."""
        key = (FeedbackRow.created, FeedbackRow.request_id, FeedbackRow.user)
        return (FeedbackRecord(**row) for row in self._window(key, since, until))

    def counts(self) -> Counts:
        """How many predictions, and how much feedback, are kept."""
        with self.database.reading("counting") as connection:
            return Counts(
                predictions=connection.scalar(select(func.count(PredictionRow.request_id))) or 0,
                feedback=connection.scalar(select(func.count(FeedbackRow.request_id))) or 0,
            )

    def delete_older_than(self, days: float) -> int:
        """Deletes predictions made more than `days` ago, and their feedback; returns how many.

        Some at a time, so that others can write in between.
        """
        limit = now() - timedelta(days=days)
        old = select(PredictionRow.request_id).where(PredictionRow.created < limit).limit(PAGE)
        statement = delete(PredictionRow).where(PredictionRow.request_id.in_(old))
        deleted = 0
        while True:
            with self.database.writing("deleting old predictions") as connection:
                count = connection.execute(statement).rowcount
            deleted += count
            if count < PAGE:
                return deleted

    def _window(
        self, key: tuple[InstrumentedAttribute[Any], ...], since: datetime, until: datetime
    ) -> Iterator[RowMapping]:
        """Rows by `key`, of which the first column is the time; each page begins after the last."""
        query = select(*key[0].class_.__table__.columns).where(key[0] >= since, key[0] < until)
        query = query.order_by(*key).limit(PAGE)
        page = query
        while True:
            with self.database.reading("reading a window") as connection:
                rows = connection.execute(page).mappings().all()
            yield from rows
            if len(rows) < PAGE:
                return
            last = tuple(rows[-1][str(column.key)] for column in key)
            page = query.where(tuple_(*key) > last)


def _prediction(row: RowMapping) -> PredictionRecord:
    top = [(int(code), float(probability)) for code, probability in row["top"]]
    return PredictionRecord(**{**row, "top": top})
