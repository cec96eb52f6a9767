"""Products whose text and image speak for different classes, by which of the two is right."""

from enum import StrEnum

import pandas as pd


class Right(StrEnum):
    """Which modality alone names the true class."""

    TEXT = "text"
    IMAGE = "image"
    NEITHER = "neither"


def disagreeing(scored: pd.DataFrame) -> pd.DataFrame:
    """Rows that have both modalities, which say different things; with a column `right`.

    Args:
        scored: Columns code, predicted_text, predicted_image, has_text, has_image.
    """
    both = scored["has_text"] & scored["has_image"]
    rows = scored[both & (scored["predicted_text"] != scored["predicted_image"])]
    right = pd.Series(str(Right.NEITHER), rows.index, dtype="str")
    right[rows["predicted_text"] == rows["code"]] = str(Right.TEXT)
    right[rows["predicted_image"] == rows["code"]] = str(Right.IMAGE)
    return rows.assign(right=right)


def outcomes(rows: pd.DataFrame) -> pd.DataFrame:
    """For each of `Right`: products, and how many of them are right with text and image together.

    Args:
        rows: As `disagreeing` gives them; column `predicted` is the answer from both.
    """
    names = [str(right) for right in Right]
    answered = rows["predicted"] == rows["code"]
    return pd.DataFrame(
        {
            "right": names,
            "products": [int((rows["right"] == name).sum()) for name in names],
            "answered": [int(answered[rows["right"] == name].sum()) for name in names],
        }
    )
