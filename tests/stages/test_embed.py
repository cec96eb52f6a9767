"""The embed stage, run on a small catalogue whose images have every fault."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from tokenizers import Tokenizer

from api import labels
from api.archive import ImageArchive, image_name
from api.inputs import decode_image, join_text
from stages import embed, embedded, sentence_features
from stages.backbones import ImageParams
from stages.embedded import EmbeddedError, Shape, create_split, read_meta, read_split
from stages.image_features import FeatureError, Row, Source, read_rows, write_features
from stages.tokenization import PADDING, SEPARATOR
from stages.views import views
from tests.api import photos

# Pillow warns of broken EXIF data and of large images; both are dealt with.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF data:UserWarning", "ignore::PIL.Image.DecompressionBombWarning"
)

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT.parent / "shared" / "rakuten-sample"
SIZE, VIEWS = 32, 3
PARAMS = {
    "image": {
        "backbone": "efficientnet_lite0",
        "size": SIZE,
        "resampling": "bilinear",
        "views": VIEWS,
        "weights": "random",
    },
    "sentence": {"encoder": "use_multilingual_v3", "tokens": 16},
    "tokens": {"characters": 48, "subwords": 12, "vocabulary": 300},
}
KINDS = photos.USABLE | photos.UNUSABLE
CORRUPT = "corrupt entry"


def write_catalogue(root: Path) -> Path:
    """data/preprocessed with one train row for each kind of image, data/raw/images.zip, params."""
    names = [*KINDS, CORRUPT, "no image"]
    preprocessed = root / "data" / "preprocessed"
    preprocessed.mkdir(parents=True)
    (root / "data" / "raw").mkdir()
    table = pd.DataFrame(
        {
            "row": np.arange(len(names)) + 7,
            "text": [
                join_text(name, "Très bien" if at % 2 else "") for at, name in enumerate(names)
            ],
            "image": [
                "" if name == "no image" else image_name(at, 1) for at, name in enumerate(names)
            ],
            "label": (np.arange(len(names)) % 2).astype(np.int32),
        }
    )
    table.to_parquet(preprocessed / "train.parquet", index=False)
    other = table.iloc[:5].assign(text="zzzqx zzzqx")  # no subword may be learnt from these
    other.to_parquet(preprocessed / "validation.parquet", index=False)
    labels.write(labels.ordered([10, 40]), preprocessed / "labels.json")
    (preprocessed / "source.json").write_text(json.dumps({"source": "folder", "synthetic": False}))
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    write_archive(root / "data" / "raw" / "images.zip", table.set_index("image")["text"])
    return root


def write_archive(path: Path, titles: "pd.Series[str]") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, title in titles.items():
            kind = title.split("\n")[0]
            if name:
                archive.writestr(f"images/{name}", KINDS.get(kind, (b"corrupt me", ""))[0])
    path.write_bytes(path.read_bytes().replace(b"corrupt me", b"corrupted!"))


def run(root: Path) -> Path:
    """The stage in this process, as `python -m stages.embed` would run it."""
    data = root / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        embed.main(data / "preprocessed", data / "raw" / "images.zip", data / "embedded")
    return data / "embedded"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_catalogue(tmp_path_factory.mktemp("embed"))
    run(root)
    return root


@pytest.fixture
def output(catalogue: Path) -> Path:
    return catalogue / "data" / "embedded"


@pytest.fixture
def broken(output: Path, tmp_path: Path) -> Path:
    """A copy of data/embedded to damage."""
    return Path(shutil.copytree(output, tmp_path / "embedded"))


def test_sentence_features_are_those_of_the_encoder_that_is_served(output: Path) -> None:
    split = embedded.read_split(output, "train")
    tokenizer = Tokenizer.from_file(str(output / embedded.SENTENCE_TOKENS))
    texts = pd.read_parquet(output.parent / "preprocessed/train.parquet")["text"].tolist()
    session = ort.InferenceSession(
        str(output / embedded.SENTENCE_ENCODER), providers=["CPUExecutionProvider"]
    )
    alone = [
        session.run(["sentence"], {"sentence_ids": sentence_features.encode(tokenizer, [text])})[0]
        for text in texts
    ]
    np.testing.assert_allclose(split.sentence, np.concatenate(alone), atol=2e-3)
    assert embedded.read_meta(output).sentence.features == split.sentence.shape[1] > 0


def test_rows_are_the_row_indices_of_x(output: Path) -> None:
    table = pd.read_parquet(output.parent / "preprocessed/train.parquet")
    np.testing.assert_array_equal(embedded.read_split(output, "train").rows, table["row"])


def test_without_a_sentence_encoder_there_are_no_such_features(tmp_path: Path) -> None:
    root = write_catalogue(tmp_path)
    document = PARAMS | {"sentence": {"encoder": "none"}}
    (root / "params.yaml").write_text(yaml.safe_dump(document))
    output = run(root)
    assert embedded.read_split(output, "train").sentence.shape[1] == 0
    assert not (output / embedded.SENTENCE_ENCODER).exists()


def pixels(kind: str) -> np.ndarray:
    return decode_image(KINDS[kind][0], SIZE)


def run_backbone(output: Path, images: list[np.ndarray]) -> np.ndarray:
    session = ort.InferenceSession(
        str(output / embedded.BACKBONE), providers=["CPUExecutionProvider"]
    )
    features: np.ndarray = session.run(["features"], {"pixels": np.stack(images)})[0]
    return features.astype(np.float16)


def test_every_fault_is_counted_by_its_reason(output: Path) -> None:
    reasons = Counter(reason for _, reason in photos.UNUSABLE.values())
    expected = {"used": len(photos.USABLE), "missing": 1, "corrupt": 1, **reasons}
    assert read_meta(output).images["train"] == expected
    assert read_meta(output).images["validation"] == {"used": 5}


def test_usable_images_have_features_and_the_others_are_masked(output: Path) -> None:
    split = read_split(output, "train")
    assert split.has_image.tolist() == [name in photos.USABLE for name in KINDS] + [False, False]
    assert not split.features[~split.has_image].any()
    assert split.features[split.has_image].any(axis=2).all()


def test_features_are_those_of_the_exported_backbone_on_decoded_pixels(output: Path) -> None:
    """The bundle decodes with the same function and holds the same network."""
    expected = run_backbone(output, [pixels(kind) for kind in photos.USABLE])
    for name, rows in (("train", len(expected)), ("validation", 5)):
        found = read_split(output, name).features[:rows, 0]
        np.testing.assert_array_equal(found, expected[:rows])


def test_views_are_the_image_itself_and_variations_of_it(output: Path) -> None:
    train, validation = (read_split(output, name) for name in embedded.SPLITS)
    assert train.features.shape[1:] == (VIEWS, read_meta(output).features)
    assert validation.features.shape[1] == 1
    rotated = photos.rotated()
    first, again, other = (list(views(rotated, SIZE, "bilinear", row, 4)) for row in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], decode_image(rotated, SIZE))
    assert len({view.tobytes() for view in first + other[1:]}) == 7
    for view in first[1:]:  # still red above blue
        assert view[2, 16, 0] > view[2, 16, 2]
        assert view[-3, 16, 2] > view[-3, 16, 0]


def test_texts_are_encoded_by_the_tokenizers_that_are_saved(catalogue: Path, output: Path) -> None:
    table = pd.read_parquet(catalogue / "data" / "preprocessed" / "train.parquet")
    split = read_split(output, "train")
    np.testing.assert_array_equal(split.labels, table["label"])
    for name in ("characters", "subwords"):
        tokenizer = Tokenizer.from_file(str(output / f"{name}.json"))
        encoded = [encoding.ids for encoding in tokenizer.encode_batch(table["text"].tolist())]
        np.testing.assert_array_equal(getattr(split, name), encoded)
    two_fields = table["text"].str.contains("\n").to_numpy()
    np.testing.assert_array_equal((split.characters == SEPARATOR).any(axis=1), two_fields)
    assert (split.characters[0] == PADDING).any()


def test_subwords_are_learnt_from_the_training_rows_alone(output: Path) -> None:
    vocabulary = Tokenizer.from_file(str(output / embedded.SUBWORDS)).get_vocab()
    assert any("tres" in token for token in vocabulary)
    assert not any("zz" in token for token in vocabulary)


def test_labels_and_source_travel_along(catalogue: Path, output: Path) -> None:
    for name in (embedded.LABELS, embedded.SOURCE):
        copied = (catalogue / "data" / "preprocessed" / name).read_bytes()
        assert (output / name).read_bytes() == copied


def test_the_backbone_takes_any_number_of_pixels_as_bytes(output: Path) -> None:
    (taken,) = onnx.load(output / embedded.BACKBONE).graph.input
    dimensions = taken.type.tensor_type.shape.dim
    assert (taken.name, taken.type.tensor_type.elem_type) == ("pixels", TensorProto.UINT8)
    assert [dimension.dim_value for dimension in dimensions] == [0, SIZE, SIZE, 3]


def test_one_layout_change_is_left_in_the_backbone(output: Path) -> None:
    """Keras keeps channels last, ONNX Runtime first: a change at each layer would be slow."""
    kinds = Counter(node.op_type for node in onnx.load(output / embedded.BACKBONE).graph.node)
    assert kinds["Conv"] == 49
    assert kinds["BatchNormalization"] == 0
    assert kinds["Transpose"] <= 2


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(catalogue: Path, output: Path) -> None:
    """As `dvc repro` in a second clone does."""
    again = catalogue / "again"
    arguments = [str(catalogue / "data" / part) for part in ("preprocessed", "raw/images.zip")]
    subprocess.run(
        [sys.executable, "-m", "stages.embed", *arguments, str(again)],
        cwd=catalogue,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    )
    found, expected = (
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}
        for folder in (again, output)
    )
    assert found == expected
    assert "train: 33 products" in (catalogue / "logs" / "import_data_logger.log").read_text()


@pytest.fixture(scope="module")
def source(catalogue: Path) -> Iterator[Source]:
    with ImageArchive(catalogue / "data" / "raw" / "images.zip") as archive:
        yield Source(archive, SIZE, "bilinear")


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (5, 1), (64, 1), (1, 4), (7, 3)])
def test_features_depend_on_neither_batches_nor_threads(
    catalogue: Path, output: Path, source: Source, tmp_path: Path, batch: int, threads: int
) -> None:
    rows = read_rows(catalogue / "data" / "preprocessed" / "train.parquet")
    expected = read_split(output, "train")
    split = create_split(tmp_path, "train", Shape(len(rows), VIEWS, 1280, 1, 1))
    write_features(output / embedded.BACKBONE, source, rows, split, batch, threads)
    np.testing.assert_array_equal(split.features, expected.features)
    np.testing.assert_array_equal(split.has_image, expected.has_image)


def mean_of_pixels(scale: float) -> bytes:
    """A backbone of one feature: the mean of the pixels, times `scale`."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["raw"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["raw", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["features"]),
    ]
    constants = {"axes": np.array([1, 2], np.int64), "scale": np.array([scale], np.float32)}
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def test_features_that_16_bits_do_not_hold_are_refused(source: Source, tmp_path: Path) -> None:
    split = create_split(tmp_path, "train", Shape(1, 1, 3, 1, 1))
    rows = [Row(0, image_name(0, 1))]
    backbone = tmp_path / "backbone.onnx"
    backbone.write_bytes(mean_of_pixels(1.0))
    assert write_features(backbone, source, rows, split) == {"used": 1}
    np.testing.assert_allclose(split.features[0, 0], photos.COLOUR, atol=2)
    backbone.write_bytes(mean_of_pixels(1e6))
    with pytest.raises(FeatureError, match=r"16 bits don't hold.*image\.weights"):
        write_features(backbone, source, rows, split)


