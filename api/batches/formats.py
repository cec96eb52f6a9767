"""What a batch answers, as lines of JSON; `api.batches.csv_lines` writes the same as CSV."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from pydantic import BaseModel

from api.batches.answers import Answer, Tally
from api.batches.schemas import (
    BatchFailure,
    BatchFault,
    BatchPrediction,
    BatchProblem,
    BatchSummary,
    Failure,
    Line,
    Summary,
)
from api.problems import Problem, details

JSON_LINES = "application/x-ndjson"


class Format(Protocol):
    """How lines are written; each ends with the only line feed in it."""

    media_type: str

    def head(self) -> bytes:
        """What comes before all lines."""

    def line(self, line: Line) -> bytes:
        """One line."""

    def read(self, line: bytes) -> tuple[int | None, bool, bool]:
        """Row number (None: the summary), whether predicted, whether with image.

        Raises:
            ValueError: It is another line.
        """


class JsonLines:
    """One JSON object a line, without what is null."""

    media_type = JSON_LINES

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def line(self, line: Line) -> bytes:
        """The object."""
        return line.model_dump_json(exclude_none=True).encode() + b"\n"

    def read(self, line: bytes) -> tuple[int | None, bool, bool]:
        """See `Format`."""
        fields = _Read.model_validate_json(line)
        if fields.row is None and not fields.summary:
            raise ValueError("neither a row nor a summary")
        return fields.row, fields.predicted is not None, fields.has_image


class _Read(BaseModel):
    """What is looked at of a line that was written."""

    row: int | None = None
    summary: Summary | None = None
    predicted: int | None = None
    has_image: bool = False


def answered(answer: Answer) -> BatchPrediction | BatchFault:
    """The line of one row."""
    row = {"row": answer.row.number, **asdict(answer.row.ids)}
    if answer.prediction is None:
        problem = answer.problem or Problem(500)
        return BatchFault(**row, error=BatchProblem(**details(problem)))
    given = answer.prediction
    return BatchPrediction(
        **row,
        has_image=answer.has_image,
        predicted=given.predicted,
        label=given.label,
        confidence=given.confidence,
        predictions=given.predictions,
        model_version=given.model_version,
        request_id=given.request_id or None,
    )


def summary(
    tally: Tally, start: int, ignored: Sequence[str], model_version: str, identity: str | None
) -> BatchSummary:
    """The last line."""
    return BatchSummary(
        summary=Summary(
            start_row=start,
            rows=tally.rows,
            **asdict(tally),
            ignored_columns=list(ignored),
            model_version=model_version,
            request_id=identity,
        )
    )


def failure(problem: Problem, start: int, identity: str | None) -> BatchFailure:
    """The last line of what could not be ended; `start` is the first row without an answer."""
    return BatchFailure(failure=Failure(**details(problem), start_row=start, request_id=identity))
