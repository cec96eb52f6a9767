"""The stage evaluate, on a catalogue and a bundle that are small but real."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_catalogue
import yaml
from sklearn import metrics

from api import bundle
from api.archive import ImageArchive
from api.bundle import Product
from stages import evaluate, held_out
from stages.held_out import HeldOutError
from stages.params import ParamsError
from stages.products import batches

IMAGES = "data/raw/images.zip"
FILES = {
    "metrics.json",
    "predictions.parquet",
    "plots/per_class.csv",
    "plots/sklearn/calibration.json",
    "plots/sklearn/confusion_matrix.json",
}
BASELINES = {"baseline_words", "baseline_characters"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the stage ran as dvc.yaml runs it."""
    root = tiny_catalogue.write_workspace(tmp_path_factory.mktemp("evaluated"))
    done = tiny_catalogue.run_stage(root, "evaluate", "metrics/evaluate", PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    (root / "stderr.txt").write_text(done.stderr)
    return root


@pytest.fixture
def workspace(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, before the stage ran, as the current directory."""
    root = tmp_path / "workspace"
    shutil.copytree(evaluated, root, ignore=shutil.ignore_patterns("metrics", "logs"))
    monkeypatch.chdir(root)
    return root


def run(root: Path) -> dict[str, object]:
    """metrics.json of a run in this process."""
    evaluate.main(*map(Path, tiny_catalogue.paths("metrics/evaluate")))
    figures: dict[str, object] = json.loads((root / "metrics/evaluate/metrics.json").read_text())
    return figures


def change(root: Path, split: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = root / "data/preprocessed" / f"{split}.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)


def read(evaluated: Path) -> tuple[dict[str, dict[str, float]], pd.DataFrame]:
    output = evaluated / "metrics/evaluate"
    return (
        json.loads((output / "metrics.json").read_text()),
        pd.read_parquet(output / "predictions.parquet"),
    )


def logs_of(table: pd.DataFrame) -> np.ndarray:
    return table[[f"log_{code}" for code in tiny_catalogue.WORDS]].to_numpy()


def test_it_writes_its_files_and_no_others(evaluated: Path) -> None:
    """DVCLive neither edits a dvc.yaml nor leaves a report."""
    known = {"data", "models", "metrics", "logs", "params.yaml", "stderr.txt"}

    assert set(tiny_catalogue.contents(evaluated / "metrics")) == {f"evaluate/{f}" for f in FILES}
    assert {path.name for path in evaluated.iterdir()} == known


def test_predictions_are_the_bundles_own(evaluated: Path) -> None:
    """Batch by batch, to the bit: what evaluate scores is what anyone who loads the bundle gets."""
    model = bundle.load(evaluated / "models/bundle")
    _, table = read(evaluated)
    with ImageArchive(evaluated / IMAGES) as archive:
        parts = batches(evaluated / "data/preprocessed/test.parquet", archive)
        expected = np.concatenate(
            [model.probabilities(part.products, strict=False) for part in parts]
        )

    assert logs_of(table).dtype == np.float32
    assert np.array_equal(logs_of(table), np.log(expected))
    assert np.array_equal(table["confidence"], expected.max(axis=1))
    codes = np.array(list(tiny_catalogue.WORDS))
    assert table["predicted"].tolist() == codes[expected.argmax(axis=1)].tolist()


@pytest.mark.parametrize(
    ("modality", "part"),
    [
        ("fused", lambda product: product),
        ("text", lambda product: Product(product.designation, product.description)),
        ("image", lambda product: Product(image=product.image)),
    ],
)
def test_each_modality_is_what_the_bundle_says_of_products_that_lack_the_other(
    evaluated: Path, modality: str, part: Callable[[Product], Product]
) -> None:
    model = bundle.load(evaluated / "models/bundle")
    split = evaluated / "data/preprocessed/test.parquet"
    with ImageArchive(evaluated / IMAGES) as archive:
        products = [product for batch in batches(split, archive) for product in batch.products]
        scored = held_out.score(model, split, archive)

    expected = model.probabilities([part(product) for product in products], strict=False)

    assert scored.probabilities[modality] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("modality", "column"),
    [("fused", "predicted"), ("text", "predicted_text"), ("image", "predicted_image")],
)
def test_figures_are_those_of_the_predictions(evaluated: Path, modality: str, column: str) -> None:
    figures, table = read(evaluated)
    truth, predicted = table["code"], table[column]

    found = figures[modality]

    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted), abs=1e-6)
    for average in ("macro", "weighted"):
        expected = metrics.f1_score(truth, predicted, average=average)
        assert found[f"{average}_f1"] == pytest.approx(expected, abs=1e-6)
    assert found["weighted_f1_low"] < found["weighted_f1"] < found["weighted_f1_high"]


def test_figures_that_need_probabilities_are_those_of_the_predictions(evaluated: Path) -> None:
    figures, table = read(evaluated)
    logs, positions = logs_of(table), {code: at for at, code in enumerate(tiny_catalogue.WORDS)}
    truth = table["code"].map(positions).to_numpy()
    rank = (logs > logs[np.arange(len(truth)), truth][:, None]).sum(axis=1)

    assert figures["fused"]["negative_log_likelihood"] == pytest.approx(
        -logs[np.arange(len(truth)), truth].mean(), abs=1e-5
    )
    assert figures["fused"]["top_3_accuracy"] == pytest.approx((rank < 3).mean(), abs=1e-6)


def test_rows_that_lack_something_are_counted_and_not_left_out(evaluated: Path) -> None:
    """An empty file is no usable image, as little as no file."""
    figures, table = read(evaluated)
    at = np.arange(60)
    usable = (at % 7 != 2) & (at % 11 != 5)

    assert figures["rows"] == len(table) == 60
    assert table["has_image"].tolist() == usable.tolist()
    assert table["has_text"].tolist() == (at != 3).tolist()
    assert figures["rows_without_image"] == (~usable).sum()
    assert figures["rows_without_text"] == 1


def test_table_of_classes_adds_up(evaluated: Path) -> None:
    _, table = read(evaluated)
    classes = pd.read_csv(evaluated / "metrics/evaluate/plots/per_class.csv", index_col="code")

    assert classes["rows"].to_dict() == table["code"].value_counts().sort_index().to_dict()
    for code, line in classes.iterrows():
        wrong = table.query("code == @code and predicted != @code")["predicted"].value_counts()
        assert line["confused_rows"] == wrong.max()
        assert wrong[line["confused_with"]] == wrong.max()
        recall = (table.query("code == @code")["predicted"] == code).mean()
        assert line["recall"] == pytest.approx(recall, abs=1e-6)


def test_the_log_shows_figures_and_classes(evaluated: Path) -> None:
    log = (evaluated / "stderr.txt").read_text()

    assert "baseline_characters" in log
    assert "Jouets pour enfants" in log


def test_another_process_gives_the_same_bytes(evaluated: Path, workspace: Path) -> None:
    done = tiny_catalogue.run_stage(workspace, "evaluate", "metrics/evaluate", PYTHONHASHSEED="2")

    assert done.returncode == 0, done.stderr
    assert tiny_catalogue.contents(workspace / "metrics") == tiny_catalogue.contents(
        evaluated / "metrics"
    )


def test_a_run_over_an_older_one_leaves_nothing_of_it(evaluated: Path, workspace: Path) -> None:
    shutil.copytree(evaluated / "metrics", workspace / "metrics")
    change(workspace, "test", lambda table: table.head(20))

    figures = run(workspace)

    assert figures["rows"] == 20
    assert len(pd.read_parquet("metrics/evaluate/predictions.parquet")) == 20
    assert set(tiny_catalogue.contents(workspace / "metrics/evaluate")) == FILES


def test_baselines_can_be_switched_off(evaluated: Path, workspace: Path) -> None:
    params = tiny_catalogue.PARAMS
    off = {**params["evaluate"], "baselines": False}
    (workspace / "params.yaml").write_text(yaml.safe_dump({**params, "evaluate": off}))

    figures = run(workspace)

    assert figures == {
        name: value for name, value in read(evaluated)[0].items() if name not in BASELINES
    }


def test_baselines_learn_from_the_validation_rows_too(workspace: Path) -> None:
    """Half of the codes occur in train alone, half in validation alone."""
    change(workspace, "train", lambda table: table[table["code"] < 1000])
    change(workspace, "validation", lambda table: table[table["code"] > 1000])

    figures = evaluate.baseline_figures(
        Path("data/preprocessed"), evaluate.EvaluateParams(**tiny_catalogue.PARAMS["evaluate"])
    )

    assert set(figures) == BASELINES
    assert min(values["accuracy"] for values in figures.values()) > 0.9


def test_figures_of_one_code_the_bundle_does_not_know_are_refused(workspace: Path) -> None:
    tiny_catalogue.write_bundle(workspace / "models/bundle", codes=(10, 40, 1280))

    with pytest.raises(HeldOutError, match=r"row 503 .*code 2583.*\[10, 40, 1280\] only: train"):
        run(workspace)
    assert not Path("metrics").exists()


def test_a_bundle_may_know_more_codes_in_another_order_of_positions(workspace: Path) -> None:
    """Truth goes by code: the positions written by preprocess are not trusted to be the same."""
    change(workspace, "test", lambda table: table[table["code"] != 10].assign(label=0))

    figures = run(workspace)
    table = pd.read_parquet("metrics/evaluate/predictions.parquet")

    assert set(table["code"]) == {40, 1280, 2583}
    assert figures["fused"]["accuracy"] == pytest.approx(
        (table["code"] == table["predicted"]).mean(), abs=1e-6
    )


@pytest.mark.parametrize(
    ("data", "trained", "expected"), [(True, False, 1), (False, True, 1), (False, False, 0)]
)
def test_figures_say_when_anything_was_synthetic(
    workspace: Path, caplog: pytest.LogCaptureFixture, data: bool, trained: bool, expected: int
) -> None:
    source = {"source": "folder", "synthetic": data}
    Path("data/preprocessed/source.json").write_text(json.dumps(source))
    tiny_catalogue.write_bundle(workspace / "models/bundle", synthetic=trained)

    assert run(workspace)["synthetic"] == expected
    assert ("synthetic products" in caplog.text) == bool(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("calibration_bins", 1), ("resamples", 10), ("seed", -1), ("baselines", 3), ("more", 1)],
)
def test_values_out_of_bounds_are_refused(workspace: Path, name: str, value: int) -> None:
    section = {**tiny_catalogue.PARAMS["evaluate"], name: value}
    Path("params.yaml").write_text(yaml.safe_dump({"evaluate": section}))

    with pytest.raises(ParamsError, match=rf"evaluate\.{name} = {value}"):
        run(workspace)


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, check=True, capture_output=True, text=True
    ).stdout


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.mark.slow
def test_dvc_shows_metrics_and_plots_as_dvc_yaml_describes_them(
    evaluated: Path, workspace: Path
) -> None:
    """With the project's own dvc.yaml, less what other stages write."""
    pipeline = yaml.safe_load((tiny_catalogue.ROOT / "dvc.yaml").read_text())
    pipeline["stages"] = {"evaluate": pipeline["stages"]["evaluate"]}
    own = {"confusion", "calibration", "f1_by_class"}
    pipeline["plots"] = [plot for plot in pipeline["plots"] if set(plot) <= own]
    (workspace / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    shutil.copytree(evaluated / "metrics", workspace / "metrics")
    git(workspace, "init")
    dvc(workspace, "init", "--quiet")
    git(workspace, "add", "metrics/evaluate/metrics.json", "dvc.yaml")
    git(workspace, "commit", "--message", "one")
    change(workspace, "test", lambda table: table.head(30))
    run(workspace)

    shown = json.loads(dvc(workspace, "metrics", "show", "--json"))
    changed = json.loads(dvc(workspace, "metrics", "diff", "--json"))
    plots = json.loads(dvc(workspace, "plots", "show", "--json"))

    path = "metrics/evaluate/metrics.json"
    assert shown[""]["data"][path]["data"] == json.loads(Path(path).read_text())
    assert changed[path]["rows"] == {"old": 60, "new": 30, "diff": -30}
    assert set(plots["data"]) == own
    assert "errors" not in plots
    for (plot,) in plots["data"].values():
        assert plot["revisions"] == ["workspace"]
        assert plot["content"]["data"]["values"]
