"""Rows of files that people and programs write, and of files that only an attacker would."""

import csv
import io
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from api.batches.csv_rows import CsvRows
from api.batches.images import NoImages
from api.batches.products import Row, products
from api.batches.source import check_encoding, count_rows, open_rows
from api.problems import Problem, reason
from api.settings import Settings
from tests.api.batch_files import HEADER, as_csv, as_json_lines
from tests.api.service import SECRET

SETTINGS = Settings(secret=SECRET, max_text_characters=1000)
LIMIT = 8 * 1000 + 65_536


def read(content: bytes, start: int = 1) -> list[Row]:
    rows = open_rows(io.BytesIO(content), SETTINGS)
    return list(products(rows, start, NoImages(), SETTINGS))


def titles(content: bytes) -> list[str | None]:
    """Titles, or why there are none."""
    return [
        row.product.designation if row.product else reason(row.problem) for row in read(content)
    ]


def refusal(content: bytes) -> Problem:
    with pytest.raises(Problem) as raised:
        read(content)
    assert raised.value.status_code == 422
    return raised.value


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_every_usual_dialect_is_read(separator: str, bom: bytes, line_end: bytes) -> None:
    content = as_csv([HEADER, [7, "a;b, c\td", 'il dit "oui"', 5, 6]], separator)
    (row,) = read(bom + content.replace(b"\n", line_end))
    assert (row.number, row.ids.product_identifier) == (1, "7")
    assert (row.product.designation, row.product.description) == ("a;b, c\td", 'il dit "oui"')
    assert (row.ids.product_id, row.ids.imageid) == (5, 6)


def test_the_api_names_are_read_in_any_order_and_others_are_told() -> None:
    content = b"Prix,IMAGE, designation ,product_identifier,\n3,x.jpg,livre,moi,\n"
    rows = open_rows(io.BytesIO(content), SETTINGS)
    (row,) = products(rows, 1, NoImages(), SETTINGS)
    assert (row.image_files, row.product.designation) == (("x.jpg", True), "livre")
    assert (row.ids.product_identifier, rows.ignored) == ("moi", ["prix"])


def test_an_index_as_pandas_writes_it_identifies_the_row() -> None:
    (row,) = read(b"Unnamed: 0,designation\n84916,livre\n")
    assert row.ids.product_identifier == "84916"


def test_empty_cells_are_missing_and_blank_lines_are_no_rows() -> None:
    rows = read(b"designation,description,productid\n\nlivre,,\n\r\n,x,\n")
    assert [row.number for row in rows] == [1, 2]
    assert (rows[0].product.description, rows[0].ids.product_id) == (None, None)
    assert rows[1].product.designation is None


def test_fields_keep_their_line_breaks_and_nul_bytes() -> None:
    assert titles(b'designation,description\n"a\nb",\n"c\x00d",\n') == ["a\nb", "c\x00d"]


def test_formulas_are_texts() -> None:
    content = as_csv([["designation"], ["=1+1"], ["@SUM(A1)"], ["-2"]])
    assert titles(content) == ["=1+1", "@SUM(A1)", "-2"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"livre,manette\n1,2\n", "missing_columns"),
        (b"description,imageid\nx,1\n", "missing_columns"),
        (b"designation,Designation\nx,y\n", "duplicate_columns"),
        (b"designation,productid,product_id\nx,1,2\n", "duplicate_columns"),
        (b'"designation\nx\n', "missing_columns"),
        (b"[1, 2]\n", "missing_columns"),
        (b"," * 100_000, "missing_columns"),
        ("désignation,été\n".encode("latin-1"), "encoding"),
    ],
)
def test_a_file_that_no_row_can_be_read_of_is_refused(content: bytes, why: str) -> None:
    assert reason(refusal(content)) == why


@pytest.mark.parametrize("before", [0, 3, 200_000])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_the_first_line_that_is_not_utf8_is_named(before: int, encoding: str) -> None:
    """Also far behind, where another block of the file begins."""
    good = "designation\n" + "été\n" * before
    problem = refusal(good.encode() + "été\n".encode(encoding))
    assert problem.extra["line"] == before + 2
    assert f"Ligne {before + 2} " in problem.detail


def test_utf16_is_named_as_no_utf8() -> None:
    assert refusal("designation\nlivre\n".encode("utf-16")).extra["line"] == 1


def test_a_character_may_lie_across_two_blocks() -> None:
    for offset in range(4):
        check_encoding(io.BytesIO(b"x" * ((1 << 20) - offset) + "😀\n".encode() * 10))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'"jouet,', "malformed"),
        (b'"jouet"x,', "malformed"),
        (b'"', "malformed"),
        (b"jouet", "columns"),
        (b"a,b,c", "columns"),
        (b"jou\ret,", "malformed"),
        (b"x" * (LIMIT + 5) + b",", "too_long"),
        (b'"' + b"x" * (LIMIT + 5), "too_long"),
    ],
)
def test_a_row_that_is_malformed_spoils_no_other(bad: bytes, why: str) -> None:
    content = b"designation,description\nlivre,a\n" + bad + b'\nmanette,"b ""c"""\npiscine,"d"\n'
    assert titles(content) == ["livre", why, "manette", "piscine"]
    assert titles(content.rstrip(b"\n")) == ["livre", why, "manette", "piscine"]


