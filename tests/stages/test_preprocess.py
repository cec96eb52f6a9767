"""The preprocess stage: what it refuses, what it drops, repairs and keeps, and what it writes."""

import json
import re
import shutil
from pathlib import Path

import ftfy
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import raw_folder
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api import inputs, labels
from stages import preprocess
from stages.catalogue import CatalogueError
from stages.csv_files import CsvError
from stages.raw import X_TEST, X_TRAIN, Y_TRAIN
from stages.schema import SchemaError

ROOT = raw_folder.ROOT
SAMPLE = ROOT.parent / "shared" / "rakuten-sample"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(root: Path, raw: raw_folder.Raw | None = None) -> Path:
    """Runs the stage on a catalogue, or on what is in data/raw already."""
    if raw is not None:
        raw.write(root)
    preprocess.main(root / "data/raw", root / "data/preprocessed", root / "metrics/preprocess")
    return root / "data/preprocessed"


def edit(root: Path, name: str, change) -> None:
    """Changes the bytes of a table in data/raw."""
    path = root / "data" / "raw" / name
    path.write_bytes(change(path.read_bytes()))


def quarantined(preprocessed: Path) -> list[tuple[str, str, str, str]]:
    table = pd.read_csv(preprocessed / "quarantine.csv", dtype="str", keep_default_na=False)
    assert list(table.columns) == ["file", "row", "action", "reason", "designation"]
    return list(table.drop(columns="designation").itertuples(index=False, name=None))


def test_a_clean_catalogue_passes_whole(root):
    preprocessed = run(root, raw_folder.catalogue())
    assert quarantined(preprocessed) == []
    assert sorted(raw_folder.labelled(preprocessed).index) == list(range(100, 160))
    assert "image" in (preprocessed / "report.html").read_text(encoding="utf-8")


def test_columns_and_types_are_those_that_later_stages_read(root):
    preprocessed = run(root, raw_folder.catalogue())
    text = ["designation", "description", "text", "image"]
    expected = {
        **dict.fromkeys(["row", "productid", "imageid"], pa.int64()),
        **dict.fromkeys(text, pa.string()),
        **dict.fromkeys(["code", "label"], pa.int32()),
    }
    for name in ("train", "validation", "test", "challenge"):
        schema = pq.read_schema(preprocessed / f"{name}.parquet")
        wanted = set(expected) - ({"code", "label"} if name == "challenge" else set())
        assert set(schema.names) == wanted
        assert all(schema.field(column).type == expected[column] for column in wanted)


# Mistakes of the predecessor


def test_the_text_of_a_row_is_made_of_that_row(root):
    """Not of str() of a whole column, and the same way as serving makes it."""
    raw = raw_folder.catalogue()
    raw.x[7] = raw_folder.product(107, "Étagère <b>bleue</b>", "Bois &amp; métal, 90 cm")
    preprocessed = run(root, raw)
    for table in raw_folder.tables(preprocessed).values():
        fields = zip(table["designation"], table["description"], strict=True)
        assert list(table["text"]) == [inputs.join_text(*both) for both in fields]
    row = raw_folder.labelled(preprocessed).loc[107]
    assert row["text"] == "Étagère bleue\nBois & métal, 90 cm"
    assert row["designation"] == "Étagère <b>bleue</b>"
    assert row["description"] == "Bois &amp; métal, 90 cm"


def test_labels_are_ordered_as_numbers(root):
    """As strings, 1140 would stand before 40 and the two branches would mix up classes."""
    preprocessed = run(root, raw_folder.catalogue())
    codes = [label["code"] for label in labels.read(preprocessed / "labels.json")]
    assert codes == [10, 40, 1140] != sorted(codes, key=str)
    table = raw_folder.labelled(preprocessed)
    assert list(table["code"]) == [codes[label] for label in table["label"]]


def test_x_and_y_are_joined_on_the_row_index_not_by_position(root):
    raw = raw_folder.catalogue()
    expected = {int(row): int(code) for row, code in raw.y}
    raw.x.reverse()
    raw.y = raw.y[17:] + raw.y[:17]
    table = raw_folder.labelled(run(root, raw))
    assert table["code"].to_dict() == expected
    assert all(table.loc[row, "designation"] == f"Produit {row - 100}" for row in expected)


# Structure


