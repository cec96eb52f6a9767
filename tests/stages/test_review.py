"""The stage review, on a catalogue and a bundle that are small but real."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import review_workspace
import tiny_catalogue
import yaml
from review_workspace import CODES, PATHS
from selectolax.lexbor import LexborHTMLParser

from stages import review
from stages.out_of_sample import OutOfSampleError
from stages.params import ParamsError
from stages.product_table import ProductTableError

OUTPUT = Path("metrics/review")
FILES = {
    "report.html",
    "label_candidates.csv",
    "plots/confused_pairs.csv",
    "plots/doubted_labels.csv",
    "metrics.json",
}
# Rows that neither word (every fifth) nor photo (every third) misleads.
FLIPS = (4, 22, 49, 76, 98, 112, 127, 151, 173, 196)
HOSTILE = (
    "</bdi></script><script>alert(1)</script><img src=x onerror=alert(1)> $notice ${x} \"'&amp;"
)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the stage ran as dvc.yaml runs it; 5 % of the test labels are wrong."""
    root = review_workspace.write(tmp_path_factory.mktemp("reviewed"), flips=FLIPS)
    done = review_workspace.run(root, PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    (root / "stderr.txt").write_text(done.stderr)
    return root


@pytest.fixture
def workspace(reviewed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, before the stage ran, as the current directory."""
    root = tmp_path / "workspace"
    shutil.copytree(reviewed, root, ignore=shutil.ignore_patterns("review", "logs"))
    monkeypatch.chdir(root)
    return root


def run() -> dict[str, float]:
    """metrics.json of a run in this process."""
    review.main(*map(Path, PATHS))
    figures: dict[str, float] = json.loads((OUTPUT / "metrics.json").read_text())
    return figures


def page(root: Path = Path()) -> LexborHTMLParser:
    return LexborHTMLParser((root / OUTPUT / "report.html").read_text())


def change(path: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    edit(pd.read_parquet(path)).to_parquet(path, index=False)


def change_products(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    for split in ("train", "validation", "test"):
        change(f"data/preprocessed/{split}.parquet", edit)


def change_params(**values: int) -> None:
    section = {**review_workspace.REVIEW, **values}
    Path("params.yaml").write_text(yaml.safe_dump({"review": section}))


def candidates(root: Path = Path()) -> pd.DataFrame:
    return pd.read_csv(root / OUTPUT / "label_candidates.csv")


def test_it_writes_its_files_and_no_others(reviewed: Path) -> None:
    assert set(tiny_catalogue.contents(reviewed / OUTPUT)) == FILES


def test_labels_changed_on_purpose_are_candidates(reviewed: Path) -> None:
    """The rest are the catalogue's own: rows that the word or the photo misleads."""
    table = candidates(reviewed)
    found = set(table[table["split"] == "test"]["row"] - tiny_catalogue.FIRST_ROW)

    assert len(found & set(FLIPS)) >= 9
    assert [at for at in found - set(FLIPS) if at % 3 and at % 5] == []


def test_candidates_say_where_they_are_and_what_is_suggested(reviewed: Path) -> None:
    table = candidates(reviewed)
    test = pd.read_parquet(reviewed / "data/preprocessed/test.parquet").set_index("row")
    predictions = pd.read_parquet(reviewed / PATHS[3]).set_index("row")
    held_out = table[table["split"] == "test"].set_index("row")

    assert set(table["split"]) == {"train", "validation", "test"}
    assert (held_out["code"] == test["code"].reindex(held_out.index)).all()
    assert (held_out["suggested_code"] == predictions["predicted"].reindex(held_out.index)).all()
    own = [np.exp(predictions.loc[row, f"log_{code}"]) for row, code in held_out["code"].items()]
    assert held_out["self_confidence"].to_numpy() == pytest.approx(np.array(own), abs=1e-5)


def test_figures_are_those_of_the_tables(reviewed: Path) -> None:
    figures = json.loads((reviewed / OUTPUT / "metrics.json").read_text())
    pairs = pd.read_csv(reviewed / OUTPUT / "plots/confused_pairs.csv")
    doubted = pd.read_csv(reviewed / OUTPUT / "plots/doubted_labels.csv")
    classes = pd.read_csv(reviewed / "metrics/evaluate/plots/per_class.csv")
    table = candidates(reviewed)

    assert figures["label_candidates"] == len(table) == doubted["candidates"].sum()
    assert figures["doubted_label_share"] == pytest.approx(len(table) / 600, abs=1e-6)
    assert doubted["rows"].sum() == 600
    assert figures["top_pair_share"] == pairs["share"].max()
    assert figures["worst_class_f1"] == pytest.approx(classes["f1"].min(), abs=1e-6)
    assert figures["synthetic"] == 0


def test_the_page_shows_classes_pairs_and_examples(reviewed: Path) -> None:
    shown = page(reviewed)
    predictions = pd.read_parquet(reviewed / PATHS[3]).sort_values(
        ["confidence", "row"], ascending=[False, True]
    )
    pair = pd.read_csv(reviewed / OUTPUT / "plots/confused_pairs.csv").iloc[0]
    both = {pair["first"], pair["second"]}
    wrong = predictions[predictions["code"] != predictions["predicted"]]
    wrong = wrong[[{a, b} == both for a, b in wrong[["code", "predicted"]].to_numpy()]]

    heading = next(node for node in shown.css("h3") if node.text() == pair["pair"])
    items = heading.next.next.css("li")

    assert len(items) == review_workspace.REVIEW["examples"]
    for item, row in zip(items, wrong.to_dict("records"), strict=False):
        facts = [node.text() for node in item.css("dd")]
        assert f"row {row['row']}, test" in item.text()
        assert facts[0].startswith(f"{row['code']} ")
        assert facts[1].startswith(f"{row['predicted']} ")
        assert facts[1].endswith(f"({100 * row['confidence']:.1f} %)")
    tables = [table.text() for table in shown.css("table")]
    assert all(name in tables[1] for name in ("Livres d'occasion", "Piscine et spa"))


def test_the_page_gives_reasons_for_candidates(reviewed: Path) -> None:
    """A changed label of a product whose word and photo agree: both speak against it."""
    text = page(reviewed).text()

    assert "A model that never saw this row gives its label" in text
    assert "The text alone and the image alone also say" in text


@pytest.mark.usefixtures("workspace")
def test_a_row_with_the_same_title_and_another_label_is_a_reason() -> None:
    """But for case and punctuation; `train` has the right label of what `test` has wrong."""
    run()

    twin = f"Row {FLIPS[0] + tiny_catalogue.FIRST_ROW} (train) has the same title and the label"
    assert twin in page().text()


def test_the_page_is_whole_in_itself(reviewed: Path) -> None:
    """Nothing is fetched, nothing runs, and it is small."""
    content = (reviewed / OUTPUT / "report.html").read_text()
    shown = page(reviewed)

    assert not shown.css("script, link, iframe, object, form, base")
    assert shown.css("img")
    for image in shown.css("img"):
        assert image.attributes["src"].startswith("data:image/jpeg;base64,")
    assert "http" not in content.replace("http-equiv", "")
    assert "default-src 'none'" in content
    assert len(content) < 3_000_000


@pytest.mark.usefixtures("workspace")
def test_titles_are_shown_as_text_whatever_they_hold() -> None:
    change_products(lambda table: table.assign(designation=HOSTILE))

    run()
    shown = page()

    assert not shown.css("script, [onerror], bdi *")
    assert {node.text() for node in shown.css("bdi")} == {" ".join(HOSTILE.split())}


@pytest.mark.usefixtures("workspace")
def test_long_and_missing_titles_keep_the_page_readable() -> None:
    titles = ["mot " * 500, " \n "]
    change_products(
        lambda table: table.assign(designation=[titles[at % 2] for at in range(len(table))])
    )

    run()

    shown = {node.text() for node in page().css("bdi")}
    assert shown == {("mot " * 40)[:159] + "…", "(no title)"}


def test_another_process_gives_the_same_bytes(reviewed: Path, workspace: Path) -> None:
    done = review_workspace.run(workspace, PYTHONHASHSEED="2")

    assert done.returncode == 0, done.stderr
    assert tiny_catalogue.contents(workspace / OUTPUT) == tiny_catalogue.contents(reviewed / OUTPUT)


@pytest.mark.usefixtures("workspace")
def test_no_product_has_an_image() -> None:
    change_products(lambda table: table.assign(image=""))
    change(
        PATHS[3], lambda table: table.assign(has_image=False, predicted_image=table["predicted"])
    )

    figures = run()

    assert figures["text_and_image_disagree"] == 0
    assert not page().css("img")
    assert "no usable image" in page().text()


def test_a_class_may_have_no_product_in_the_split(workspace: Path) -> None:
    """It has no figures then, not the worst ones."""
    change("data/preprocessed/test.parquet", lambda table: table[table["code"] != 40])
    review_workspace.score(workspace)

    figures = run()

    assert figures["worst_class_f1"] > 0
    lines = [line.css("td") for line in page().css("table")[1].css("tbody tr")]
    absent = next(cells for cells in lines if cells[0].text().startswith("40 "))
    assert [cell.text() for cell in absent[1:5]] == ["0", "–", "–", "–"]


@pytest.mark.usefixtures("workspace")
def test_nothing_may_be_wrong() -> None:
    """No error, no pair, no disagreement, no candidate."""
    sure = np.log(np.maximum(np.eye(4), np.finfo(np.float32).tiny)).astype(np.float32)

    def right(table: pd.DataFrame) -> pd.DataFrame:
        at = table["code"].map(CODES.index).to_numpy()
        logs = {f"log_{code}": sure[at, column] for column, code in enumerate(CODES)}
        said = dict.fromkeys(("predicted", "predicted_text", "predicted_image"), table["code"])
        return table.assign(**said, **logs)

    change(PATHS[3], right)
    change(
        PATHS[4],
        lambda table: table.assign(probabilities=list(np.eye(4, dtype=np.float32)[table["label"]])),
    )

    figures = run()

    assert figures["confused_pairs"] == figures["label_candidates"] == 0
    assert figures["top_pair_share"] == figures["doubted_label_share"] == 0
    assert figures["worst_class_f1"] == 1
    assert page().text().count("None.") == 3
    assert candidates().empty


@pytest.mark.usefixtures("workspace")
def test_one_candidate() -> None:
    """Among right answers, one row with another label; and no training rows."""
    row = int(pd.read_parquet(PATHS[3]).query("code == predicted == 10")["row"].iloc[0])

    def misfiled(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(code=table["code"].where(table["row"] != row, 2583).astype("int32"))

    change("data/preprocessed/test.parquet", misfiled)
    change(PATHS[3], lambda table: misfiled(table.query("code == predicted")))
    change(PATHS[4], lambda table: table.head(0))

    figures = run()

    assert (
        figures["label_candidates"] == figures["confused_pairs"] == figures["top_pair_share"] == 1
    )
    assert candidates()[["rank", "row", "suggested_code"]].to_numpy().tolist() == [[1, row, 10]]


@pytest.mark.usefixtures("workspace")
def test_one_product() -> None:
    change(PATHS[3], lambda table: table.head(1))
    change(PATHS[4], lambda table: table.head(0))

    assert run()["label_candidates"] == 0


@pytest.mark.usefixtures("workspace")
def test_synthetic_products_are_announced(caplog: pytest.LogCaptureFixture) -> None:
    source = {"source": "sample", "synthetic": True}
    Path("data/preprocessed/source.json").write_text(json.dumps(source))

    figures = run()

    assert figures["synthetic"] == 1
    assert page().css_first(".notice strong").text() == "Synthetic data."
    assert "synthetic products" in caplog.text


def test_a_bundle_trained_on_synthetic_products_is_announced(workspace: Path) -> None:
    tiny_catalogue.write_bundle(workspace / "models/bundle", synthetic=True)

    assert run()["synthetic"] == 1


def test_real_products_are_not_called_synthetic(reviewed: Path) -> None:
    assert not page(reviewed).css(".notice")
    assert "Source: folder." in page(reviewed).text()


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("path", PATHS[3:5])
def test_labels_changed_since_the_measurement_are_refused(path: str) -> None:
    split = "test" if path == PATHS[3] else "train"
    change(
        f"data/preprocessed/{split}.parquet",
        lambda table: table.assign(code=table["code"].where(table["row"] != 507, 40)),
    )

    with pytest.raises(ProductTableError, match=rf"{path}: 1 rows .* row 507 of {split}"):
        run()
    assert not OUTPUT.exists()


def test_predictions_of_a_bundle_with_other_codes_are_refused(workspace: Path) -> None:
    tiny_catalogue.write_bundle(workspace / "models/bundle", codes=(10, 40, 1280))

    with pytest.raises(OutOfSampleError, match=r"log_<code> of \[10, 40, 1280\]; run"):
        run()


@pytest.mark.usefixtures("workspace")
def test_limits_bound_what_is_shown() -> None:
    change_params(examples=0, pairs=1, candidates=5)

    run()

    assert len(page().css("li")) == 5
    assert len(pd.read_csv(OUTPUT / "plots/confused_pairs.csv")) in {1, 2}
    assert len(candidates()) > 5


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("name", "value"), [("examples", 11), ("pairs", 0), ("candidates", -1), ("more", 1)]
)
def test_values_out_of_bounds_are_refused(name: str, value: int) -> None:
    change_params(**{name: value})

    with pytest.raises(ParamsError, match=rf"review\.{name} = {value}"):
        run()
