"""The split: no product in two splits, every class in its share, the same answer every time."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.split import SplitError, assign, group, title_key

FRACTIONS = {"test": 0.15, "validation": 0.15}


def deal(groups, codes, rows=None, seed=42, fractions=FRACTIONS):
    rows = np.arange(len(codes)) if rows is None else rows
    return assign(np.asarray(groups), np.asarray(codes), np.asarray(rows), fractions, seed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Étagère  de RANGEMENT", "etagere de rangement"),
        ("Lot de 2 : Pokémon!", "lot de 2 pokemon"),
        ("straße", "STRASSE"),
        ("l'île_bleue", "L’ILE BLEUE"),
        ("cafe\u0301", "café"),
    ],
)
def test_titles_that_differ_in_writing_only_are_one(one, other):
    assert title_key(one) == title_key(other) != ""


def test_titles_that_differ_in_a_number_are_two():
    assert title_key("Tome 1") != title_key("Tome 11")


def test_same_title_or_same_image_makes_a_group():
    titles = ["Lampe", "LAMPE!", "Table", "Chaise", "Vase"]
    images = [(1, 10), (2, 10), (2, 10), (3, 10), None]
    groups = group(titles, images, limit=20)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3


def test_images_of_one_checksum_and_different_sizes_are_different():
    assert len(set(group(["a", "b"], [(7, 10), (7, 11)], limit=20))) == 2


def test_what_is_missing_links_nothing():
    assert len(set(group(["", "...", "", "!?"], [None] * 4, limit=20))) == 4


def test_a_placeholder_image_does_not_glue_the_catalogue_together():
    titles = [f"Produit {number}" for number in range(21)]
    assert len(set(group(titles, [(1, 10)] * 21, limit=20))) == 21
    assert len(set(group(titles[:20], [(1, 10)] * 20, limit=20))) == 1


rows_with_duplicates = st.lists(
    st.tuples(
        st.sampled_from(["", *(f"Titre {number}" for number in range(60))]),
        st.one_of(st.none(), st.integers(0, 60)),
        st.sampled_from([10, 40, 1140]),
    ),
    min_size=40,
    max_size=200,
)


@given(rows_with_duplicates, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_no_title_and_no_image_crosses_the_split(products, seed):
    """Of whatever links the rows have, directly or through others."""
    titles, images, codes = zip(*products, strict=True)
    groups = group(titles, images, limit=1000)
    try:
        splits = deal(groups, codes, seed=seed)
    except SplitError:
        assert max(Counter(groups).values()) > 1  # only links can keep a split empty here
        return
    for values in (titles, images):
        places: dict[object, set[str]] = {}
        for value, split in zip(values, splits, strict=True):
            if value not in {"", None}:
                places.setdefault(value, set()).add(split)
        assert all(len(found) == 1 for found in places.values())


def test_the_fractions_hold_at_twenty_rows_a_class():
    codes = np.repeat(np.arange(27), 20)
    splits = deal(np.arange(540), codes)
    assert Counter(splits) == {"train": 378, "validation": 81, "test": 81}
    for code in range(27):
        assert Counter(splits[codes == code]) == {"train": 14, "validation": 3, "test": 3}


@given(st.lists(st.integers(8, 60), min_size=10, max_size=27), st.integers(0, 9), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_the_fractions_hold_to_a_point_whatever_the_sizes(sizes, seed, together):
    """And no class is over its share by more than a tenth and a row, or a group if that is more."""
    codes = np.repeat(np.arange(len(sizes)), np.array(sizes) * together)
    groups = np.arange(len(codes)) // together
    splits = deal(groups, codes, seed=seed, fractions={"test": 0.2, "validation": 0.1})
    for split, fraction in {"test": 0.2, "validation": 0.1}.items():
        missed = abs(np.mean(splits == split) - fraction) * len(codes)
        assert missed <= max(0.01 * len(codes), together)
        for code in range(len(sizes)):
            size = sizes[code] * together
            most = max(1.1 * fraction * size + 1, together)
            assert np.sum(splits[codes == code] == split) <= most
    for code in range(len(sizes)):
        assert "train" in splits[codes == code]


def test_real_class_sizes_keep_their_shares():
    sizes = [3116, 2508, 1681, 832, 764, 4870, 807, 10209, 5073, 824]
    codes = np.repeat(np.arange(len(sizes)), sizes)
    splits = deal(np.arange(len(codes)) // 2, codes)
    for code in range(len(sizes)):
        assert np.mean(splits[codes == code] == "test") == pytest.approx(0.15, abs=0.003)


def test_every_class_has_a_train_row_even_inside_the_group_of_another():
    """Class 99 has one row, and that in a group of class 10."""
    codes = np.array([10] * 40 + [40] * 40 + [99])
    for seed in range(20):
        splits = deal([*range(80), 0], codes, seed=seed)
        assert splits[80] == "train"


def test_a_class_with_one_group_is_in_train_only():
    codes = np.array([10] * 40 + [60] * 3)
    for seed in range(20):
        splits = deal([*range(40), 40, 40, 40], codes, seed=seed)
        assert set(splits[40:]) == {"train"}


def test_a_large_group_goes_to_train():
    """A group that is larger than a split would distort it."""
    codes = np.array([10] * 100)
    splits = deal([*([0] * 30), *range(1, 71)], codes)
    assert set(splits[:30]) == {"train"}
    assert Counter(splits)["test"] == 15


def test_the_order_of_the_rows_plays_no_part():
    random = np.random.default_rng(3)
    groups, codes = random.integers(0, 200, 300), random.integers(0, 5, 300)
    splits = deal(groups, codes)
    order = random.permutation(300)
    moved = deal(groups[order] + 1000, codes[order], rows=order)
    assert list(moved) == list(splits[order])


def test_the_seed_decides_who_goes_where():
    codes = np.repeat([10, 40], 50)
    same = deal(np.arange(100), codes, seed=1)
    assert list(same) == list(deal(np.arange(100), codes, seed=1))
    assert list(same) != list(deal(np.arange(100), codes, seed=2))


def test_appended_rows_leave_almost_all_others_where_they_are():
    codes = np.random.default_rng(5).integers(0, 10, 3300)
    before = deal(np.arange(3000), codes[:3000])
    after = deal(np.arange(3300), codes)[:3000]
    assert np.mean(before == after) > 0.95


def test_a_split_that_would_stay_empty_is_refused():
    with pytest.raises(SplitError, match=r"split '(test|validation)' is empty: 3 rows"):
        deal([0, 1, 2], [10, 10, 10])
