"""Archives from anywhere: what is read, and what is refused before anything is unpacked."""

import io
import os
import random
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.archive import ArchiveError, ImageArchive, Limits, image_name, is_image_name

NAME = "image_1_product_2.jpg"
ROOT = Path(__file__).parents[2]
SHARED_TMP = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Entries = list[tuple[zipfile.ZipInfo | str, bytes]]


def packed(entries: Entries, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file as the library writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for entry, content in entries:
            if isinstance(entry, zipfile.ZipInfo):
                entry.compress_type = compression
            archive.writestr(entry, content)
    return buffer.getvalue()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "images.zip"
        path.write_bytes(content)
        return path

    return write


def refusal(path: Path, limits: Limits | None = None) -> str:
    """Why an archive is not opened."""
    with pytest.raises(ArchiveError) as caught:
        ImageArchive(path, limits or Limits())
    message = str(caught.value)
    assert message.startswith(f"archive {path}")
    assert "; " in message
    return message


def test_reads_images_by_base_name_whatever_their_folder(save):
    entries: Entries = [
        (NAME, b"one"),
        ("images/image_train/image_3_product_4.jpg", b"two"),
        ("./image_test/image_5_product_6.jpg", b""),
    ]
    with ImageArchive(save(packed(entries))) as archive:
        assert list(archive.members) == [
            NAME,
            "image_3_product_4.jpg",
            "image_5_product_6.jpg",
        ]
        assert archive.read(NAME) == b"one"
        assert archive.read("image_3_product_4.jpg") == b"two"
        assert archive.read("image_5_product_6.jpg") == b""
        assert archive.read("image_9_product_9.jpg") is None


def test_ignores_what_is_no_image(save):
    entries: Entries = [
        ("image_1_product_2.jpg/", b""),
        ("__MACOSX/image_train/image_1_product_2.jpg", b"x"),
        ("__MACOSX/image_train/._image_1_product_2.jpg", b"x"),
        ("image_1_product_2.jpeg", b"x"),
        ("image_1_product_2.jpg.exe", b"x"),
        ("image_a_product_2.jpg", b"x"),
        ("image_١_product_2.jpg", b"x"),
        ("thumbs.db", b"x"),
    ]
    with ImageArchive(save(packed(entries))) as archive:
        assert archive.members == {}


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_an_image_name_is_recognised(imageid, productid):
    assert is_image_name(image_name(imageid, productid))


@SHARED_TMP
@given(
    st.dictionaries(st.integers(0, 10**10), st.binary(max_size=2_000), max_size=20),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_gives_back_what_was_packed(save, images, compression):
    entries: Entries = [(f"a/b/{image_name(key, 1)}", images[key]) for key in images]
    with ImageArchive(save(packed(entries, compression))) as archive:
        found = {name: archive.read(name) for name in archive.members}
    assert found == {image_name(key, 1): images[key] for key in images}


@SHARED_TMP
@given(st.lists(st.sampled_from(["..", ".", "", "a", "b:", "\\", "é", "C:"]), min_size=1))
@example([".."])
@example(["", "etc"])
@example(["a", "..", "..", "etc"])
def test_no_name_leads_out_of_the_archive(save, tmp_path, parts):
    """An archive that opens would unpack below its folder even with the simplest of tools."""
    name = "/".join([*parts, NAME])
    path = save(packed([(zipfile.ZipInfo(name), b"x")]))
    try:
        ImageArchive(path).close()
    except ArchiveError:
        return
    place = os.path.normpath(os.path.join(tmp_path, name))  # noqa: PTH118
    assert place.startswith(str(tmp_path) + os.sep)
    assert "\\" not in name
    assert not name.startswith("C:")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../" + NAME, "'..'"),
        ("a/../../" + NAME, "'..'"),
        ("/etc/" + NAME, "absolute"),
        ("C:/" + NAME, "drive"),
        ("c:" + NAME, "drive"),
        ("a\\..\\" + NAME, "backslash"),
        ("\\\\server\\share\\" + NAME, "backslash"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(save, name, reason):
    message = refusal(save(packed([(name, b"x")])))
    assert reason in message
    assert repr(name) in message


def test_a_null_character_hides_no_name(save):
    content = packed([("xmage_1_product_2.jpg", b"x")]).replace(b"xmage", b"x\0age")
    assert "null" in refusal(save(content))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(save, kind):
    entry = zipfile.ZipInfo(NAME)
    entry.external_attr = (kind | 0o777) << 16
    assert "link or a special" in refusal(save(packed([(entry, b"/etc/passwd")])))


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """An archive of one entry with other bytes in its place of the central directory."""
    start = content.rindex(b"PK\x01\x02") + offset
    return content[:start] + value + content[start + len(value) :]


def test_encrypted_entries_are_refused(save):
    content = patched(packed([(NAME, b"x")]), 8, struct.pack("<H", 1))
    assert "encrypted" in refusal(save(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_whose_output_has_no_bound_are_refused(save, method):
    assert "method" in refusal(save(packed([(NAME, b"x" * 99)], method)))


def test_an_entry_that_claims_to_be_huge_is_refused(save):
    content = patched(packed([(NAME, b"x")]), 24, struct.pack("<I", 50_000_001))
    assert "50,000,001 bytes" in refusal(save(content))


def test_a_ratio_no_image_has_is_refused(save):
    """Noise and photos don't shrink; a megabyte of zeros does a thousandfold."""
    assert "200 times" in refusal(save(packed([(NAME, bytes(10**6))], zipfile.ZIP_DEFLATED)))


def test_a_total_over_the_limit_is_refused(save):
    entries: Entries = [(image_name(i, 1), b"x" * 100) for i in range(10)]
    path = save(packed(entries))
    assert "1,000 bytes once unpacked, the limit is 999" in refusal(path, Limits(total_bytes=999))
    ImageArchive(path, Limits(total_bytes=1000)).close()


def test_too_many_entries_are_refused(save):
    entries: Entries = [(image_name(i, 1), b"") for i in range(10)]
    path = save(packed(entries))
    assert "more than 9 entries" in refusal(path, Limits(entries=9))
    ImageArchive(path, Limits(entries=10)).close()


def test_a_count_that_lies_does_not_help(save):
    """The directory itself is counted as well."""
    entries: Entries = [(image_name(i, 1), b"") for i in range(10)]
    content = packed(entries)
    content = content[:-14] + struct.pack("<HH", 1, 1) + content[-10:]
    assert "10 entries, the limit is 9" in refusal(save(content), Limits(entries=9))
    assert "more than 3 entries" in refusal(save(content), Limits(entries=3))


def kernel_bomb(copies: int, size: int) -> bytes:
    """An archive whose entries all share one compressed kernel, at the same place."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = deflate.compress(random.Random(0).randbytes(size)) + deflate.flush()
    single = packed([(NAME, b"")])
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(kernel), size, len(NAME), 0)
    body = head + NAME.encode() + kernel
    central = b"".join(
        struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(kernel), size),
            *(len(image_name(i, 1)), 0, 0, 0, 0, 0, 0),
        )
        + image_name(i, 1).encode()
        for i in range(copies)
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, copies, copies, len(central), len(body), 0)
    assert single.startswith(b"PK\3\4")
    return body + central + end


def test_entries_that_share_bytes_are_refused(save):
    """A zip bomb: little on disk, much once unpacked, and no entry suspicious by itself."""
    assert "overlaps" in refusal(save(kernel_bomb(copies=100, size=10_000)))
    with ImageArchive(save(kernel_bomb(copies=1, size=10_000))) as archive:
        assert len(archive.members) == 1


def test_entries_that_quote_each_other_are_refused(save):
    """The second entry lies within the data of the first."""
    inner = packed([("image_3_product_4.jpg", b"x" * 50)])
    content = packed([(NAME, inner)])
    start = content.index(inner)
    first = patched(content, 0, b"")
    directory = first.rindex(b"PK\x01\x02")
    entry = inner[inner.rindex(b"PK\x01\x02") : inner.rindex(b"PK\5\6")]
    entry = entry[:42] + struct.pack("<I", start) + entry[46:]
    end = first.rindex(b"PK\5\6")
    central = first[directory:end] + entry
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, len(central), directory, 0)
    assert "overlaps" in refusal(save(first[:directory] + central + tail))


def test_two_images_of_one_name_are_refused_unless_they_are_the_same(save):
    entries: Entries = [("a/" + NAME, b"one"), ("b/" + NAME, b"one")]
    with ImageArchive(save(packed(entries))) as archive:
        assert archive.read(NAME) == b"one"
    entries[1] = ("b/" + NAME, b"two")
    message = refusal(save(packed(entries)))
    assert f"'a/{NAME}'" in message
    assert f"'b/{NAME}'" in message


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>502</html>", b"PK\5\6" + bytes(17)])
def test_what_is_no_archive_is_refused(save, content):
    assert "not a whole zip file" in refusal(save(content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "no such file; run the import stage" in refusal(tmp_path / "none.zip")
    assert "not a whole zip file" in refusal(tmp_path)


def test_a_damaged_entry_is_found_when_it_is_read(save):
    """By its checksum; the others can still be read."""
    content = packed([(NAME, b"one"), ("image_3_product_4.jpg", b"two")])
    with ImageArchive(save(content.replace(b"two", b"2wo"))) as archive:
        assert archive.read(NAME) == b"one"
        with pytest.raises(ArchiveError, match=r"entry 'image_3_product_4.jpg': Bad CRC"):
            archive.read("image_3_product_4.jpg")


def test_an_entry_longer_than_it_says_fills_no_memory(save):
    """60 MB in 60 kB that claim to be a thousand bytes: what comes is an error, not 60 MB."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(deflate.compress(bytes(10**6)) for _ in range(60)) + deflate.flush()
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(data), 1000, len(NAME), 0)
    body = head + NAME.encode() + data
    central = struct.pack(
        "<4s6H3I5H2I",
        *(b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(data), 1000, len(NAME), 0, 0, 0, 0, 0, 0),
    )
    central += NAME.encode()
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(body), 0)
    path = save(body + central + end)
    program = (
        "import sys, tracemalloc; from pathlib import Path; from api.archive import *\n"
        "tracemalloc.start(); archive = ImageArchive(Path(sys.argv[1]))\n"
        f"try: archive.read('{NAME}')\n"
        "except ArchiveError as error: print(error, file=sys.stderr)\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "CRC" in run.stderr
    assert int(run.stdout) < 5_000_000


@SHARED_TMP
@given(st.data())
def test_no_damage_goes_unnoticed_or_unexplained(save, data):
    """Whatever bytes are changed or lost, an image is right, or there is an ArchiveError."""
    images = {image_name(i, 1): bytes([i]) * 40 for i in range(4)}
    content = bytearray(packed(list(images.items()), zipfile.ZIP_DEFLATED))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) - 60, len(content))) :]
    try:
        with ImageArchive(save(bytes(content))) as archive:
            found = {name: archive.read(name) for name in images if name in archive.members}
    except ArchiveError:
        return
    assert found.items() <= images.items()


def test_many_threads_read_the_same_archive(save):
    images = {image_name(i, 1): random.Random(i).randbytes(5_000) for i in range(200)}
    path = save(packed(list(images.items()), zipfile.ZIP_DEFLATED))
    barrier = threading.Barrier(8)
    with ImageArchive(path) as archive, ThreadPoolExecutor(8) as pool:

        def read_all(_: int) -> dict[str, bytes | None]:
            barrier.wait()
            return {name: archive.read(name) for name in archive.members}

        assert all(found == images for found in pool.map(read_all, range(8)))


def test_entries_take_little_memory(save):
    """Below a kilobyte each: 100 MB for the challenge's archive."""
    entries: Entries = [
        (zipfile.ZipInfo(f"images/image_train/{image_name(10**9 + i, 10**9 + i)}"), b"")
        for i in range(10_000)
    ]
    path = save(packed(entries))
    tracemalloc.start()
    with ImageArchive(path) as archive:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(archive.members) == 10_000
    assert peak < 10_000_000


def test_an_open_archive_is_closed_when_it_is_refused(save):
    """Warnings are errors here, and an unclosed file would give one."""
    assert "'..'" in refusal(save(packed([("../" + NAME, b"x")])))
