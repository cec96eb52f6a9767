"""What has to hold of data/preprocessed whenever it exists, whichever source it came from."""

import csv
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from api import labels
from api.archive import ImageArchive
from api.inputs import FIELD_SEPARATOR, join_text
from stages.preprocess import COLUMNS, LABELLED
from stages.raw import IMAGES, X_TEST, X_TRAIN
from stages.split import SPLITS, title_key

ROOT = Path(__file__).parents[2]
RAW, PREPROCESSED = ROOT / "data" / "raw", ROOT / "data" / "preprocessed"

pytestmark = pytest.mark.skipif(
    not (PREPROCESSED / "report.html").is_file(),
    reason="data/preprocessed is not here: run `dvc repro preprocess` or `dvc pull`",
)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    names = (*SPLITS, "challenge")
    return {name: pd.read_parquet(PREPROCESSED / f"{name}.parquet") for name in names}


@pytest.fixture(scope="module")
def labelled(tables) -> pd.DataFrame:
    parts = {name: tables[name] for name in SPLITS}
    return pd.concat(parts, names=["split", None]).reset_index("split").reset_index(drop=True)


@pytest.fixture(scope="module")
def quarantine() -> pd.DataFrame:
    return pd.read_csv(PREPROCESSED / "quarantine.csv", dtype="str", keep_default_na=False)


@pytest.fixture(scope="module")
def params() -> dict[str, float]:
    section: dict[str, float] = yaml.safe_load((ROOT / "params.yaml").read_text())["preprocess"]
    return section


def records(name: str) -> list[list[str]]:
    """The lines of a file in data/raw, but for blank ones and the header."""
    if not (RAW / name).is_file():
        pytest.skip("data/raw is not here: run `dvc repro import` or `dvc pull`")
    with (RAW / name).open(encoding="utf-8-sig", newline="") as stream:
        return [record for record in csv.reader(stream) if record][1:]


@pytest.mark.parametrize("name", [*SPLITS, "challenge"])
def test_columns_and_types(name):
    expected = COLUMNS if name == "challenge" else LABELLED
    assert pq.read_schema(PREPROCESSED / f"{name}.parquet").equals(expected)


def test_no_row_is_in_two_splits(labelled):
    assert labelled["row"].is_unique


def test_nothing_is_null(tables):
    assert not any(table.isna().any(axis=None) for table in tables.values())


def test_no_title_crosses_the_split(labelled):
    titles = labelled["text"].str.partition(FIELD_SEPARATOR)[0].map(title_key)
    crossing = labelled[titles != ""].groupby(titles)["split"].nunique()
    assert crossing[crossing > 1].empty


def test_no_image_crosses_the_split_unless_it_is_a_placeholder(labelled, params):
    if not (RAW / IMAGES).is_file():
        pytest.skip("data/raw is not here: run `dvc repro import` or `dvc pull`")
    with ImageArchive(RAW / IMAGES) as archive:
        infos = labelled.loc[labelled["image"] != "", "image"].map(archive.members)
    identities = infos.map(lambda info: (info.CRC, info.file_size))
    found = labelled.loc[identities.index].groupby(identities)["split"].agg(["nunique", "size"])
    assert found[(found["nunique"] > 1) & (found["size"] <= params["shared_image_limit"])].empty


def test_the_split_has_the_fractions_of_params(labelled, params):
    shares = labelled["split"].value_counts(normalize=True)
    for name in ("validation", "test"):
        assert shares[name] == pytest.approx(params[f"{name}_fraction"], abs=0.01)


def test_every_class_can_be_learnt(labelled):
    codes = {label["code"] for label in labels.read(PREPROCESSED / "labels.json")}
    assert set(labelled.loc[labelled["split"] == "train", "code"]) == codes


def test_labels_are_positions_in_numeric_order(labelled):
    codes = [label["code"] for label in labels.read(PREPROCESSED / "labels.json")]
    assert codes == sorted(codes)
    assert list(labelled["code"]) == [codes[label] for label in labelled["label"]]


def test_texts_are_those_that_serving_would_make(tables):
    for table in tables.values():
        some = table.iloc[:: max(1, len(table) // 200)]
        fields = zip(some["designation"], some["description"], strict=True)
        assert list(some["text"]) == [join_text(*both) for both in fields]


def test_every_labelled_product_has_a_text_or_an_image(labelled):
    assert ((labelled["text"] != "") | (labelled["image"] != "")).all()


def test_every_train_record_is_in_a_split_or_in_the_quarantine(labelled, quarantine):
    """As many times as the file has it: nothing is lost, nothing is counted twice."""
    dropped = quarantine[(quarantine["file"] == X_TRAIN) & (quarantine["action"] == "dropped")]
    kept = Counter(map(str, labelled["row"]))
    read = Counter(record[0].strip().removesuffix(".0") for record in records(X_TRAIN))
    assert set((read - kept).keys()) <= set(dropped["row"].str.strip().str.removesuffix(".0"))
    assert kept <= read


def test_every_challenge_record_is_owed_a_prediction(tables):
    read = [record[0].strip().removesuffix(".0") for record in records(X_TEST)]
    rows = list(tables["challenge"]["row"])
    assert len(rows) == len(read)
    assert all(str(row) == found for row, found in zip(rows, read, strict=True) if row >= 0)


def test_the_report_says_whether_the_data_are_synthetic():
    source = json.loads((PREPROCESSED / "source.json").read_text(encoding="utf-8"))
    page = (PREPROCESSED / "report.html").read_text(encoding="utf-8")
    assert ("Synthetic data." in page) == source["synthetic"]
