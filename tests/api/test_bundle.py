"""The bundle's contract: what is written is what is read, and nothing else is."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db.local import LocalHashFileDB
from dvc_objects.fs.local import LocalFileSystem
from tokenizers import Tokenizer

from api import bundle, bundle_format
from api.bundle import BundleError, Product
from api.inputs import ImageError
from tests.stages import tiny_catalogue

RED = tiny_catalogue.photo(10, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_catalogue.write_bundle(tmp_path / "bundle")


def reseal(path: Path) -> None:
    """Makes bundle.json agree again with files a test has changed."""
    meta = json.loads((path / bundle_format.META).read_text())
    for name in meta["files_sha256"]:
        meta["files_sha256"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / bundle_format.META).write_text(json.dumps(meta))


def test_the_version_is_the_md5_that_dvc_computes(path: Path) -> None:
    database = LocalHashFileDB(LocalFileSystem(), str(path.parent / "cache"))
    _, _, tree = build(database, str(path), LocalFileSystem(), "md5", dry_run=True)
    assert bundle.load(path).version == tree.hash_info.value


def test_any_change_changes_the_version(path: Path) -> None:
    before = bundle.version(path)
    (path / bundle_format.LABELS).write_text((path / bundle_format.LABELS).read_text() + " ")
    assert bundle.version(path) != before


def test_writing_twice_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tiny_catalogue.write_bundle(tmp_path / "again")
    assert bundle.version(again) == bundle.version(path)


@pytest.mark.parametrize(
    "name", [bundle_format.MODEL, bundle_format.TOKENIZER, bundle_format.LABELS, bundle_format.META]
)
def test_a_missing_file_is_named_with_the_remedy(path: Path, name: str) -> None:
    (path / name).unlink()
    with pytest.raises(BundleError, match=rf"no {name}.*dvc pull") as error:
        bundle.load(path)
    assert error.value.path == path


@pytest.mark.parametrize(
    "name", [bundle_format.MODEL, bundle_format.TOKENIZER, bundle_format.LABELS]
)
def test_a_changed_file_is_refused(path: Path, name: str) -> None:
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} is not the file bundle.json describes"):
        bundle.load(path)


def test_a_half_written_bundle_is_refused(path: Path) -> None:
    (path / bundle_format.META).write_text("{")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        bundle.load(path)


def test_another_format_version_is_refused_by_name(path: Path) -> None:
    meta = json.loads((path / bundle_format.META).read_text())
    (path / bundle_format.META).write_text(json.dumps(meta | {"format_version": 1}))
    with pytest.raises(BundleError, match="format_version"):
        bundle.load(path)


def test_labels_must_be_as_many_as_outputs(path: Path) -> None:
    labels = json.loads((path / bundle_format.LABELS).read_text())
    (path / bundle_format.LABELS).write_text(json.dumps(labels[:-1]))
    reseal(path)
    with pytest.raises(BundleError, match=f"{len(labels) - 1} labels"):
        bundle.load(path)


def test_the_tokenizer_must_be_the_models(path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(path / bundle_format.TOKENIZER))
    tokenizer.add_tokens(["another"])
    tokenizer.save(str(path / bundle_format.TOKENIZER))
    reseal(path)
    with pytest.raises(BundleError, match="tokens, the model"):
        bundle.load(path)


def test_the_tokenizer_must_pad_to_the_models_length(path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(path / bundle_format.TOKENIZER))
    tokenizer.enable_truncation(3)
    tokenizer.save(str(path / bundle_format.TOKENIZER))
    reseal(path)
    with pytest.raises(BundleError, match="pads and truncates"):
        bundle.load(path)


def test_unknown_text_inputs_are_refused(path: Path) -> None:
    meta = json.loads((path / bundle_format.META).read_text())
    meta["input"]["texts"]["words"] = meta["input"]["texts"]["token_ids"]
    (path / bundle_format.META).write_text(json.dumps(meta))
    with pytest.raises(BundleError, match=r"text inputs .*words"):
        bundle.load(path)


def test_input_names_are_checked(path: Path) -> None:
    model = onnx.load(path / bundle_format.MODEL)
    for node in model.graph.node:
        node.input[:] = ["photo" if name == "pixels" else name for name in node.input]
    next(node for node in model.graph.input if node.name == "pixels").name = "photo"
    onnx.save(model, path / bundle_format.MODEL)
    reseal(path)
    with pytest.raises(BundleError, match=r"takes .*photo"):
        bundle.load(path)


def test_a_model_that_is_no_onnx_is_refused(path: Path) -> None:
    (path / bundle_format.MODEL).write_bytes(b"not a model")
    reseal(path)
    with pytest.raises(BundleError, match="can't be opened"):
        bundle.load(path)


def test_probabilities_do_not_depend_on_the_batch(path: Path) -> None:
    opened = bundle.load(path)
    products = [Product("livre", None, RED), Product("manette"), Product(image=RED), Product()]
    together = opened.probabilities(products)
    alone = np.concatenate([opened.probabilities([product]) for product in products])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.shape == (4, len(opened.labels))


def test_no_products_give_no_probabilities(path: Path) -> None:
    opened = bundle.load(path)
    assert opened.probabilities([]).shape == (0, len(opened.labels))


def test_an_image_that_cannot_be_used_is_an_error_or_counts_as_missing(path: Path) -> None:
    opened = bundle.load(path)
    broken = [Product("livre", image=b"no image")]
    with pytest.raises(ImageError, match="unreadable"):
        opened.probabilities(broken)
    expected = opened.probabilities([Product("livre")])
    np.testing.assert_array_equal(opened.probabilities(broken, strict=False), expected)


def test_a_copied_bundle_keeps_its_version(path: Path, tmp_path: Path) -> None:
    shutil.copytree(path, tmp_path / "elsewhere")
    assert bundle.load(tmp_path / "elsewhere").version == bundle.version(path)
