"""The train stage on tiny data: what it learns, what it writes, and that it does so twice alike."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from api import bundle
from api.archive import image_name
from api.bundle import Product
from stages.params import ParamsError, load
from stages.train import Params
from tests.api import photos
from tests.stages import tiny_embedded

ROOT = Path(__file__).parents[2]
IMAGES = ("preprocessed", "images.zip")  # read for int8 alone

pytestmark = pytest.mark.slow


def train(folder: Path, data: Path, **sections: dict) -> subprocess.CompletedProcess:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny_embedded.PARAMS | sections))
    command = [
        sys.executable,
        "-m",
        "stages.train",
        data,
        *IMAGES,
        "models/bundle",
        "metrics/train",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    environment |= {"MLFLOW_ARTIFACT_ROOT": str(folder / "mlruns")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    roots = [folder / "models", folder / "metrics"]
    files = [file for root in roots for file in root.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_embedded.write(tmp_path_factory.mktemp("embedded") / "data")


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = train(folder, data)
    assert done.returncode == 0, done.stderr
    return folder


def accuracy(folder: Path) -> float:
    """Of titles never seen, made of each class's words."""
    opened = bundle.load(folder / "models/bundle")
    titles = [
        (code, f"{w} edf") for code, words in tiny_embedded.WORDS.items() for w in words.split()
    ]
    scores = opened.probabilities([Product(designation=title) for _, title in titles])
    codes = [opened.labels[best]["code"] for best in scores.argmax(axis=1)]
    return float(
        np.mean([code == expected for code, (expected, _) in zip(codes, titles, strict=True)])
    )


def test_the_bundle_learnt_what_the_words_mean(trained: Path) -> None:
    assert accuracy(trained) == 1.0


def test_the_bundle_says_what_it_was_trained_on_and_with(trained: Path) -> None:
    meta = bundle.load(trained / "models/bundle").meta
    assert (meta.source, meta.synthetic) == ("sample", True)
    assert meta.parameters["training"] == tiny_embedded.PARAMS["training"]
    assert meta.parameters["image"]["backbone"] == "tiny"


def test_a_missing_modality_leaves_probabilities_that_sum_to_one(trained: Path) -> None:
    opened = bundle.load(trained / "models/bundle")
    scores = opened.probabilities([Product(), Product(designation="livre")])
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(scores[0], 1 / len(opened.labels), atol=1e-5)


def test_curves_and_figures_are_written(trained: Path) -> None:
    figures = json.loads((trained / "metrics/train/metrics.json").read_text())
    assert 0.5 < figures["val_macro_f1"] <= 1
    curve = (trained / "metrics/train/plots/metrics/eval/macro_f1.tsv").read_text().splitlines()
    assert curve[0].split("\t") == ["step", "macro_f1"]
    assert len(curve) > 1


def test_two_processes_give_the_same_bytes(trained: Path, data: Path, tmp_path: Path) -> None:
    """Byte-identical bundle, curves and figures: the promise dvc.lock rests on."""
    done = train(tmp_path, data)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(trained)


@pytest.mark.parametrize(
    ("text", "fusion"),
    [
        (tiny_embedded.CONV1D, "concatenate"),
        (tiny_embedded.LSTM, "weighted"),
        (tiny_embedded.PARAMS["text"], "weighted"),
    ],
)
def test_every_branch_trains_and_is_served(
    text: dict, fusion: str, data: Path, tmp_path: Path
) -> None:
    kinds = {"weighted": {"kind": "weighted"}, "concatenate": tiny_embedded.PARAMS["fusion"]}
    training = tiny_embedded.PARAMS["training"] | {"epochs": 25, "patience": 25}
    done = train(tmp_path, data, text=text, fusion=kinds[fusion], training=training)
    assert done.returncode == 0, done.stderr
    assert accuracy(tmp_path) >= 0.75
    assert (tmp_path / "metrics/train/plots").is_dir()  # an output that dvc.yaml declares


