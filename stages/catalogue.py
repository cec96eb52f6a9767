"""From the source files to one table of labelled products and one of challenge products.

A train row is dropped if it has no usable index, label, text or image. A challenge row never is:
each one is owed a prediction, so what is wrong with it is masked and recorded as repaired. Rows of
one text that contradict each other in their labels are kept, for label noise is a fact of these
data that scores have to show; they are recorded, and having one title they share a split.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from api.errors import ProductCodeError
from stages import cleaning, csv_files, schema
from stages.csv_files import ROW, CsvTable
from stages.quarantine import Action, Fault, Quarantine, Reason, faults
from stages.raw import X_TEST, X_TRAIN, Y_TRAIN

FATAL = {Reason.RAGGED, Reason.ROW_INDEX, Reason.DUPLICATE, Reason.LABEL, Reason.UNUSABLE}
MANY = 0.5  # of the images missing: more likely the wrong archive than a poor catalogue

logger = logging.getLogger(__name__)


class CatalogueError(ProductCodeError):
    """Files that hold no product to learn from."""


@dataclass(frozen=True)
class Catalogue:
    """All products that were taken over, and how many records each file had.

    `labelled` and `challenge` have the columns row, designation, description, productid, imageid,
    text, image and identity, `labelled` also code; they are indexed by the record's position.
    """

    labelled: pd.DataFrame
    challenge: pd.DataFrame
    read: dict[str, int]


def read(raw: Path, members: Mapping[str, Any], quarantine: Quarantine) -> Catalogue:
    """Reads and cleans the three tables.

    Args:
        raw: data/raw.
        members: The entries of the image archive by image name.
        quarantine: Takes what was wrong with them.

    Raises:
        CsvError: A file can't be read.
        SchemaError: A file has another structure than expected.
        CatalogueError: No labelled product is left.
    """
    files = {name: csv_files.read(raw / name) for name in (X_TRAIN, Y_TRAIN, X_TEST)}
    rows = {name: len(file.records) for name, file in files.items()}
    products = _labelled(files.pop(X_TRAIN), files.pop(Y_TRAIN), quarantine)
    labelled = _describe(products, X_TRAIN, members, quarantine, FATAL)
    challenge = _settle(files[X_TEST], schema.PRODUCTS, quarantine, fatal=set())
    challenge = _describe(schema.typed(challenge), X_TEST, members, quarantine, set())
    if labelled.empty:
        reasons = "; ".join(f"{n} {reason}" for (_, reason), n in quarantine.counts().items())
        raise CatalogueError(
            f"{raw}: none of {rows[X_TRAIN]} products can be used ({reasons}); "
            "correct the files, or choose another source"
        )
    quarantine.add(X_TRAIN, labelled, cleaning.conflicting(labelled), Action.KEPT)
    return Catalogue(labelled, challenge, rows)


def _labelled(x: CsvTable, y: CsvTable, quarantine: Quarantine) -> pd.DataFrame:
    """Products joined with their codes on the row index, whatever the order of either file."""
    products = schema.typed(_settle(x, schema.PRODUCTS, quarantine, FATAL))
    codes = schema.typed(_settle(y, schema.LABELS, quarantine, FATAL))
    schema.check_common_rows(products[ROW], codes[ROW], x.path, y.path)
    orphans = codes.index[~codes[ROW].isin(products[ROW])]
    quarantine.add(y.path.name, codes, _plain(orphans, Reason.ORPHAN), Action.DROPPED)
    products["code"] = products[ROW].map(codes.set_index(ROW)[schema.CODE])
    bare = products["code"].isna()
    missing = _plain(products.index[bare], Reason.NO_LABEL)
    quarantine.add(x.path.name, products, missing, Action.DROPPED)
    return products[~bare].astype({"code": "int64"})


def _settle(
    file: CsvTable, rules: pa.DataFrameSchema, quarantine: Quarantine, fatal: set[Reason]
) -> pd.DataFrame:
    """The records of a file that may go on, their faults recorded."""
    name = file.path.name
    table = schema.canonical(_judge(file.records, name, file.faults, quarantine, fatal))
    return _judge(table, name, schema.check(table, rules, file.path), quarantine, fatal)


def _describe(
    table: pd.DataFrame,
    name: str,
    members: Mapping[str, Any],
    quarantine: Quarantine,
    fatal: set[Reason],
) -> pd.DataFrame:
    """Products with their text and image; those with neither are settled like other faults."""
    table, repairs = cleaning.add_text(table, name)
    table, masked = cleaning.add_image(table, members)
    if len(masked) > MANY * len(table):
        logger.warning("%s: %d of %d images can't be used", name, len(masked), len(table))
    bare = _plain(cleaning.unusable(table), Reason.UNUSABLE)
    return _judge(table, name, [*repairs, *masked, *bare], quarantine, fatal)


def _judge(
    table: pd.DataFrame,
    name: str,
    found: Iterable[Fault],
    quarantine: Quarantine,
    fatal: set[Reason],
) -> pd.DataFrame:
    """Records faults, and drops the rows that have one of the fatal ones."""
    found = list(found)
    dropped = [fault for fault in found if fault.reason in fatal]
    repaired = [fault for fault in found if fault.reason not in fatal]
    quarantine.add(name, table, dropped, Action.DROPPED)
    quarantine.add(name, table, repaired, Action.REPAIRED)
    return table.drop(index=sorted({fault.position for fault in dropped}))


def _plain(positions: pd.Index, reason: Reason) -> list[Fault]:
    return faults(positions, reason, [""] * len(positions))
