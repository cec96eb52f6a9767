"""Any revision's bundle, from cache or remote, in place at once and nothing else touched."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
import yaml
from moto.server import ThreadedMotoServer

from api import bundle
from stages.promotion.swap import replace
from tests.api.service import Server
from tests.pipeline import project, tiny_project
from tests.stages import tiny_catalogue

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PRODUCT = {"designation": "manette", "description": "pour jouet"}


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A real S3 endpoint, reached by environment variables alone."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    ).create_bucket(Bucket="dvc")
    yield variables
    server.stop()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]) -> Path:
    """Revisions `base` (v1.0.0, the champion) and `better`, pushed to S3."""
    folder = tiny_project.create(tmp_path_factory.mktemp("checkout") / "origin")
    project.run(folder, "git", "tag", "base")
    project.run(folder, "dvc", "push", "--quiet", **s3)
    made = [sys.executable, "-m", "stages.promote", "promote", "base", "--git-only"]
    project.run(folder, *made, PYTHONPATH=str(project.ROOT))
    tiny_project.run(folder, "image.weight=1.2", message="Better")
    project.run(folder, "dvc", "push", "--quiet", **s3)
    return folder


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    """Git's part alone: no cache, no bundle."""
    return project.clone(origin, tmp_path / "clone")


def checkout(folder: Path, revision: str, check: bool = True, **variables: str) -> str:
    command = [sys.executable, "-m", "stages.checkout_model", revision]
    variables = {"PYTHONPATH": str(project.ROOT)} | variables
    return project.run(folder, *command, check=check, **variables)


def version_at(folder: Path, revision: str) -> str:
    """The md5 of the bundle in dvc.lock, found without the code under test."""
    lock = yaml.safe_load(project.run(folder, "git", "show", f"{revision}:dvc.lock"))
    outs = {out["path"]: out["md5"] for out in lock["stages"]["train"]["outs"]}
    return str(outs["models/bundle"])


def test_from_s3_into_a_fresh_clone_to_the_same_answers(
    origin: Path, clone: Path, s3: dict[str, str], tmp_path: Path
) -> None:
    """Push, clone, checkout, serve, predict: the version and the probabilities of the original."""
    original = bundle.load(origin / "models/bundle")
    checkout(clone, "main", **s3)
    served = tmp_path / "service"
    served.mkdir()
    given = {"bundle_dir": clone / "models/bundle", "dvc_lock": clone / "dvc.lock", "top_k": 4}
    with Server(served, **given) as server:
        headers = server.headers()
        model = httpx.get(f"{server.url}/model", headers=headers).json()
        files = [(name, (None, value)) for name, value in PRODUCT.items()]
        files.append(("image", ("photo.jpg", tiny_catalogue.photo(10, 0))))
        answer = httpx.post(f"{server.url}/predict", headers=headers, files=files).json()
    assert model["model_version"] == original.version == version_at(origin, "main")
    assert model["in_dvc_lock"] is True
    assert answer["model_version"] == original.version
    product = bundle.Product(*PRODUCT.values(), tiny_catalogue.photo(10, 0))
    expected = original.probabilities([product])[0]
    found = {each["code"]: each["confidence"] for each in answer["predictions"]}
    codes = [label["code"] for label in original.labels]
    assert [found[code] for code in codes] == pytest.approx(expected, abs=1e-6)


def test_nothing_else_is_touched(clone: Path, s3: dict[str, str]) -> None:
    before = contents(clone)
    said = checkout(clone, "base", **s3)
    assert bundle.version(clone / "models/bundle") == version_at(clone, "base")
    assert f"bundle {version_at(clone, 'base')}" in said
    assert contents(clone) == before
    assert project.run(clone, "git", "status", "--porcelain") == ""
    assert [path.name for path in (clone / "models").iterdir()] == ["bundle"]


def contents(folder: Path) -> dict[str, str]:
    """Digests of all that isn't git's, DVC's or the bundle."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
        and not {".git", ".dvc", "models", "__pycache__"} & {*file.relative_to(folder).parts}
    }


@pytest.mark.parametrize("name", ["champion", "v1.0.0"])
def test_versions_and_the_champion_have_names(clone: Path, s3: dict[str, str], name: str) -> None:
    checkout(clone, name, **s3)
    assert bundle.version(clone / "models/bundle") == version_at(clone, "base")


def test_from_the_cache_without_a_remote(origin: Path) -> None:
    """There and back; nothing is brought that is there already."""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    checkout(origin, "base", **nowhere)
    assert bundle.version(origin / "models/bundle") == version_at(origin, "base")
    assert "already" in checkout(origin, "base", **nowhere)
    checkout(origin, "main", **nowhere)
    assert bundle.version(origin / "models/bundle") == version_at(origin, "main")
    assert "up to date" in project.run(origin, "dvc", "status")


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nowhere", "nowhere is no commit, branch, tag or experiment"),
        ("v9.0.0", "v9.0.0 is no version"),
    ],
)
def test_what_is_unknown_is_said(clone: Path, revision: str, words: str) -> None:
    assert words in checkout(clone, revision, check=False)
    assert not (clone / "models").exists()


def test_a_remote_that_does_not_answer_leaves_the_old_bundle(
    clone: Path, s3: dict[str, str]
) -> None:
    checkout(clone, "base", **s3)
    nowhere = s3 | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    said = checkout(clone, "main", check=False, **nowhere)
    assert "is in neither the cache nor the remote" in said
    assert "Traceback" not in said
    assert bundle.version(clone / "models/bundle") == version_at(clone, "base")
    assert [path.name for path in (clone / "models").iterdir()] == ["bundle"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux exchanges two names")
def test_a_reader_never_finds_less_than_a_bundle(tmp_path: Path) -> None:
    """While two bundles take turns, a reader opens every file of the one in place."""
    place, names = tmp_path / "bundle", ("bundle.json", "labels.json", "model.onnx")
    tiny_catalogue.write_bundle(place)
    missing, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            missing.extend(name for name in names if not (place / name).is_file())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        new = tiny_catalogue.write_bundle(tmp_path / "new", synthetic=bool(turn % 2))
        replace(new, place)
        assert bundle.load(place).synthetic == bool(turn % 2)
    stop.set()
    reader.join()
    assert missing == []
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_without_an_exchange_of_names_the_new_one_is_moved_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.promotion.swap.exchange", lambda *_: False)
    place = tiny_catalogue.write_bundle(tmp_path / "bundle")
    replace(tiny_catalogue.write_bundle(tmp_path / "new", synthetic=True), place)
    assert bundle.load(place).synthetic
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
