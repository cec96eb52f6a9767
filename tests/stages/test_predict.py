"""The stage predict, on a catalogue and a bundle that are small but real."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_catalogue
import yaml

from api import bundle
from api.archive import ImageArchive
from api.labels import NAMES, ordered
from stages import predict
from stages.params import ParamsError
from stages.products import ProductsError, batches


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the stage ran as dvc.yaml runs it."""
    root = tiny_catalogue.write_workspace(tmp_path_factory.mktemp("predicted"))
    done = tiny_catalogue.run_stage(root, "predict", "data/predictions", PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def workspace(predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, before the stage ran, as the current directory."""
    root = tmp_path / "workspace"
    shutil.copytree(predicted, root, ignore=shutil.ignore_patterns("predictions", "logs"))
    monkeypatch.chdir(root)
    return root


def run() -> dict[str, Any]:
    predict.main(*map(Path, tiny_catalogue.paths("data/predictions")))
    return read(Path())


def read(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "data/predictions/predictions.json").read_text())
    return document


def test_submission_has_the_format_of_the_challenges_y_file(predicted: Path) -> None:
    """The row index of X_test without a name, then prdtypecode; every row, in order."""
    lines = (predicted / "data/predictions/submission.csv").read_text().splitlines()
    challenge = pd.read_parquet(predicted / "data/preprocessed/challenge.parquet")

    assert lines[0] == ",prdtypecode"
    assert [int(line.split(",")[0]) for line in lines[1:]] == challenge["row"].tolist()
    assert {int(line.split(",")[1]) for line in lines[1:]} <= set(tiny_catalogue.WORDS)


def test_answers_are_the_bundles_own(predicted: Path) -> None:
    model = bundle.load(predicted / "models/bundle")
    with ImageArchive(predicted / "data/raw/images.zip") as archive:
        parts = list(batches(predicted / "data/preprocessed/challenge.parquet", archive, 1000))
    probabilities = model.probabilities(parts[0].products, strict=False)
    codes = list(tiny_catalogue.WORDS)

    for answer, row in zip(read(predicted)["products"], probabilities, strict=True):
        assert len(answer["predictions"]) == tiny_catalogue.PARAMS["predict"]["top_k"]
        for ranked in answer["predictions"]:
            assert ranked["confidence"] == pytest.approx(row[codes.index(ranked["code"])], abs=1e-5)
            assert ranked["label"] == NAMES[ranked["code"]]
        confidences = [ranked["confidence"] for ranked in answer["predictions"]]
        assert confidences == sorted(confidences, reverse=True)
        assert answer["confidence"] == pytest.approx(row.max(), abs=1e-5)


def test_both_files_say_the_same(predicted: Path) -> None:
    submission = pd.read_csv(predicted / "data/predictions/submission.csv", index_col=0)
    answers = read(predicted)["products"]

    assert submission["prdtypecode"].to_dict() == {
        answer["row"]: answer["predicted"] for answer in answers
    }
    for answer in answers:
        assert answer["predictions"][0] == {
            "code": answer["predicted"],
            "label": answer["label"],
            "confidence": answer["confidence"],
        }


def test_answers_name_their_product_and_what_the_model_had_of_it(predicted: Path) -> None:
    challenge = pd.read_parquet(predicted / "data/preprocessed/challenge.parquet")
    at = np.arange(len(challenge))
    answers = pd.DataFrame(read(predicted)["products"])

    assert answers["productid"].tolist() == challenge["productid"].tolist()
    assert answers["imageid"].tolist() == challenge["imageid"].tolist()
    assert answers["has_image"].tolist() == ((at % 7 != 2) & (at % 11 != 5)).tolist()
    assert answers["has_text"].tolist() == (at != 3).tolist()


def test_the_document_can_be_traced_to_its_bundle(predicted: Path) -> None:
    document = read(predicted)

    assert document["model_version"] == bundle.version(predicted / "models/bundle")
    assert document["synthetic"] is False


def test_another_process_gives_the_same_bytes_and_no_other_files(
    predicted: Path, workspace: Path
) -> None:
    done = tiny_catalogue.run_stage(workspace, "predict", "data/predictions", PYTHONHASHSEED="2")

    assert done.returncode == 0, done.stderr
    found = tiny_catalogue.contents(workspace / "data/predictions")
    assert set(found) == {"submission.csv", "predictions.json"}
    assert found == tiny_catalogue.contents(predicted / "data/predictions")


def test_a_run_that_breaks_off_leaves_no_file_that_looks_whole(workspace: Path) -> None:
    path = Path("data/preprocessed/challenge.parquet")
    table = pd.read_parquet(path)
    table.loc[len(table) - 1, "image"] = "image_1_product_1.jpg"
    table.to_parquet(path, index=False)

    with pytest.raises(ProductsError):
        run()
    left = set(tiny_catalogue.contents(workspace / "data/predictions"))
    assert not left & {"submission.csv", "predictions.json"}


@pytest.mark.usefixtures("workspace")
def test_one_product_makes_a_valid_document() -> None:
    path = Path("data/preprocessed/challenge.parquet")
    pd.read_parquet(path).head(1).to_parquet(path, index=False)

    assert len(run()["products"]) == 1


@pytest.mark.usefixtures("workspace")
def test_more_guesses_than_classes_are_all_classes() -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"predict": {"top_k": 20}}))

    assert {len(answer["predictions"]) for answer in run()["products"]} == {4}


@pytest.mark.parametrize("top_k", [0, 101, "many"])
def test_values_out_of_bounds_are_refused(workspace: Path, top_k: int | str) -> None:
    (workspace / "params.yaml").write_text(yaml.safe_dump({"predict": {"top_k": top_k}}))

    with pytest.raises(ParamsError, match=rf"predict\.top_k = {top_k!r}"):
        run()


def test_of_equal_classes_the_lower_code_comes_first() -> None:
    labels = ordered(NAMES)
    probabilities = np.where(np.arange(27) % 3 == 1, 0.1, 0.0)

    ranked = predict.best(probabilities, labels, top_k=27)

    by_code = [answer["code"] for answer in ranked]
    assert by_code[:9] == sorted(by_code[:9])
    assert by_code[9:] == sorted(by_code[9:])