@pytest.mark.parametrize("column", ["designation", "description", "productid", "imageid"])
def test_a_missing_column_is_named(root, column):
    raw_folder.catalogue().write(root)
    edit(root, X_TRAIN, lambda data: data.replace(column.encode(), b"other", 1))
    with pytest.raises(SchemaError, match=rf"{X_TRAIN}.*'other'.*expected.*'{column}'"):
        run(root)


def test_swapped_x_and_y_files_are_recognised(root):
    raw = raw_folder.catalogue().write(root)
    kept = (raw / X_TRAIN).read_bytes()
    shutil.copyfile(raw / Y_TRAIN, raw / X_TRAIN)
    with pytest.raises(SchemaError, match=rf"{X_TRAIN}.*holds labels: swap the X and Y files"):
        run(root)
    (raw / X_TRAIN).write_bytes(kept)
    (raw / Y_TRAIN).write_bytes(kept)
    with pytest.raises(SchemaError, match=rf"{Y_TRAIN}.*holds products: swap the X and Y files"):
        run(root)


def test_files_without_a_common_row_index_are_refused(root):
    raw = raw_folder.catalogue()
    raw.y = [[str(int(row) + 5000), code] for row, code in raw.y]
    with pytest.raises(SchemaError, match=r"no row index in common \(100 to 159 and 5100 to 5159"):
        run(root, raw)


@pytest.mark.parametrize("name", [X_TRAIN, Y_TRAIN])
def test_a_table_without_rows_is_refused(root, name):
    raw_folder.catalogue().write(root)
    edit(root, name, lambda data: data.split(b"\n")[0] + b"\n")
    with pytest.raises(SchemaError, match=rf"{name}: no usable rows"):
        run(root)


@pytest.mark.parametrize("name", [X_TRAIN, Y_TRAIN, X_TEST])
def test_an_empty_or_missing_file_is_named(root, name):
    raw_folder.catalogue().write(root)
    edit(root, name, lambda _: b"")
    with pytest.raises(CsvError, match=rf"{name}: no header line"):
        run(root)
    (root / "data/raw" / name).unlink()
    with pytest.raises(CsvError, match=rf"{name}: no such file"):
        run(root)


def test_two_columns_of_one_name_are_refused(root):
    raw_folder.catalogue().write(root)
    edit(root, X_TRAIN, lambda data: data.replace(b"imageid", b"productid", 1))
    with pytest.raises(CsvError, match="two columns have one name"):
        run(root)


def test_no_usable_product_is_an_error_that_counts_the_reasons(root):
    raw = raw_folder.catalogue(3)
    raw.images.clear()
    for record in raw.x:
        record[1] = ""
    with pytest.raises(CatalogueError, match=r"none of 3 products.*3 neither text nor image"):
        run(root, raw)


# Bytes


def test_the_byte_and_line_that_are_not_utf_8_are_named(root):
    raw_folder.catalogue().write(root)
    edit(root, X_TRAIN, lambda data: data.replace(b"Produit 3,", "Été,".encode("latin-1"), 1))
    offset = (root / "data/raw" / X_TRAIN).read_bytes().index(b"\xc9")
    message = rf"line 5 has the byte 0xc9 \(byte {offset} of the file\), expected UTF-8"
    with pytest.raises(CsvError, match=message):
        run(root)


