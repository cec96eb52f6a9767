"""Pairs of confused classes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.confusion import examples, leading, pairs

CODES = [10, 40, 1280, 2583]
TRUTH = np.array([10] * 6 + [40] * 10 + [1280] * 2 + [2583] * 2)
PREDICTED = np.array([10] * 3 + [40] * 3 + [40] * 8 + [10, 1280] + [2583, 1280] + [2583, 1280])


def test_a_pair_counts_both_directions_once() -> None:
    table = pairs(TRUTH, PREDICTED, CODES).set_index(["first", "second"])

    columns = ["first_as_second", "second_as_first", "errors", "rows"]
    assert table[columns].to_dict("index") == {
        (10, 40): dict(zip(columns, (3, 1, 4, 16), strict=True)),
        (40, 1280): dict(zip(columns, (1, 0, 1, 12), strict=True)),
        (1280, 2583): dict(zip(columns, (1, 1, 2, 4), strict=True)),
    }


def test_errors_and_rate_rank_differently() -> None:
    """Half of the four products of 1280 and 2583 are wrong: few errors, the highest rate."""
    table = pairs(TRUTH, PREDICTED, CODES)

    assert list(zip(table["first"], table["second"], strict=True)) == [
        (10, 40),
        (1280, 2583),
        (40, 1280),
    ]
    assert table["rank_by_errors"].tolist() == [1, 2, 3]
    assert table["rank_by_rate"].tolist() == [2, 1, 3]
    assert table["rate"].tolist() == pytest.approx([4 / 16, 2 / 4, 1 / 12])
    assert table["share"].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_leading_pairs_are_the_first_of_either_ranking() -> None:
    table = leading(pairs(TRUTH, PREDICTED, CODES), 1)

    assert table["first"].tolist() == [10, 1280]


def test_pairs_that_are_level_stand_in_the_order_of_their_codes() -> None:
    table = pairs(np.array([2583, 10, 1280]), np.array([1280, 40, 40]), CODES)

    assert table[["first", "second"]].to_numpy().tolist() == [[10, 40], [40, 1280], [1280, 2583]]


def test_no_error_gives_no_pair() -> None:
    truth = np.array([10, 10, 10])

    table = pairs(truth, truth, CODES)

    assert table.empty
    assert leading(table, 5).empty


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)), min_size=1))
def test_every_error_is_in_one_pair(rows: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(rows).T

    table = pairs(truth, predicted, CODES)

    assert table["errors"].sum() == (truth != predicted).sum()
    assert (table["first"] < table["second"]).all()
    assert table["rate"].between(0, 1).all()
    assert sorted(table["rank_by_rate"]) == list(range(1, len(table) + 1))


def test_examples_are_the_surest_errors_of_the_pair() -> None:
    scored = pd.DataFrame(
        {
            "row": [9, 3, 5, 1, 7],
            "code": [10, 40, 10, 10, 10],
            "predicted": [40, 10, 40, 10, 1280],
            "confidence": [0.5, 0.9, 0.5, 0.99, 0.95],
        }
    )

    assert examples(scored, 10, 40, 2)["row"].tolist() == [3, 5]
    assert examples(scored, 10, 40, 0).empty
