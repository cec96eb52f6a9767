"""What a batch answers, as CSV for a spreadsheet."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from api.batches.schemas import BatchFault, BatchPrediction, BatchSummary, Line

CSV = "text/csv"
CSV_COLUMNS = (
    "row",
    "product_identifier",
    "product_id",
    "imageid",
    "has_image",
    "predicted",
    "label",
    "confidence",
    "alternatives",
    "model_version",
    "request_id",
    "error",
    "detail",
)
SUMMARY, FAILURE = "summary", "failure"
_FORMULA = re.compile(r"[=+\-@]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class CsvLines:
    """CSV with a header.

    A spreadsheet takes a cell that begins with = + - @ for a formula, and identifiers are what
    someone sent: such a cell gets an apostrophe in front. Control characters become spaces, so
    that every record is one line.

    Source: OWASP, CSV injection.
    """

    media_type = f"{CSV}; charset=utf-8"

    def __init__(self, separator: str = ",") -> None:
        self._separator = separator

    def head(self) -> bytes:
        """The names of the columns."""
        return self._record(dict(zip(CSV_COLUMNS, CSV_COLUMNS, strict=True)))

    def line(self, line: Line) -> bytes:
        """The cells."""
        return self._record(_cells(line))

    def read(self, line: bytes) -> tuple[int | None, bool, bool]:
        """See `Format`."""
        cells = next(csv.reader([line.decode()], delimiter=self._separator, strict=True))
        fields = dict(zip(CSV_COLUMNS, cells, strict=True))
        number = None if fields["row"] == SUMMARY else int(fields["row"])
        return number, bool(fields["predicted"]), fields["has_image"] == "true"

    def _record(self, cells: Mapping[str, Any]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._separator, lineterminator="\n")
        writer.writerow([_cell(cells.get(name)) for name in CSV_COLUMNS])
        return text.getvalue().encode("utf-8", "replace")


def _cells(line: Line) -> dict[str, Any]:
    if isinstance(line, BatchPrediction):
        others = [f"{one.code}:{one.confidence:.4f}" for one in line.predictions[1:]]
        return line.model_dump(exclude={"predictions"}) | {"alternatives": " ".join(others)}
    if isinstance(line, BatchFault):
        told = line.error.model_dump()
        reason = told.get("reason") or told["type"].rsplit(":", 1)[-1]
        return line.model_dump(exclude={"error"}) | {"error": reason, "detail": told["detail"]}
    if isinstance(line, BatchSummary):
        told = line.summary.model_dump(exclude={"model_version", "request_id"})
        named = {"model_version": line.summary.model_version, "request_id": line.summary.request_id}
        return {"row": SUMMARY, "detail": _pairs(told), **named}
    told = line.failure.model_dump()
    pairs = _pairs({name: told[name] for name in ("start_row", "detail")})
    return {
        "row": FAILURE,
        "error": told["type"],
        "detail": pairs,
        "request_id": told["request_id"],
    }


def _pairs(told: Mapping[str, Any]) -> str:
    """`name=value`, one after the other; lists with slashes."""
    return " ".join(
        f"{name}={'/'.join(value) if isinstance(value, list) else value}"
        for name, value in told.items()
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = _CONTROL.sub(" ", "" if value is None else str(value)).strip()
    return "'" + text if isinstance(value, str) and _FORMULA.match(text) else text