def test_a_byte_order_mark_and_windows_line_ends_are_read(root):
    raw_folder.catalogue().write(root)
    edit(root, X_TRAIN, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert len(raw_folder.labelled(run(root))) == 60


def test_a_quote_that_never_closes_is_reported_with_its_line(root):
    raw_folder.catalogue().write(root)
    tail = b'999,"never closed ' + b"x" * 140_000
    edit(root, X_TRAIN, lambda data: data + tail)
    with pytest.raises(CsvError, match=rf"{X_TRAIN}: line 62: field larger.*quote"):
        run(root)


def test_ragged_lines_are_quarantined_and_the_rest_is_read(root):
    raw = raw_folder.catalogue()
    raw.x[2] = ["102", "Trop", "de", "champs", "1", "2"]
    raw.x[4] = ["104", "Trop peu"]
    raw.y[6] = ["106"]
    preprocessed = run(root, raw)
    assert set(raw_folder.labelled(preprocessed).index) == set(range(100, 160)) - {102, 104, 106}
    lines = quarantined(preprocessed)
    assert (X_TRAIN, "102", "dropped", "ragged line: 6 fields, expected 5, up to line 4") in lines
    assert (X_TRAIN, "104", "dropped", "ragged line: 2 fields, expected 5, up to line 6") in lines
    assert (Y_TRAIN, "106", "dropped", "ragged line: 1 fields, expected 2, up to line 8") in lines
    assert (X_TRAIN, "106", "dropped", "no label") in lines
    assert (Y_TRAIN, "102", "dropped", "label without a product") in lines


def test_null_characters_are_removed_and_recorded(root):
    raw_folder.catalogue().write(root)
    edit(root, X_TRAIN, lambda data: data.replace(b"Produit 3,", b"Pro\0duit 3,", 1))
    preprocessed = run(root)
    assert raw_folder.labelled(preprocessed).loc[103, "designation"] == "Produit 3"
    assert quarantined(preprocessed) == [(X_TRAIN, "103", "repaired", "null characters")]


def test_values_that_other_readers_take_for_missing_stay_text(root):
    raw = raw_folder.catalogue()
    for position, title in enumerate(["NA", "null", "nan", "None"]):
        raw.x[position][1] = title
    table = raw_folder.labelled(run(root, raw))
    assert list(table["designation"].sort_index()[:4]) == ["NA", "null", "nan", "None"]


# Rows


def fault_in_x(column: int, value: str):
    def change(raw: raw_folder.Raw) -> None:
        raw.x[5][column] = value

    return change


def fault_in_y(value: str):
    def change(raw: raw_folder.Raw) -> None:
        raw.y[5][1] = value

    return change


def neither(raw: raw_folder.Raw) -> None:
    raw.x[5][1:3] = [" ", "<br>&nbsp;"]
    del raw.images[raw_folder.image(105)]


@pytest.mark.parametrize(
    ("change", "file", "row", "reason"),
    [
        (fault_in_x(0, "abc"), X_TRAIN, "abc", "row index not a whole number: row 'abc'"),
        (fault_in_x(0, ""), X_TRAIN, "", "row index not a whole number: row ''"),
        (fault_in_x(0, "104"), X_TRAIN, "104", "duplicate row index: row '104'"),
        (fault_in_y(""), Y_TRAIN, "105", "label not a positive integer: prdtypecode ''"),
        (fault_in_y("10.5"), Y_TRAIN, "105", "label not a positive integer: prdtypecode '10.5'"),
        (fault_in_y("-10"), Y_TRAIN, "105", "label not a positive integer: prdtypecode '-10'"),
        (fault_in_y("livre"), Y_TRAIN, "105", "label not a positive integer: prdtypecode 'livre'"),
        (lambda raw: raw.y.pop(5), X_TRAIN, "105", "no label"),
        (neither, X_TRAIN, "105", "neither text nor image"),
    ],
)
def test_a_train_row_that_can_not_be_used_is_dropped_with_its_reason(
    root, change, file, row, reason
):
    raw = raw_folder.catalogue()
    change(raw)
    preprocessed = run(root, raw)
    assert sorted(raw_folder.labelled(preprocessed).index) == sorted({*range(100, 160)} - {105})
    assert (file, row, "dropped", reason) in quarantined(preprocessed)


def test_of_two_rows_with_one_index_the_first_stays(root):
    raw = raw_folder.catalogue()
    raw.x[5][0] = "104"
    assert raw_folder.labelled(run(root, raw)).loc[104, "designation"] == "Produit 4"


def test_of_two_labels_for_one_row_the_first_stays(root):
    raw = raw_folder.catalogue()
    raw.y.append(["104", "2583"])
    preprocessed = run(root, raw)
    assert raw_folder.labelled(preprocessed).loc[104, "code"] == int(raw.y[4][1])
    assert (Y_TRAIN, "104", "dropped", "duplicate row index: row '104'") in quarantined(
        preprocessed
    )


def test_numbers_written_as_floating_point_are_the_same_numbers(root):
    """As pandas writes a column that once had a gap."""
    raw = raw_folder.catalogue()
    for record in raw.y:
        record[1] += ".0"
    raw.x[3][3] += ".0"
    preprocessed = run(root, raw)
    assert quarantined(preprocessed) == []
    assert raw_folder.labelled(preprocessed).loc[103, "image"] == raw_folder.image(103)


@pytest.mark.parametrize("value", ["", "-7", "0", "12a", "1e9", "9" * 30])
def test_a_bad_image_id_masks_the_image_and_keeps_the_row(root, value):
    raw = raw_folder.catalogue()
    raw.x[5][4] = value
    preprocessed = run(root, raw)
    row = raw_folder.labelled(preprocessed).loc[105]
    assert (row["image"], row["imageid"]) == ("", 0)
    reason = f"product or image id not a positive integer: imageid '{value}'"
    assert (X_TRAIN, "105", "repaired", reason) in quarantined(preprocessed)


def test_all_faults_of_a_table_are_found_in_one_run(root):
    raw = raw_folder.catalogue()
    raw.x[1][0], raw.x[2][3], raw.x[3][4], raw.x[4][0] = "x", "y", "z", "100"
    assert [line[1] for line in quarantined(run(root, raw)) if line[0] == X_TRAIN] == [
        "x",
        *["102"] * 2,  # the id, and the image that can't be found by it
        *["103"] * 2,
        "100",
    ]


def test_images_that_are_missing_or_empty_are_masked(root):
    raw = raw_folder.catalogue()
    del raw.images[raw_folder.image(105)]
    raw.images[raw_folder.image(106)] = b""
    preprocessed = run(root, raw)
    table = raw_folder.labelled(preprocessed)
    assert list(table.loc[[104, 105, 106], "image"]) == [raw_folder.image(104), "", ""]
    assert quarantined(preprocessed) == [
        (X_TRAIN, "105", "repaired", f"image missing: {raw_folder.image(105)}"),
        (X_TRAIN, "106", "repaired", f"image empty: {raw_folder.image(106)}"),
    ]


def test_a_product_with_an_image_and_no_text_stays(root):
    raw = raw_folder.catalogue()
    raw.x[5][1] = ""
    assert raw_folder.labelled(run(root, raw)).loc[105, "text"] == ""


@pytest.mark.parametrize(
    ("title", "description", "reasons"),
    [
        ("Lampe <br>rouge", "", ["html: in title"]),
        ("Lampe", "caf&eacute;", ["entities: in description"]),
        ("Ã‰tagÃ¨re", "", ["mojibake: in title"]),
        ("Lampe", "<p>mod&egrave;le trÃ¨s rare</p>", ["html", "entities", "mojibake"]),
        ("<b>Lampe</b>", "<b>rouge</b>", ["html: in title and description"]),
        ("Ｌａｍｐｅ", "", ["characters: in title"]),
        ("Étagère  bleue", "1 < 2, R&D", []),
    ],
)
def test_the_reason_says_what_was_repaired(root, title, description, reasons):
    raw = raw_folder.catalogue()
    raw.x[5][1:3] = [title, description]
    lines = quarantined(run(root, raw))
    assert [line[:3] for line in lines] == [(X_TRAIN, "105", "repaired")] * len(reasons)
    for (*_, found), reason in zip(lines, reasons, strict=True):
        assert found.startswith(reason)


def test_contradictory_labels_are_kept_recorded_and_never_parted(root):
    raw = raw_folder.catalogue()
    for position in (3, 7, 11, 16):
        raw.x[position][1:3] = ["Même titre", "Même description"]
    raw.x[16][1] = "MÊME TITRE"
    raw.x[20][1:3] = ["Même titre", "Autre description"]
    preprocessed = run(root, raw)
    table = raw_folder.labelled(preprocessed)
    assert table.loc[[103, 107, 111, 116, 120], "split"].nunique() == 1
    assert quarantined(preprocessed) == [
        (X_TRAIN, str(row), "kept", "conflicting labels: 10 and 40 and 1140")
        for row in (103, 107, 111, 116)
    ]


def test_designations_are_cut_in_the_quarantine_only(root):
    raw = raw_folder.catalogue()
    raw.x[5][1] = "é" * 300
    raw.y[5][1] = ""
    raw.x[6][1] = "è" * 300
    preprocessed = run(root, raw)
    table = pd.read_csv(preprocessed / "quarantine.csv", dtype="str", keep_default_na=False)
    assert list(table["designation"]) == ["é" * 200, ""]
    assert len(raw_folder.labelled(preprocessed).loc[106, "designation"]) == 300


# The challenge


def test_every_challenge_row_is_kept_in_order_whatever_is_wrong_with_it(root):
    raw = raw_folder.catalogue()
    raw.images.pop(raw_folder.image(902))
    raw.challenge = [
        raw_folder.product(903, "Dernier d'abord"),
        ["x7", "Sans index", "", "1", "2"],
        raw_folder.product(903, "Encore 903"),
        ["904", "Trop peu"],
        ["905", "Trop", "de", "1", "2", "3"],
        ["906", "", "", "-1", ""],
        raw_folder.product(902, "Sans image"),
    ]
    preprocessed = run(root, raw)
    table = raw_folder.tables(preprocessed)["challenge"]
    assert list(table["row"]) == [903, -2, 903, 904, 905, 906, 902]
    assert list(table["designation"][:4]) == [
        "Dernier d'abord",
        "Sans index",
        "Encore 903",
        "Trop peu",
    ]
    lines = quarantined(preprocessed)
    assert {line[2] for line in lines} == {"repaired"}
    reasons = {(row, reason.partition(":")[0]) for _, row, _, reason in lines}
    assert reasons >= {
        ("x7", "row index not a whole number"),
        ("903", "duplicate row index"),
        ("904", "ragged line"),
        ("905", "ragged line"),
        ("906", "product or image id not a positive integer"),
        ("906", "neither text nor image"),
        ("902", "image missing"),
    }


def test_a_catalogue_may_have_no_challenge_rows(root):
    raw = raw_folder.catalogue()
    raw.challenge.clear()
    assert len(raw_folder.tables(run(root, raw))["challenge"]) == 0


# Splits


def test_products_with_one_image_share_a_split(root):
    raw = raw_folder.catalogue()
    for row in range(100, 160, 2):
        raw.images[raw_folder.image(row)] = raw.images[raw_folder.image(row + 1)]
    splits = raw_folder.labelled(run(root, raw))["split"]
    assert all(splits[row] == splits[row + 1] for row in range(100, 160, 2))
    assert splits.value_counts()[["test", "validation"]].between(8, 10).all()


def test_html_in_a_title_does_not_hide_a_duplicate(root):
    raw = raw_folder.catalogue()
    for row in range(100, 160, 2):
        raw.x[row + 1 - 100][1] = f"<b>PRODUIT</b> {row - 100}"
    splits = raw_folder.labelled(run(root, raw))["split"]
    assert all(splits[row] == splits[row + 1] for row in range(100, 160, 2))


# Outputs


def awkward() -> raw_folder.Raw:
    """A catalogue with something of everything."""
    raw = raw_folder.catalogue(90)
    raw.x[1][0], raw.x[2][4], raw.x[3] = "x", "z", ["103", "Trop peu"]
    raw.x[4][1:3] = ["<script>alert(1)</script> trÃ¨s", "R&amp;D"]
    raw.x[5][1:3] = raw.x[6][1:3] = ["Même titre", ""]
    raw.y[7][1] = ""
    raw.images[raw_folder.image(109)] = raw.images[raw_folder.image(110)]
    raw.synthetic = True
    return raw


def test_two_processes_write_the_same_bytes(root):
    """Whatever the seed of Python's hashes, and whatever is in the output folder already."""
    awkward().write(root / "other")
    (root / "other/data/preprocessed").mkdir()
    (root / "other/data/preprocessed/train.parquet").write_text("left by a run that was killed")
    done = raw_folder.run(root / "other", PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    run(root, awkward())
    one = raw_folder.contents(root)
    assert one == raw_folder.contents(root / "other")
    assert set(one) == {
        *(f"data/preprocessed/{name}.parquet" for name in ("train", "validation", "test")),
        *(f"data/preprocessed/{name}.json" for name in ("labels", "source")),
        "data/preprocessed/challenge.parquet",
        "data/preprocessed/quarantine.csv",
        "data/preprocessed/report.html",
        "metrics/preprocess/metrics.json",
        "metrics/preprocess/plots/lengths.csv",
        *(
            f"metrics/preprocess/plots/classes/{name}.csv"
            for name in ("train", "validation", "test")
        ),
    }


def test_an_error_ends_the_stage_in_one_line(tmp_path):
    raw_folder.catalogue().write(tmp_path)
    (tmp_path / "data/raw" / Y_TRAIN).unlink()
    done = raw_folder.run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("no such file; bring it: `dvc repro import`")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/preprocessed").exists()


def test_metrics_account_for_every_row(root):
    run(root, awkward())
    metrics = json.loads((root / "metrics/preprocess/metrics.json").read_text())
    kept = sum(metrics[f"rows_{name}"] for name in ("train", "validation", "test"))
    assert metrics["read_X_train_update"] == 90
    assert kept == 87  # one ragged, one without an index, one without a label
    assert metrics["dropped"] == 3 + 3  # and their three lines in the Y file
    assert metrics["rows_challenge"] == metrics["read_X_test_update"] == 4
    assert metrics["dropped_ragged"] == metrics["dropped_no_label"] == 1
    assert metrics["repaired_mojibake"] == metrics["repaired_entities"] == 1
    assert metrics["kept"] == 2
    assert metrics["duplicate_groups"] == 2
    assert metrics["duplicate_rows"] == 4
    assert all(isinstance(value, int | float) for value in metrics.values())


def test_the_plots_of_dvc_yaml_are_written(root):
    """Each file and column that the top-level plots name."""
    run(root, raw_folder.catalogue())
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    axes = [
        (file, columns)
        for plot in declared
        for settings in plot.values()
        for axis in ("x", "y")
        if isinstance(settings[axis], dict)
        for file, columns in settings[axis].items()
        if file.startswith("metrics/preprocess/")
    ]
    assert {file for file, _ in axes} == {
        path.relative_to(root).as_posix() for path in (root / "metrics").rglob("*.csv")
    }
    for file, columns in axes:
        header = pd.read_csv(root / file).columns
        assert {columns} <= set(header) if isinstance(columns, str) else set(columns) <= set(header)


def test_plots_count_every_product(root):
    preprocessed = run(root, awkward())
    plots = root / "metrics/preprocess/plots"
    for name in ("train", "validation", "test"):
        bars = pd.read_csv(plots / "classes" / f"{name}.csv")
        assert bars["products"].sum() == len(raw_folder.tables(preprocessed)[name])
        assert list(bars["class"].str[:4]) == ["0010", "0040", "1140"]
    shares = pd.read_csv(plots / "lengths.csv").drop(columns="characters").sum()
    assert shares.to_numpy() == pytest.approx(np.full(4, 100), abs=0.1)


def test_the_report_escapes_what_sellers_wrote_and_names_synthetic_data(root):
    page = (run(root, awkward()) / "report.html").read_text(encoding="utf-8")
    assert "Synthetic data." in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"""(src|href)\s*=\s*["']https?:""", page)
    assert "Livres d&#x27;occasion" in page
    assert page.count("<svg") == 1


def test_the_report_of_real_data_does_not_call_them_synthetic(root):
    page = (run(root, raw_folder.catalogue()) / "report.html").read_text(encoding="utf-8")
    assert "ynthetic" not in page


def test_parquet_carries_no_metadata_of_pandas(root):
    preprocessed = run(root, raw_folder.catalogue())
    assert pq.read_schema(preprocessed / "train.parquet").metadata is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ftfy_leaves_printable_ascii_as_it_is(text):
    """So cleaning may pass over it, which saves a sixth of the time."""
    assert ftfy.fix_text(text, unescape_html=False) == text


def test_the_real_sample_is_taken_over_whole(root):
    if not SAMPLE.is_dir():
        pytest.skip("../shared/rakuten-sample, 540 real products, is not here")
    raw = raw_folder.Raw().write(root)
    for name in (X_TRAIN, X_TEST, Y_TRAIN, "images.zip"):
        shutil.copyfile(SAMPLE / name, raw / name)
    preprocessed = run(root)
    counts = raw_folder.labelled(preprocessed).groupby(["split", "code"]).size()
    assert counts.groupby("split").sum().to_dict() == {"test": 81, "train": 378, "validation": 81}
    assert set(counts["test"]) == {3}
    assert len(raw_folder.tables(preprocessed)["challenge"]) == 9
    assert not any(action == "dropped" for _, _, action, _ in quarantined(preprocessed))
