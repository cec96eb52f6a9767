"""The TF-IDF baselines, fitted for real on a few texts."""

import numpy as np
import pytest

from stages import baselines

TEXTS = ["roman policier", "roman historique", "piscine gonflable", "piscine bois"] * 3
CODES = np.array([10, 10, 2583, 2583] * 3)


def answers(held_out: list[str], seed: int = 0) -> dict[str, list[int]]:
    return {
        name: codes.tolist() for name, codes in baselines.predictions(TEXTS, CODES, held_out, seed)
    }


def test_both_learn_which_word_goes_with_which_code() -> None:
    right = [10, 2583]

    assert answers(["un roman", "la piscine"]) == {
        "baseline_words": right,
        "baseline_characters": right,
    }


def test_characters_know_a_word_by_a_part_of_it() -> None:
    """A word that was never seen leaves the word model with its prior alone."""
    held_out = ["romans", "piscines"]

    found = answers(held_out)

    assert found["baseline_characters"] == [10, 2583]
    assert len(set(found["baseline_words"])) == 1


def test_the_same_seed_gives_the_same_answers() -> None:
    held_out = ["bois", "policier", "rien de connu", ""]

    assert answers(held_out, seed=5) == answers(held_out, seed=5)


def test_what_follows_the_limit_is_not_read() -> None:
    """Nor does it weigh on the text's length."""
    long = "roman " + "x" * baselines.MAX_CHARACTERS

    assert answers([long + " piscine" * 500]) == answers([long])


def test_rare_ngrams_are_dropped_as_rows_grow_so_that_memory_stays_bounded() -> None:
    few, many = (baselines.baseline("baseline_words", rows, 0)[0] for rows in (500, 85_000))

    assert (few.min_df, many.min_df) == (1, 5)
    assert few.max_features == many.max_features == 200_000


@pytest.mark.parametrize(
    ("texts", "codes"), [(["a livre", "b jeu"], [10, 10]), (["", ""], [10, 40])]
)
def test_rows_that_teach_nothing_are_refused(texts: list[str], codes: list[int]) -> None:
    with pytest.raises(baselines.BaselineError, match=r"set evaluate\.baselines to false"):
        next(baselines.predictions(texts, np.array(codes), ["c"], 0))