def test_an_image_of_another_import_is_named(source: Source, tmp_path: Path) -> None:
    split = create_split(tmp_path, "train", Shape(1, 1, 3, 1, 1))
    backbone = tmp_path / "backbone.onnx"
    backbone.write_bytes(mean_of_pixels(1.0))
    with pytest.raises(FeatureError, match=r"no image_5_product_6\.jpg, the image of row 3"):
        write_features(backbone, source, [Row(3, image_name(5, 6))], split)


def test_an_interrupted_run_is_not_taken_for_a_finished_one(
    catalogue: Path, tmp_path: Path
) -> None:
    """The second run fails at its last table, over what the first has left."""
    root = Path(shutil.copytree(catalogue, tmp_path / "copy"))
    table = root / "data" / "preprocessed" / "validation.parquet"
    rows = pd.read_parquet(table)
    rows.assign(image="image_9_product_9.jpg").to_parquet(table, index=False)
    with pytest.raises(FeatureError):
        run(root)
    with pytest.raises(EmbeddedError, match=r"no embedded\.json, so it was not finished"):
        read_split(root / "data" / "embedded", "train")


@pytest.mark.parametrize("fault", ["absent", "empty"])
def test_a_split_without_rows_is_refused_before_any_work(
    catalogue: Path, tmp_path: Path, fault: str
) -> None:
    root = Path(shutil.copytree(catalogue, tmp_path / "copy"))
    table = root / "data" / "preprocessed" / "validation.parquet"
    if fault == "absent":
        table.unlink()
    else:
        pd.read_parquet(table).iloc[:0].to_parquet(table, index=False)
    with pytest.raises(embed.EmbedError, match=r"validation\.parquet (not found|has no rows)"):
        run(root)


