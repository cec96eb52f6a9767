"""The import stage as a whole: parameters, checks after the source, what data/raw is afterwards."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import layout
import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from api.archive import ImageArchive
from stages import import_data
from stages.params import ParamsError, load
from stages.raw import SourceError

SAMPLE = {"source": "sample", "products": 270, "test_products": 3, "seed": 1}
CONF = Path(__file__).parents[2] / "conf"
REAL = CONF.parents[1] / "shared/rakuten-sample"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root, and the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(data: dict[str, object]) -> dict[str, bytes]:
    """Runs the stage on some `data` parameters; what data/raw holds afterwards."""
    Path("params.yaml").write_text(yaml.safe_dump({"data": data}))
    import_data.main(Path("data/raw"))
    return layout.contents(Path("data/raw"))


def from_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    layout.write(Path("shop"), files)
    return run({"source": "folder", "path": "shop"})


def test_raw_holds_the_files_and_what_they_are(root):
    files = layout.catalogue()
    arrived = from_folder(files)
    described = json.loads(arrived.pop("source.json"))
    assert arrived == files
    assert described == {
        "source": "folder",
        "synthetic": False,
        "files": {
            name: {"bytes": len(content), "md5": hashlib.md5(content).hexdigest()}
            for name, content in files.items()
        },
    }
    assert [path.name for path in (root / "data").iterdir()] == ["raw"]


@pytest.mark.usefixtures("root")
def test_a_second_import_replaces_the_first():
    from_folder(layout.catalogue())
    Path("data/raw/left_over.csv").touch()
    arrived = run({"source": "folder", "path": str(Path("shop").absolute())})
    assert set(arrived) == {*layout.catalogue(), "source.json"}


@pytest.mark.usefixtures("root")
def test_the_same_source_gives_the_same_bytes():
    first = from_folder(layout.catalogue())
    assert run({"source": "folder", "path": "shop"}) == first


@pytest.mark.slow
@pytest.mark.usefixtures("root")
def test_sample_says_that_it_is_synthetic():
    arrived = run(SAMPLE)
    assert json.loads(arrived["source.json"])["synthetic"] is True
    assert arrived == run(SAMPLE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "X_train_update.csv",
            b"",
            r"its columns are \[\], expected row numbers, then \['designation'",
        ),
        (
            "X_test_update.csv",
            b",designation\n",
            r"columns are \['', 'designation'\], expected row",
        ),
        (
            "Y_train_CVw08PX.csv",
            b"prdtypecode\n10\n",
            r"columns are \['prdtypecode'\], expected row numbers",
        ),
        ("Y_train_CVw08PX.csv", b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        ("X_train_update.csv", b"\xff\xfe,\0d", r"not readable as a table.*UTF-8"),
        ("images.zip", b"", "not a whole zip file"),
        ("images.zip", layout.packed({"../image_1_product_2.jpg": b""}), "leads out"),
        ("images.zip", layout.packed({"image_1.jpg": b""}), "no entry is named"),
    ],
)
def test_a_file_that_no_stage_could_use_is_refused(root, name, content, message):
    """By its name and its source's, and data/raw is not made."""
    with pytest.raises(SourceError, match=rf"(?s){name} from folder shop: .*{message}"):
        from_folder(layout.catalogue() | {name: content})
    assert list((root / "data").iterdir()) == []


def test_what_an_interrupted_import_left_is_not_used(root):
    layout.write(root / "data/raw.staging/files", {"left_over.csv": b"", "images.zip": b""})
    files = layout.catalogue()
    assert from_folder(files).keys() == {*files, "source.json"}
    assert [path.name for path in (root / "data").iterdir()] == ["raw"]


def test_a_failed_import_leaves_the_last_one_alone(root):
    good = from_folder(layout.catalogue())
    (root / "shop/images.zip").write_bytes(b"")
    with pytest.raises(SourceError):
        run({"source": "folder", "path": "shop"})
    assert layout.contents(root / "data/raw") == good


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "ftp"}, "data = .*'sample', 'huggingface', 's3', 'folder'"),
        (SAMPLE | {"products": 269}, "data.sample.products = 269: .* 270"),
        (SAMPLE | {"test_products": -1}, "data.sample.test_products = -1"),
        (SAMPLE | {"rows": 1}, "data.sample.rows = 1: Extra inputs"),
        ({"source": "huggingface", "repository": "x", "revision": "main"}, "data.huggingface.rep"),
        ({"source": "huggingface", "repository": "x/y", "revision": ""}, "data.huggingface.rev"),
        ({"source": "s3", "url": "https://bucket"}, "data.s3.url = 'https://bucket'"),
        ({"source": "s3"}, "data.s3.url = .*: Field required"),
        ({"source": "folder", "path": "???"}, "data.folder.path = .* `-S data.path="),
        ({"source": "folder"}, "data.folder.path = .*: Field required"),
    ],
)
@pytest.mark.usefixtures("root")
def test_wrong_parameters_are_named(data, message):
    with pytest.raises(ParamsError, match=message):
        run(data)


def composed(root: Path, *overrides: str) -> Path:
    """params.yaml as `dvc exp run` composes it from conf/data."""
    shutil.copytree(CONF / "data", root / "conf/data")
    (root / "conf/config.yaml").write_text("defaults:\n  - data: sample\n")
    params = root / "params.yaml"
    compose_and_dump(params, str(root / "conf"), None, "config", str(root), list(overrides))
    return params


@pytest.mark.parametrize(
    ("overrides", "source"),
    [
        ([], "sample"),
        (["data=huggingface"], "huggingface"),
        (["data=s3", "data.url=s3://shop/catalogue"], "s3"),
        (["data=folder", "data.path=/shop"], "folder"),
    ],
)
def test_every_choice_in_conf_is_understood(tmp_path, overrides, source):
    assert load(import_data.Params, composed(tmp_path, *overrides)).data.source == source


@pytest.mark.usefixtures("root")
def test_parameters_that_are_no_yaml_are_named():
    Path("params.yaml").write_text("data: {source: folder, path: ???}")
    with pytest.raises(ParamsError, match=r"(?s)params.yaml is not YAML.*make params"):
        import_data.main(Path("data/raw"))


@pytest.mark.parametrize(("choice", "field"), [("s3", "url"), ("folder", "path")])
def test_a_choice_without_its_place_says_how_to_name_it(tmp_path, choice, field):
    params = composed(tmp_path, f"data={choice}")
    with pytest.raises(
        ParamsError, match=rf"data.{choice}.{field} = .*no default: add `-S data.{field}="
    ):
        load(import_data.Params, params)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/rakuten-sample is not here")
@pytest.mark.usefixtures("root")
def test_real_products():
    arrived = run({"source": "folder", "path": str(REAL)})
    del arrived["source.json"]
    assert arrived == layout.contents(REAL)
    with ImageArchive(Path("data/raw/images.zip")) as archive:
        assert len(archive.members) == 549
        assert all(archive.read(name).startswith(b"\xff\xd8") for name in archive.members)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/rakuten-sample is not here")
def test_real_products_unpacked(root):
    """The same images as files in folders give an archive with the same content."""
    tables = {path.name: path.read_bytes() for path in REAL.glob("*.csv")}
    layout.write(root / "shop", tables)
    with zipfile.ZipFile(REAL / "images.zip") as archive:
        archive.extractall(root / "shop")
        content = {name: archive.read(name) for name in archive.namelist()}
    run({"source": "folder", "path": "shop"})
    with zipfile.ZipFile("data/raw/images.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == content
