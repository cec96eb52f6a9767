"""Stage `preprocess`: turns the source files into checked, cleaned and divided tables."""

import logging
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from api import labels
from api.archive import ImageArchive
from api.inputs import FIELD_SEPARATOR
from api.labels import Label
from stages import catalogue, data_page, data_report, logs, split
from stages.params import Frozen, load
from stages.quarantine import Quarantine
from stages.raw import IMAGES, SOURCE

ROW_GROUP = 10_000  # rows of a Parquet file that are compressed together
COLUMNS = pa.schema(
    [
        ("row", pa.int64()),
        ("designation", pa.string()),
        ("description", pa.string()),
        ("text", pa.string()),
        ("productid", pa.int64()),
        ("imageid", pa.int64()),
        ("image", pa.string()),
    ]
)
LABELLED = pa.schema([*COLUMNS, ("code", pa.int32()), ("label", pa.int32())])

logger = logging.getLogger(__name__)


class Preprocess(Frozen):
    """How the labelled rows are divided; the fractions are of all of them."""

    seed: int = Field(ge=0)
    validation_fraction: float = Field(gt=0, le=0.4)
    test_fraction: float = Field(gt=0, le=0.4)
    shared_image_limit: int = Field(ge=1)


class Params(Frozen):
    """The section that this stage reads."""

    preprocess: Preprocess


def main(raw: Path, preprocessed: Path, metrics: Path) -> None:
    """Reads data/raw; writes data/preprocessed and metrics/preprocess."""
    params = load(Params).preprocess
    quarantine = Quarantine()
    with ImageArchive(raw / IMAGES) as archive:
        products = catalogue.read(raw, archive.members, quarantine)
    order = labels.ordered(products.labelled["code"].tolist())
    labelled = divide(products.labelled, order, params)
    preprocessed.mkdir(parents=True, exist_ok=True)
    for name in split.SPLITS:
        write(labelled[labelled["split"] == name], LABELLED, preprocessed / f"{name}.parquet")
    write(products.challenge, COLUMNS, preprocessed / "challenge.parquet")
    labels.write(order, preprocessed / "labels.json")
    quarantine.write(preprocessed / "quarantine.csv")
    shutil.copyfile(raw / SOURCE, preprocessed / SOURCE)
    report = data_report.summarise(labelled, products, order, quarantine)
    data_report.write(report, metrics)
    data_page.write(report, quarantine.table(), preprocessed)
    for name, value in report.metrics.items():
        logger.info("%s: %s", name, value)


def divide(labelled: pd.DataFrame, order: list[Label], params: Preprocess) -> pd.DataFrame:
    """Adds the columns `label`, `group` and `split` to the labelled products."""
    positions = {label["code"]: position for position, label in enumerate(order)}
    titles = [text.partition(FIELD_SEPARATOR)[0] for text in labelled["text"]]
    groups = split.group(titles, list(labelled["identity"]), params.shared_image_limit)
    fractions = {
        split.TEST: params.test_fraction,
        split.VALIDATION: params.validation_fraction,
    }
    codes, rows = labelled["code"].to_numpy(), labelled["row"].to_numpy()
    splits = split.assign(groups, codes, rows, fractions, params.seed)
    return labelled.assign(label=labelled["code"].map(positions), group=groups, split=splits)


def write(table: pd.DataFrame, columns: pa.Schema, path: Path) -> None:
    """Writes some columns of a table as Parquet; the same rows give the same bytes."""
    arrow = pa.Table.from_pandas(table[columns.names], columns, preserve_index=False)
    # pandas' own metadata names versions of libraries
    arrow = arrow.replace_schema_metadata(None)
    pq.write_table(arrow, path, row_group_size=ROW_GROUP, compression="zstd")


if __name__ == "__main__":
    logs.run(main, log="import_data")
