"""Reasons for which a label is in doubt."""

from typing import Any

import pandas as pd
import pytest

from stages.label_reasons import percent, reasons
from stages.product_table import Twins

NAMES = {10: "10 Livres", 40: "40 Jeux"}
NO_TWINS = Twins(pd.DataFrame({"code": [], "designation": []}))


def candidate(split: str = "test") -> dict[str, Any]:
    return {
        "row": 5,
        "split": split,
        "code": 10,
        "suggested_code": 40,
        "self_confidence": 0.0123,
        "suggested_confidence": 0.9,
    }


def scored(text: int, image: int, has_image: bool = True) -> dict[int, dict[str, Any]]:
    line = {"predicted_text": text, "predicted_image": image}
    return {5: {**line, "has_text": True, "has_image": has_image}}


def products(titles: list[str], codes: list[int]) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["train"], range(len(titles))])
    return pd.DataFrame({"code": codes, "designation": titles}, index=index)


def test_every_candidate_has_the_models_reason() -> None:
    assert reasons(candidate("train"), "Titre", NO_TWINS, {}, NAMES) == [
        "A model that never saw this row gives its label 1.2 % and 40 Jeux 90.0 %."
    ]


@pytest.mark.parametrize(
    ("text", "image", "has_image", "expected"),
    [
        (40, 40, True, ["The text alone and the image alone also say 40 Jeux."]),
        (40, 10, True, ["The text alone also says 40 Jeux."]),
        (10, 40, True, ["The image alone also says 40 Jeux."]),
        (40, 40, False, ["The text alone also says 40 Jeux."]),
        (10, 10, True, []),
    ],
)
def test_a_modality_counts_if_it_is_there_and_says_the_same(
    text: int, image: int, has_image: bool, expected: list[str]
) -> None:
    found = reasons(candidate(), "Titre", NO_TWINS, scored(text, image, has_image), NAMES)

    assert found[1:] == expected


def test_rows_with_the_same_title_and_another_label_are_named() -> None:
    """Up to three of them; case, accents and punctuation play no part."""
    titles = ["MANÉGE !", "manege", "Manège", "manège", "manège", "autre", "manège"]
    twins = Twins(products(titles, [40, 40, 10, 40, 40, 40, 40]))

    found = reasons(candidate("train"), "Manège", twins, {}, NAMES)

    assert found[1:] == [
        *(f"Row {row} (train) has the same title and the label 40 Jeux." for row in (0, 1, 3)),
        "2 more rows have the same title and another label.",
    ]


def test_titles_without_a_letter_are_no_twins() -> None:
    twins = Twins(products(["...", "", "!"], [40, 40, 40]))

    assert len(reasons(candidate("train"), "--", twins, {}, NAMES)) == 1


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "0.0 %"), (0.0001, "< 0.1 %"), (0.0005, "0.1 %"), (0.5, "50.0 %"), (1, "100.0 %")],
)
def test_a_trace_is_not_nothing(share: float, expected: str) -> None:
    assert percent(share) == expected