def test_arrays_are_memory_mapped(output: Path) -> None:
    split = read_split(output, "train")
    for array in (split.features, split.characters, split.subwords, split.labels):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


@pytest.mark.parametrize("name", ["features", "has_image", "characters", "subwords"])
def test_arrays_of_different_lengths_are_refused(broken: Path, name: str) -> None:
    file = broken / "train" / f"{name}.npy"
    np.save(file, np.load(file)[:-1])
    with pytest.raises(EmbeddedError, match=rf"{name}\.npy: .*expected .*\(33"):
        read_split(broken, "train")


def test_arrays_that_embedded_json_does_not_describe_are_refused(broken: Path) -> None:
    file = broken / "train" / "features.npy"
    kept = np.load(file)
    for other in (kept.astype(np.float32), kept[:, :1], kept[:, :, :9], kept[:, 0]):
        np.save(file, other)
        with pytest.raises(EmbeddedError, match=r"features\.npy: .*run `dvc repro embed`"):
            read_split(broken, "train")


@pytest.mark.parametrize("damage", ["absent", "cut", "not an array"])
def test_a_broken_array_is_named(broken: Path, damage: str) -> None:
    file = broken / "validation" / "labels.npy"
    content = file.read_bytes()
    file.unlink()
    if damage != "absent":
        file.write_bytes(content[:-4] if damage == "cut" else b"labels")
    with pytest.raises(EmbeddedError, match=r"labels\.npy: can't be read"):
        read_split(broken, "validation")