def test_the_line_of_a_malformed_row_is_told() -> None:
    rows = read(b'designation\n"a\nb"\n\n"c\nd\ne\n')
    assert [(row.number, row.problem and row.problem.extra["line"]) for row in rows] == [
        (1, None),
        (2, 5),
        (3, None),
        (4, None),
    ]
    assert "Ligne 5 du fichier" in rows[1].problem.detail


def test_a_record_of_endless_cells_is_given_up() -> None:
    """Each line closes the quote of the one before and opens another: no cell is ever long."""
    content = b"designation\n" + b'x","\n' * 100_000
    rows = CsvRows(io.BytesIO(content), 10_000)
    start = time.process_time()
    for raw, _ in zip(rows, range(20), strict=False):
        assert reason(raw.problem) in {"too_long", "malformed", "columns"}
    assert time.process_time() - start < 10


def test_a_field_of_a_gigabyte_is_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "products.csv").open("w+b") as file:
        file.write(b"designation\nlivre\n")
        file.truncate(1 << 30)
        tracemalloc.start()
        first, second = CsvRows(file, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (first.fields, reason(second.problem)) == ({"designation": "livre"}, "too_long")
    assert peak < 20 * LIMIT


def test_json_lines_are_read_as_predict_reads_json() -> None:
    content = b"\xef\xbb\xbf" + as_json_lines(
        [
            {"designation": "livre", "product_id": 5, "product_identifier": "a"},
            {"designation": "jouet", "productid": "6", "imageid": 7},
        ]
    )
    rows = read(content.replace(b"\n", b"\r\n\n"))
    assert [row.ids.product_id for row in rows] == [5, 6]
    assert [row.product.designation for row in rows] == ["livre", "jouet"]
    assert rows[1].image_files == ("image_7_product_6.jpg", False)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"designation": "x"', "json"),
        (b'["designation"]', "json"),
        (b"[" * 5000, "json"),
        (b'{"designation": "\\ud800"}', "json"),
        (b'{"designation": 5}', "validation"),
        (b'{"titre": "x"}', "validation"),
        (b'{"designation": "x", "product_id": -1}', "validation"),
        (b'{"designation": "x", "product_id": 1e400}', "validation"),
        (b'{"designation": "x", "productid": 1, "product_id": 1}', "validation"),
        (b'{"designation": "x", "image": "photo.jpg"}', "validation"),
        (b'{"designation": "%s"}' % (b"x" * 1001), "text_too_long"),
    ],
)
def test_a_wrong_line_spoils_no_other(line: bytes, why: str) -> None:
    good = b'{"designation": "livre"}'
    assert titles(good + b"\n" + line + b"\n" + good) == ["livre", why, "livre"]


def test_a_line_of_json_that_is_too_long_is_skipped() -> None:
    settings = Settings(secret=SECRET, max_text_characters=10, max_image_bytes=10)
    good = b'{"designation": "livre"}\n'
    content = good + b'{"designation": "' + b"x" * 500_000 + b'"}\n' + good
    rows = open_rows(io.BytesIO(content), settings)
    told = list(products(rows, 1, NoImages(), settings))
    assert [row.problem and reason(row.problem) for row in told] == [None, "too_long", None]


def test_identifiers_of_a_wrong_row_are_told_as_far_as_they_are_right() -> None:
    content = as_csv(
        [
            ["product_identifier", "designation", "productid", "imageid"],
            ["a" * 300, "x", "12", str(2**63)],
            ["b", "x" * 1001, "-3", "7"],
        ]
    )
    first, second = read(content)
    assert (first.ids.product_identifier, first.ids.product_id) == ("a" * 200, 12)
    assert (first.ids.imageid, reason(first.problem)) == (None, "validation")
    assert (second.ids.product_id, second.ids.imageid) == (None, 7)


def test_rows_before_the_start_are_skipped_and_numbers_stay() -> None:
    content = b'designation\nlivre\n"\nmanette\njouet\n'
    assert [row.number for row in read(content, start=3)] == [3, 4]
    assert read(content, start=3)[0].product.designation == "manette"
    assert read(content, start=99) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=20), st.sampled_from([",", ";", "\t"]))
@examples(deadline=None)
def test_whatever_csv_writes_is_read_back(rows: list[tuple[str, str]], separator: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([("designation", "description"), *rows])
    told = read(text.getvalue().encode())
    assert [row.problem for row in told] == [None] * len(rows)
    assert [(row.product.designation or "", row.product.description or "") for row in told] == rows


@given(st.binary(max_size=400))
@examples(deadline=None)
def test_any_bytes_are_refused_or_read_to_the_end(content: bytes) -> None:
    """Every line is read as part of some row, and each row is told by one number."""
    for head in (b"designation,description\n", b'{"designation": "x"}\n'):
        if not is_utf8(content):
            assert reason(refusal(head + content)) == "encoding"
            continue
        told = read(head + content)
        assert [row.number for row in told] == list(range(1, len(told) + 1))
        assert count_rows(open_rows(io.BytesIO(head + content), SETTINGS)) == len(told)
        assert len(told) <= (head + content).count(b"\n") + 1
        assert all((row.product is None) is (row.problem is not None) for row in told)


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
