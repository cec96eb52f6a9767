"""Label candidates: whether labels that were changed on purpose are found."""

import numpy as np
import pandas as pd
import pytest
import tiny_catalogue
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from stages.label_noise import COLUMNS, by_class, by_split, candidates, find
from stages.out_of_sample import OutOfSample

CODES = list(tiny_catalogue.WORDS)
SHARE = 0.05


def source(
    codes: list[int], probabilities: np.ndarray, split: str = "train", first: int = 0
) -> OutOfSample:
    rows = {"row": np.arange(len(codes)) + first, "split": split, "code": codes}
    return OutOfSample(pd.DataFrame(rows), probabilities)


def cross_validated(table: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """Out-of-fold probabilities from the words and the photo's colour."""
    words = TfidfVectorizer().fit_transform(table["text"])
    colours = csr_matrix(np.eye(len(CODES))[[CODES.index(code) for code in table["shown"]]])
    model = LogisticRegression(C=10)
    return cross_val_predict(model, hstack([words, colours]), labels, method="predict_proba")


@pytest.fixture(scope="module", params=[1, 2, 3])
def flipped(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, which of them were changed, and probabilities by a model fitted on those labels."""
    table = tiny_catalogue.catalogue(800)
    generator = np.random.default_rng(request.param)
    labels = table["label"].to_numpy().copy()
    rows = generator.choice(len(labels), round(SHARE * len(labels)), replace=False)
    labels[rows] = (labels[rows] + generator.integers(1, len(CODES), len(rows))) % len(CODES)
    return labels, labels != table["label"].to_numpy(), cross_validated(table, labels)


def test_most_changed_labels_are_found_and_little_else(
    flipped: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, wrong, probabilities = flipped

    found = find(labels, probabilities)

    assert found[wrong].mean() > 0.8
    assert wrong[found].mean() > 0.9


def test_the_first_candidates_are_the_surest(
    flipped: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, wrong, probabilities = flipped
    rows = source([CODES[label] for label in labels], probabilities)

    table = candidates([rows], CODES)

    assert tuple(table.columns) == COLUMNS
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["self_confidence"].is_monotonic_increasing
    assert wrong[table["row"].head(30)].mean() > 0.95
    assert by_split(table, [rows])["share"].tolist() == [pytest.approx(SHARE, abs=0.01)]


def test_the_suggestion_is_the_most_probable_class() -> None:
    probabilities = np.array([[0.9, 0.05, 0.05, 0]] * 9 + [[0.02, 0.03, 0.95, 0]] * 9)
    rows = source([10] * 8 + [1280] * 10, probabilities)

    table = candidates([rows], CODES)

    assert table.to_dict("records") == [
        {
            "rank": 1,
            "row": 8,
            "split": "train",
            "code": 1280,
            "suggested_code": 10,
            "self_confidence": 0.05,
            "suggested_confidence": 0.9,
        }
    ]


def clusters(sure: float) -> np.ndarray:
    """Nine rows that look like class 10, then nine that look like class 40."""
    rest = (1 - sure) / 3
    return np.array([[sure, rest, rest, rest]] * 9 + [[rest, sure, rest, rest]] * 9)


def test_sources_are_searched_alone_and_ranked_together() -> None:
    """What is sure for the second model would be doubtful by the first one's measure."""
    labels = [10] * 8 + [40] * 10
    sure = source(labels, clusters(0.97))
    doubtful = source(labels, clusters(0.55), "test", 100)

    table = candidates([doubtful, sure], CODES)

    assert table[["split", "row"]].to_numpy().tolist() == [["train", 8], ["test", 108]]


def test_candidates_that_are_level_stand_in_the_order_of_their_rows() -> None:
    rows = source([10] * 8 + [40] * 9 + [10], clusters(0.97))

    assert candidates([rows], CODES)["row"].tolist() == [8, 17]


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([], np.zeros((0, 4))),
        ([0], np.array([[0.1, 0.9, 0, 0]])),
        ([1, 1, 1], np.array([[0.9, 0.1, 0, 0]] * 3)),
        ([0, 1, 2, 3], np.eye(4)),
        ([0, 0, 1], np.array([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])),
    ],
    ids=["no row", "one row", "one class", "perfect", "classes without a row"],
)
def test_there_may_be_nothing_to_find(labels: list[int], probabilities: np.ndarray) -> None:
    rows = source([CODES[label] for label in labels], probabilities)

    assert not find(np.array(labels, np.int64), probabilities).any()
    assert candidates([rows], CODES).empty
    assert by_split(candidates([rows], CODES), [rows])["rows"].sum() == len(labels)
    assert by_class(candidates([rows], CODES), [rows], CODES)["candidates"].tolist() == [0] * 4


def test_a_class_without_rows_does_not_hide_the_others(
    flipped: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Nothing in the split is of class 1, by its label or in truth; the model knows the class."""
    labels, wrong, probabilities = flipped
    kept = (labels != 1) & (tiny_catalogue.catalogue(len(labels))["label"].to_numpy() != 1)

    found = find(labels[kept], probabilities[kept])

    assert found[wrong[kept]].mean() > 0.7


def test_shares_are_of_the_rows_searched() -> None:
    rows = source([10] * 8 + [40] * 10, clusters(0.97))
    table = candidates([rows], CODES)

    assert by_split(table, [rows]).to_dict("records") == [
        {"split": "train", "rows": 18, "candidates": 1, "share": pytest.approx(1 / 18)}
    ]
    classes = by_class(table, [rows], CODES)
    assert classes["rows"].tolist() == [8, 10, 0, 0]
    assert classes["share"].tolist() == [0, 0.1, 0, 0]
