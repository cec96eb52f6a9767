"""The folder source: images as an archive or as files, and links."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import layout
import pytest

from stages import folder
from stages.raw import SourceError

TABLES = {name: text.encode() for name, text in layout.TABLES.items()}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_copies_the_four_files(tmp_path, target):
    files = layout.catalogue()
    folder.fetch(layout.write(tmp_path / "shop", files), target)
    assert layout.contents(target) == files


def test_a_copy_shares_nothing_with_its_source(tmp_path, target):
    """DVC makes cached files read-only: a hard link would make the user's file so."""
    source = layout.write(tmp_path / "shop", layout.catalogue())
    folder.fetch(source, target)
    assert not (target / "images.zip").samefile(source / "images.zip")


@pytest.mark.parametrize("above", ["", "images/", "download/2024/"])
def test_packs_a_tree_of_images(tmp_path, target, above):
    images = {above + name: content for name, content in layout.IMAGES.items()}
    folder.fetch(layout.write(tmp_path / "shop", TABLES | images), target)
    assert unpacked(target / "images.zip") == images


def test_packs_images_without_further_folders(tmp_path, target):
    images = {"images/image_1_product_2.jpg": b"one"}
    folder.fetch(layout.write(tmp_path / "shop", TABLES | images), target)
    assert unpacked(target / "images.zip") == images


def test_packs_nothing_else(tmp_path, target):
    other = {
        "image_train/.DS_Store": b"",
        "image_train/image_1_product_2.png": b"",
        "thumbnails/image_21_product_11.jpg": b"",
    }
    folder.fetch(layout.write(tmp_path / "shop", TABLES | layout.IMAGES | other), target)
    assert unpacked(target / "images.zip") == layout.IMAGES


def test_the_same_images_give_the_same_archive(tmp_path):
    """Whatever the order in which they were written, their dates and their modes."""
    sums = set()
    for turn, order in enumerate([sorted(layout.IMAGES), sorted(layout.IMAGES)[::-1]]):
        files = TABLES | {name: layout.IMAGES[name] for name in order}
        source = layout.write(tmp_path / f"shop{turn}", files)
        for path in source.rglob("*.jpg"):
            path.chmod(0o600 + turn * 0o044)
            os.utime(path, (turn * 10**8, turn * 10**8))
        (tmp_path / f"target{turn}").mkdir()
        folder.fetch(source, tmp_path / f"target{turn}")
        packed = (tmp_path / f"target{turn}/images.zip").read_bytes()
        sums.add(hashlib.sha256(packed).hexdigest())
    assert len(sums) == 1


def test_entries_are_stored_in_order_with_one_date(tmp_path, target):
    folder.fetch(layout.write(tmp_path / "shop", TABLES | layout.IMAGES), target)
    with zipfile.ZipFile(target / "images.zip") as archive:
        found = [(i.filename, i.compress_type, i.date_time) for i in archive.infolist()]
    date = (1980, 1, 1, 0, 0, 0)
    assert found == [(name, zipfile.ZIP_STORED, date) for name in sorted(layout.IMAGES)]


@pytest.mark.parametrize("name", ["X_train_update.csv", "images.zip"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, target, name):
    source = layout.write(tmp_path / "shop", layout.catalogue())
    (source / name).rename(tmp_path / "elsewhere")
    (source / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=f"{name} from .*leads out of the folder, to .*elsewhere"):
        folder.fetch(source, target)


@pytest.mark.parametrize("link", ["image_train/image_1_product_2.jpg", "image_train/more", "more"])
def test_a_link_out_of_the_tree_is_refused(tmp_path, target, link):
    source = layout.write(tmp_path / "shop", TABLES | layout.IMAGES)
    (source / link).symlink_to(tmp_path)
    with pytest.raises(SourceError, match=f"{link} from .*leads out of the folder"):
        folder.fetch(source, target)


def test_links_inside_the_folder_are_followed_once(tmp_path, target):
    """A linked file is an image of its own; a linked folder is met at its own place."""
    source = layout.write(tmp_path / "shop", TABLES | layout.IMAGES)
    (source / "image_test/image_1_product_2.jpg").symlink_to("image_23_product_13.jpg")
    (source / "image_test/again").symlink_to("..")
    folder.fetch(source, target)
    more = {"image_test/image_1_product_2.jpg": b"third"}
    assert unpacked(target / "images.zip") == layout.IMAGES | more


def test_a_missing_folder_hints_at_the_root(target):
    with pytest.raises(SourceError, match=r"no such folder .*shop/none.*--temp.*absolute path"):
        folder.fetch(Path("shop/none"), target)


@pytest.mark.parametrize("name", [*TABLES, "images.zip"])
def test_a_missing_file_is_named(tmp_path, target, name):
    files = layout.catalogue()
    del files[name]
    with pytest.raises(SourceError, match=f"{name} from .*shop: no such file.*it has to hold"):
        folder.fetch(layout.write(tmp_path / "shop", files), target)


def test_memory_stays_flat(tmp_path, target):
    """200 MB in two files are packed with less than a tenth of that in memory."""
    source = layout.write(tmp_path / "shop", TABLES | layout.IMAGES)
    for number in range(2):
        with (source / f"image_train/image_{number}_product_1.jpg").open("wb") as file:
            file.truncate(100_000_000)
    program = (
        "import sys, tracemalloc; from pathlib import Path; from stages import folder\n"
        "tracemalloc.start(); folder.fetch(*map(Path, sys.argv[1:]))\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, source, target],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert int(run.stdout) < 20_000_000
    assert (target / "images.zip").stat().st_size > 200_000_000
