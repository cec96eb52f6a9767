"""What the source tables have to look like.

A table that has another structure is refused. A row with a bad value becomes a fault, so that one
bad row among 85,000 costs that row and nothing more. The schemas see the values as the files have
them, as strings: a number column with one letter in it would have no numbers left to check.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from api.errors import ProductCodeError
from stages.csv_files import ROW
from stages.quarantine import Fault, Reason

# At most 18 digits: every such number fits into 64 bits. Codes are stored in 32.
_WHOLE = r"^(0|[1-9][0-9]{0,17})$"
_POSITIVE = r"^[1-9][0-9]{0,17}$"
_CODE = r"^[1-9][0-9]{0,8}$"

IDS, CODE = ["productid", "imageid"], "prdtypecode"
_NUMBERS = [ROW, *IDS, CODE]


def _number(pattern: str, reason: Reason, unique: bool = False) -> pa.Column:
    return pa.Column(
        str,
        pa.Check.str_matches(pattern, error=reason),
        unique=unique,
        report_duplicates="exclude_first",
    )


def _table(columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    index = _number(_WHOLE, Reason.ROW_INDEX, unique=True)
    return pa.DataFrameSchema({ROW: index, **columns})


PRODUCTS = _table(
    {
        "designation": pa.Column(str),
        "description": pa.Column(str),
        **{name: _number(_POSITIVE, Reason.IDS) for name in IDS},
    }
)
LABELS = _table({CODE: _number(_CODE, Reason.LABEL)})

_ROW_REASONS = {reason.value: reason for reason in (Reason.ROW_INDEX, Reason.IDS, Reason.LABEL)}
_ROW_REASONS["field_uniqueness"] = Reason.DUPLICATE


class SchemaError(ProductCodeError):
    """A table that isn't what its name says."""


def canonical(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with its numbers as plain digits: no spaces around, no '.0' behind.

    Tools that hold a column with gaps as floating point write 10 as '10.0'.
    """
    numbers = {
        name: table[name].str.strip().str.replace(r"\.0+$", "", regex=True)
        for name in _NUMBERS
        if name in table
    }
    return table.assign(**numbers)


def check(table: pd.DataFrame, schema: pa.DataFrameSchema, path: Path) -> list[Fault]:
    """Checks a whole table and collects everything that is wrong with it.

    Args:
        table: As `canonical` gives it.
        schema: `PRODUCTS` or `LABELS`.
        path: The file that it comes from, for messages.

    Returns:
        The bad rows; `position` is their label in the table's index.

    Raises:
        SchemaError: The structure is not the schema's.
    """
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as error:
        failures = error.failure_cases
    else:
        return []
    if not set(failures["check"]) <= set(_ROW_REASONS):
        raise SchemaError(_structure(path, table, schema))
    columns = zip(
        failures["index"],
        failures["check"],
        failures["column"],
        failures["failure_case"],
        strict=True,
    )
    return [
        Fault(int(index), _ROW_REASONS[check], f"{column} {str(value)[:50]!r}")
        for index, check, column, value in columns
    ]


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with its numbers as int64, once its faults are recorded.

    An id that was at fault becomes 0, a row index -1, -2, ... by its position.
    """
    stand_in = pd.Series(-1 - table.index, table.index).astype("str")
    numbers = {ROW: table[ROW].where(table[ROW].str.match(_WHOLE), stand_in)}
    numbers |= {
        name: table[name].where(table[name].str.match(_POSITIVE), "0")
        for name in IDS
        if name in table
    }
    if CODE in table:
        numbers[CODE] = table[CODE]
    return table.assign(**{name: column.astype("int64") for name, column in numbers.items()})


def _structure(path: Path, table: pd.DataFrame, schema: pa.DataFrameSchema) -> str:
    """What is wrong with the columns of a table."""
    found, expected = list(table.columns[1:]), list(schema.columns)[1:]
    message = f"{path}: its columns are {found}, expected {expected} after an unnamed row index"
    if CODE in found and CODE not in expected:
        return f"{message}; it holds labels: swap the X and Y files"
    if "designation" in found and "designation" not in expected:
        return f"{message}; it holds products: swap the X and Y files"
    return f"{message}; bring the file again or rename its columns"


def check_common_rows(products: pd.Series, labels: pd.Series, x: Path, y: Path) -> None:
    """Refuses an X and a Y file that can't belong together.

    Args:
        products: Row indices of X.
        labels: Row indices of Y.
        x: The X file.
        y: The Y file.

    Raises:
        SchemaError: One has no rows, or they have none in common.
    """
    for path, rows in ((x, products), (y, labels)):
        if rows.empty:
            raise SchemaError(
                f"{path}: no usable rows, expected at least one; bring the file again"
            )
    if not products.isin(labels).any():
        raise SchemaError(
            f"{x} and {y} have no row index in common ({_span(products)} and {_span(labels)}), "
            "expected the same ones; make sure that both are of one train set"
        )


def _span(rows: pd.Series) -> str:
    return f"{rows.min()} to {rows.max()}"
