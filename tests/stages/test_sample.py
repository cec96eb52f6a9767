"""The generated catalogue: layout, frequencies, determinism, untidiness, how hard it is."""

import io
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from api.archive import ImageArchive, image_name
from api.inputs import ImageError, clean_text, decode_image, join_text
from api.labels import NAMES
from stages.raw import FILES, IMAGES, X_TEST, X_TRAIN, Y_TRAIN, check
from stages.sample import catalogue, text, write_catalogue
from stages.sample.clusters import CLUSTERS
from stages.sample.objects import paint
from stages.sample.photos import looks, photograph
from stages.sample.plan import (
    DEFECTS_PER_THOUSAND,
    LANGUAGES,
    MISLABELLED,
    REPEATS,
    Plan,
    groups_of,
    plans,
    vocabulary,
)
from stages.sample.shapes import SHAPES

ROOT = Path(__file__).parents[2]
PRODUCTS, TEST_PRODUCTS, SEED = 300, 30, 7
DEFAULT = 2700


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalogue."""
    target = tmp_path_factory.mktemp("sample")
    write_catalogue(target, PRODUCTS, TEST_PRODUCTS, SEED)
    return target


@pytest.fixture(scope="module")
def default_plans() -> list[Plan]:
    """The rows of the catalogue at its default size."""
    return list(islice(plans(SEED, 0), DEFAULT))


@pytest.fixture(scope="module")
def default_texts(default_plans: list[Plan]) -> list[tuple[str, str]]:
    """Titles and descriptions of the catalogue at its default size."""
    return [text.write(SEED, 0, plan.text) for plan in default_plans]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col=0, keep_default_na=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def in_another_process(code: str, hash_seed: int) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    return result.stdout


def test_files_have_the_real_layout(written: Path) -> None:
    check(written, "the generated catalogue")
    x, y, challenge = (read(written / name) for name in (X_TRAIN, Y_TRAIN, X_TEST))
    assert list(x.index) == list(y.index) == list(range(PRODUCTS))
    assert list(challenge.index) == list(range(PRODUCTS, PRODUCTS + TEST_PRODUCTS))
    assert set(y.prdtypecode) == set(NAMES)
    assert x.designation.str.len().between(1, text.TITLE_LENGTH).all()


def test_ids_are_large_and_each_is_used_once(written: Path) -> None:
    rows = pd.concat([read(written / X_TRAIN), read(written / X_TEST)])
    assert rows.productid.is_unique
    assert rows.imageid.is_unique
    assert rows.productid.between(80_000_000, 4_300_000_000).all()
    assert rows.imageid.between(830_000_000, 1_340_000_000).all()


def test_archive_holds_one_image_a_row_but_for_those_that_are_missing(written: Path) -> None:
    rows = {"train": read(written / X_TRAIN), "test": read(written / X_TEST)}
    wanted = {
        f"images/image_{part}/{image_name(row.imageid, row.productid)}"
        for part, table in rows.items()
        for row in table.itertuples()
    }
    with zipfile.ZipFile(written / IMAGES) as archive:
        names = archive.namelist()
        assert archive.comment == b"synthetic catalogue"
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {catalogue.DATE}
    absent = [plan for plan in islice(plans(SEED, 0), PRODUCTS) if plan.photo.defect == "absent"]
    absent += [p for p in islice(plans(SEED, 1), TEST_PRODUCTS) if p.photo.defect == "absent"]
    assert len(names) == len(set(names)) == PRODUCTS + TEST_PRODUCTS - len(absent)
    assert set(names) <= wanted


def test_photos_are_500_pixel_jpegs_of_the_usual_size(written: Path) -> None:
    with ImageArchive(written / IMAGES) as archive:
        images = [archive.read(name) for name in archive.members]
    sizes = np.array([len(image or b"") for image in images])
    assert 10_000 < np.median(sizes) < 40_000
    usable = 0
    for image in images:
        try:
            decode_image(image or b"", 32)
        except ImageError:
            continue
        with Image.open(io.BytesIO(image or b"")) as photo:
            usable += photo.size == (500, 500) and photo.format == "JPEG"
    assert usable >= 0.98 * len(images)


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stages.sample import write_catalogue;"
        "write_catalogue(Path({!r}), 40, 8, 3)"
    )
    for hash_seed in (1, 2):
        in_another_process(code.format(str(tmp_path / str(hash_seed))), hash_seed)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_number_of_processes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalogue(tmp_path / "alone", 80, 10, 5)
    monkeypatch.setattr(catalogue, "ALONE", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2})
    write_catalogue(tmp_path / "shared", 80, 10, 5)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")


def test_another_seed_gives_another_catalogue(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_catalogue(tmp_path / str(seed), 30, 5, seed)
    first, second = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert [name for name in FILES if first[name] == second[name]] == []
    titles = [set(read(tmp_path / str(seed) / X_TRAIN).designation) for seed in (1, 2)]
    assert len(titles[0] & titles[1]) <= 2


def test_larger_catalogue_begins_with_the_smaller_one(tmp_path: Path, written: Path) -> None:
    write_catalogue(tmp_path, 50, 0, SEED)
    for name in (X_TRAIN, Y_TRAIN):
        assert (written / name).read_bytes().startswith((tmp_path / name).read_bytes())
    with ImageArchive(tmp_path / IMAGES) as small, ImageArchive(written / IMAGES) as large:
        assert {n: small.read(n) for n in small.members} == {
            n: large.read(n) for n in small.members
        }


def test_no_test_products_still_gives_a_table(tmp_path: Path) -> None:
    write_catalogue(tmp_path, 30, 0, SEED)
    assert len(read(tmp_path / X_TEST)) == 0


def test_more_products_than_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(catalogue.CatalogueError, match="ask for fewer"):
        write_catalogue(tmp_path, catalogue.PRIME, 0, SEED)


@pytest.mark.parametrize("seed", range(4))
def test_classes_have_their_real_frequencies(seed: int) -> None:
    counts = Counter(plan.code for plan in islice(plans(seed, 0), DEFAULT))
    rows = {code: facts["rows"] for code, facts in vocabulary()["classes"].items()}
    assert sum(rows.values()) == 84_916
    assert set(counts) == set(NAMES)
    for code, count in counts.items():
        assert count == pytest.approx(DEFAULT * rows[code] / 84_916, abs=2)
    assert min(counts.values()) >= 12


@pytest.mark.parametrize("seed", range(4))
def test_small_catalogue_has_six_products_of_each_class(seed: int) -> None:
    counts = Counter(plan.code for plan in islice(plans(seed, 0), 270))
    assert len(counts) == len(NAMES)
    assert min(counts.values()) >= 6


def test_a_third_of_the_descriptions_is_missing(default_texts: list[tuple[str, str]]) -> None:
    missing = sum(not description for _, description in default_texts) / DEFAULT
    assert missing == pytest.approx(0.35, abs=0.03)


def test_texts_are_as_long_as_real_ones(default_texts: list[tuple[str, str]]) -> None:
    assert 50 <= np.median([len(title) for title, _ in default_texts]) <= 75
    assert 350 <= np.median([len(body) for _, body in default_texts if body]) <= 900


def test_three_languages_mostly_french(default_plans: list[Plan]) -> None:
    shares = Counter(plan.text.language for plan in default_plans)
    assert 0.7 < shares["fr"] / DEFAULT < 0.85
    assert min(shares[language] for language in LANGUAGES) > 0.03 * DEFAULT


def test_texts_hold_html_entities_and_broken_accents(default_texts: list[tuple[str, str]]) -> None:
    bodies = [body for _, body in default_texts if body]
    titles = [title for title, _ in default_texts]
    for sign, share in (("<br", 0.3), ("<li>", 0.08), ("&#39;", 0.2), ("&nbsp;", 0.08)):
        assert sum(sign in body for body in bodies) > share * len(bodies)
    assert sum("&eacute;" in body for body in bodies) > 0.05 * len(bodies)
    misread = re.compile("Ã[\x80-\xbf]")
    for kind in (misread, re.compile(r"\w\?\w"), re.compile(r"\w¿\w")):
        assert 0.004 < sum(bool(kind.search(title)) for title in titles) / DEFAULT < 0.03


def test_cleaning_repairs_what_was_misread(default_texts: list[tuple[str, str]]) -> None:
    misread = [title for title, _ in default_texts if "Ã©" in title]
    assert misread
    assert all("é" in clean_text(title) for title in misread)


def test_repeats_are_as_frequent_as_documented(default_plans: list[Plan]) -> None:
    found = Counter(
        "variant"
        if plan.text.row != plan.row and plan.text.variant == plan.row
        else ("title" if plan.text.variant != plan.row else "")
        + ("photo" if plan.photo.variant != plan.row else "")
        for plan in default_plans
    )
    found["both"] = found.pop("titlephoto")
    for kind, share in REPEATS.items():
        assert found[kind] / DEFAULT == pytest.approx(share, abs=0.015)


def test_repeated_products_have_the_same_title_and_the_same_file(default_plans: list[Plan]) -> None:
    repeat = next(p for p in default_plans if p.row not in (p.text.variant, p.photo.variant))
    original = next(plan for plan in default_plans if plan.row == repeat.text.variant)
    assert text.write(SEED, 0, repeat.text) == text.write(SEED, 0, original.text)
    assert photograph(SEED, 0, repeat.photo) == photograph(SEED, 0, original.photo)


def test_variants_differ_in_little(
    default_plans: list[Plan], default_texts: list[tuple[str, str]]
) -> None:
    """Another colour, size or seller: another title, most of whose words are the same."""
    shared = []
    for plan in default_plans:
        if plan.text.row != plan.row and plan.text.variant == plan.row:
            titles = [default_texts[row][0] for row in (plan.row, plan.text.row)]
            first, second = (set(title.split()) for title in titles)
            shared.append(len(first & second) / len(first | second))
    assert 0.4 < np.mean(shared) < 0.9


def test_defects_are_as_frequent_as_documented(default_plans: list[Plan]) -> None:
    fresh = Counter(plan.photo.defect for plan in default_plans if plan.photo.variant == plan.row)
    for defect, per_thousand in DEFECTS_PER_THOUSAND.items():
        assert fresh[defect] == pytest.approx(per_thousand * DEFAULT / 1000, abs=3)
    broken = {name: share for name, share in DEFECTS_PER_THOUSAND.items() if name != "absent"}
    assert sum(broken.values()) < 10


@pytest.mark.parametrize(("defect", "reason"), [("truncated", "truncated"), ("empty", "empty")])
def test_broken_files_are_refused(default_plans: list[Plan], defect: str, reason: str) -> None:
    image = photograph(SEED, 0, replace(default_plans[0].photo, defect=defect))
    with pytest.raises(ImageError) as caught:
        decode_image(image or b"", 64)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("defect", "file_format", "mode"),
    [("", "JPEG", "RGB"), ("cmyk", "JPEG", "CMYK"), ("grey", "JPEG", "L"), ("png", "PNG", "RGB")],
)
def test_unusual_files_still_decode(
    default_plans: list[Plan], defect: str, file_format: str, mode: str
) -> None:
    image = photograph(SEED, 0, replace(default_plans[0].photo, defect=defect)) or b""
    with Image.open(io.BytesIO(image)) as photo:
        assert (photo.format, photo.mode) == (file_format, mode)
    assert decode_image(image, 64).shape == (64, 64, 3)


def test_absent_files_are_none(default_plans: list[Plan]) -> None:
    assert photograph(SEED, 0, replace(default_plans[0].photo, defect="absent")) is None


def test_a_few_products_are_filed_under_another_class_of_their_group() -> None:
    rows = list(islice(plans(SEED, 0), 8000))
    wrong = [plan for plan in rows if plan.text.code != plan.code and plan.text.row == plan.row]
    assert len(wrong) / len(rows) == pytest.approx(MISLABELLED, abs=0.006)
    assert all(set(groups_of(plan.code)) & set(groups_of(plan.text.code)) for plan in wrong)


def test_text_and_photo_are_ambiguous_independently(default_plans: list[Plan]) -> None:
    """Within a class, a vague title says nothing of how telling the photo is."""
    residues = []
    for code in NAMES:
        rows = [plan for plan in default_plans if plan.code == code and plan.text.row == plan.row]
        vague = np.array([[p.text.title != "own", p.photo.kind != "own"] for p in rows], float)
        residues.append(vague - vague.mean(axis=0))
    assert abs(np.corrcoef(np.concatenate(residues).T)[0, 1]) < 0.08


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_template_can_be_filled(language: str) -> None:
    """Whatever class, group and kind of title: no list is missing, no brace is left over."""
    plan = next(plans(SEED, 0)).text
    for code in NAMES:
        for group in groups_of(code) or [""]:
            for row, title in enumerate(["own", "any", "shared"] * 8):
                if title == "shared" and not group:
                    continue
                drawn = replace(
                    plan,
                    row=row,
                    variant=row,
                    code=code,
                    group=group,
                    language=language,
                    title=title,
                    description=("telling", "vague")[row % 2],
                )
                written = "".join(text.write(SEED, 0, drawn))
                assert written
                assert not re.search(r"[{}]", written)


def test_looks_name_objects_shapes_and_classes_that_exist() -> None:
    document = looks()
    objects = document["objects"] | document["blank_objects"]
    assert list(document["classes"]) == list(vocabulary()["classes"]) == list(NAMES)
    assert list(document["shared"]) == list(vocabulary()["groups"])
    settings = [*document["classes"].values(), *document["shared"].values(), document["blank"]]
    used = {name for look in settings for name in look["objects"]}
    assert used == set(objects)
    assert not SHAPES.keys() & CLUSTERS.keys()


@pytest.mark.parametrize("seed", range(3))
def test_every_object_can_be_painted(seed: int) -> None:
    document = looks()
    for name, look in (document["objects"] | document["blank_objects"]).items():
        image = paint(np.random.default_rng(seed), look, (200, 40, 40), "Un Titre À Lire", 90)
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema()[1] == 255, name


def test_text_alone_is_useful_but_leaves_much_to_do(
    default_plans: list[Plan], default_texts: list[tuple[str, str]]
) -> None:
    """TF-IDF and a linear model: 0.80 on the real data."""
    fresh = [plan.row for plan in default_plans if plan.text.row == plan.row]
    texts = [join_text(*default_texts[row]) for row in fresh]
    codes = np.array([default_plans[row].code for row in fresh])
    train = np.arange(len(fresh)) % 6 != 0
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=3)
    features = vectorizer.fit_transform(texts)
    model = LinearSVC().fit(features[train], codes[train])
    score = f1_score(codes[~train], model.predict(features[~train]), average="weighted")
    assert 0.70 < score < 0.87


def test_memory_does_not_grow_with_the_catalogue(tmp_path: Path) -> None:
    """400 photos of 20 KB or more would be 8 MB and their pixels 300 MB."""
    code = (
        "import resource; from pathlib import Path; from stages.sample import catalogue as c;"
        "c.ALONE = 10**9; c.write_catalogue(Path({!r}), {}, 0, 1);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    small, large = (
        int(in_another_process(code.format(str(tmp_path / str(products)), products), 0))
        for products in (60, 400)
    )
    assert large < 1.06 * small