def test_an_embedded_json_of_another_version_is_refused(broken: Path) -> None:
    meta = json.loads((broken / embedded.META).read_text())
    (broken / embedded.META).write_text(json.dumps(meta | {"device": "gpu"}))
    with pytest.raises(EmbeddedError, match=r"embedded\.json is not understood"):
        read_meta(broken)


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the 540 real products are not on this machine")
def test_pretrained_features_tell_real_products_apart(tmp_path: Path) -> None:
    """Weighted F1 of a logistic regression on 540 photos of 27 classes; 0.32 was known before."""
    params = ImageParams.model_validate(PARAMS["image"] | {"size": 224, "weights": "package"})
    products = pd.read_csv(SAMPLE / "X_train_update.csv", index_col=0)
    codes = pd.read_csv(SAMPLE / "Y_train_CVw08PX.csv", index_col=0)["prdtypecode"]
    rows = [
        Row(row, image_name(product.imageid, product.productid))
        for row, product in zip(products.index, products.itertuples(), strict=True)
    ]
    split = create_split(tmp_path, "train", Shape(len(rows), 1, 1280, 1, 1))
    with ImageArchive(SAMPLE / "images.zip") as archive:
        source = Source(archive, params.size, params.resampling)
        embed.write_backbone(params, embed.sample(source, rows), tmp_path)
        outcomes = write_features(tmp_path / embedded.BACKBONE, source, rows, split)
    assert outcomes == {"used": len(products)}
    classifier = make_pipeline(Normalizer(), LogisticRegression(C=10, max_iter=500))
    features, folds = split.features[:, 0].astype(np.float32), StratifiedKFold(5)
    predicted = cross_val_predict(classifier, features, codes.loc[products.index], cv=folds)
    assert f1_score(codes.loc[products.index], predicted, average="weighted") > 0.3
