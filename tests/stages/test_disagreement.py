"""Products whose text and image disagree."""

import pandas as pd

from stages.disagreement import disagreeing, outcomes

SCORED = pd.DataFrame(
    {
        "row": [1, 2, 3, 4, 5, 6],
        "code": [10, 10, 10, 10, 10, 10],
        "predicted": [10, 40, 10, 40, 40, 40],
        "predicted_text": [10, 10, 40, 1280, 40, 40],
        "predicted_image": [40, 40, 10, 40, 40, 10],
        "has_text": [True] * 6,
        "has_image": [True] * 5 + [False],
    }
)


def test_only_products_with_both_can_disagree() -> None:
    found = disagreeing(SCORED)

    assert found["row"].tolist() == [1, 2, 3, 4]
    assert found["right"].tolist() == ["text", "text", "image", "neither"]


def test_outcomes_say_whether_the_right_one_was_heard() -> None:
    table = outcomes(disagreeing(SCORED)).set_index("right")

    assert table["products"].to_dict() == {"text": 2, "image": 1, "neither": 1}
    assert table["answered"].to_dict() == {"text": 1, "image": 1, "neither": 0}


def test_none_disagree() -> None:
    none = disagreeing(SCORED.assign(has_text=False))

    assert none.empty
    assert outcomes(none)["products"].tolist() == [0, 0, 0]