def test_a_backbone_that_cant_be_int8_stays_fp32_and_says_so(data: Path, tmp_path: Path) -> None:
    """It has a single convolution, which is left in float anyway."""
    names = [image_name(position, 1) for position in range(32)]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in names:
            archive.writestr(name, photos.packed(photos.BASE, "JPEG"))
    (tmp_path / "preprocessed").mkdir()
    for split in ("train", "validation"):
        table = pd.DataFrame({"row": range(32), "image": names})
        table.to_parquet(tmp_path / f"preprocessed/{split}.parquet", index=False)
    done = train(tmp_path, data, export=tiny_embedded.EXPORT | {"precision": "int8"})
    assert done.returncode == 0, done.stderr
    assert "stays in fp32: the backbone has 1 convolutions" in done.stderr
    meta = bundle.load(tmp_path / "models/bundle").meta
    assert meta.parameters["export"]["precision"] == "int8"
    assert meta.parameters["shipped"]["precision"] == "fp32"
    assert json.loads((tmp_path / "metrics/train/metrics.json").read_text())["int8"] == 0


def test_out_of_fold_probabilities_are_written(trained: Path) -> None:
    """A row each of train and validation, most of them right, none of them certain by heart."""
    table = pd.read_parquet(trained / "metrics/train/out_of_fold.parquet")
    assert table["split"].value_counts().to_dict() == {"train": 96, "validation": 32}
    assert table["row"].is_unique
    scores = np.stack(table["probabilities"])
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == table["label"]).mean() > 0.8


def test_without_a_sentence_encoder_the_bundle_reads_no_second_encoding(tmp_path: Path) -> None:
    data = tiny_embedded.write(tmp_path / "data", sentence=False)
    done = train(tmp_path, data)
    assert done.returncode == 0, done.stderr
    assert set(bundle.load(tmp_path / "models/bundle").meta.input.texts) == {"token_ids"}


def test_a_dead_tracking_server_is_a_warning(data: Path, tmp_path: Path) -> None:
    """The bundle is on disk, the exit code is 0, the log says what was not recorded."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_embedded.PARAMS))
    command = [
        sys.executable,
        "-m",
        "stages.train",
        data,
        *IMAGES,
        "models/bundle",
        "metrics/train",
    ]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "did not take the run" in done.stderr
    assert bundle.load(tmp_path / "models/bundle").labels


def test_mlflow_has_the_run_and_a_model_that_answers(trained: Path) -> None:
    """Parameters, figures and tags are recorded; the registered version loads and classifies."""
    code = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
run = mlflow.search_runs(experiment_names=["ProductCodeClassifier"]).iloc[0]
assert run["params.training.epochs"] == "3", run
assert run["tags.model_type"] == "ngrams+concatenate", run
assert len(run["tags.bundle_version"]) == 36, run
assert run["metrics.val_macro_f1"] > 0.5, run
model = mlflow.pyfunc.load_model("models:/ProductCodeClassifier/1")
print(model.predict(pd.DataFrame({"designation": ["piscine abc", "manette"]}))["code"].tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{trained / 'mlflow.db'}"],
        cwd=trained,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[2583, 40]")


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("training", "learning_rate", -1, "training.learning_rate = -1: .* greater than 0"),
        ("training", "epoch", 3, "training.epoch = 3: .* not permitted"),
        ("text", "kind", "bert", "text.*bert.*'ngrams', 'conv1d', 'lstm'"),
        ("fusion", "dropout", 1.5, "fusion.concatenate.dropout = 1.5: .* less than 1"),
    ],
)
def test_a_wrong_parameter_is_named_with_value_and_bound(
    section, key, value, said, tmp_path
) -> None:
    changed = tiny_embedded.PARAMS[section] | {key: value}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(tiny_embedded.PARAMS | {section: changed}))
    with pytest.raises(ParamsError, match=said):
        load(Params, file)


def test_a_missing_section_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"text": {}}))
    with pytest.raises(ParamsError, match="no section 'fusion': run `make params`"):
        load(Params, tmp_path / "params.yaml")


def test_parameters_cannot_be_changed_once_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_embedded.PARAMS))
    params = load(Params, tmp_path / "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.training.epochs = 5


def test_an_error_of_the_user_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = train(tmp_path, tmp_path / "absent")
    assert done.returncode == 1
    assert "run `dvc repro embed`" in done.stderr
    assert "Traceback" not in done.stderr
