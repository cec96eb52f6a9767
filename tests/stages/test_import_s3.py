"""The s3 source against moto's server, which answers as Amazon's does."""

import http.client
import logging
from collections.abc import Callable, Iterator

import boto3
import layout
import pytest
from moto.server import ThreadedMotoServer

from stages import s3
from stages.raw import SourceError

URL = "s3://shop/catalogue/v1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(server: str, monkeypatch, tmp_path) -> str:
    """The AWS_ variables of a user, and none of the machine that runs the tests."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    return server


@pytest.fixture
def files() -> dict[str, bytes]:
    return layout.catalogue(300_000)


@pytest.fixture
def bucket(aws: str, files: dict[str, bytes]) -> Iterator[Callable[..., object]]:
    """The catalogue in a bucket; gives the bucket's client."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="shop")
    for name, content in files.items():
        client.put_object(Bucket="shop", Key=f"catalogue/v1/{name}", Body=content)
    yield client
    post(aws, "/moto-api/reset")
    client.close()


def post(server: str, path: str, body: str = "") -> None:
    connection = http.client.HTTPConnection(server.removeprefix("http://"))
    connection.request("POST", path, body)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("url", [URL, URL + "/"])
@pytest.mark.usefixtures("bucket")
def test_brings_the_four_files(files, tmp_path, url):
    s3.fetch(url, tmp_path)
    assert layout.contents(tmp_path) == files


@pytest.mark.usefixtures("bucket")
def test_says_how_far_it_is(caplog, tmp_path):
    with caplog.at_level(logging.INFO):
        s3.fetch(URL, tmp_path)
    assert "downloading s3://shop/catalogue/v1/images.zip" in caplog.text
    assert "images.zip: 301kB of 301kB" in caplog.text


@pytest.mark.usefixtures("bucket")
def test_no_such_bucket(tmp_path):
    with pytest.raises(SourceError, match=r"from s3://nowhere: no such file or bucket .*bucket"):
        s3.fetch("s3://nowhere", tmp_path)


def test_no_such_file(bucket, tmp_path):
    bucket.delete_object(Bucket="shop", Key="catalogue/v1/X_test_update.csv")
    with pytest.raises(SourceError, match=r"X_test_update.csv from .*no such file.*has to hold"):
        s3.fetch(URL, tmp_path)


def test_a_prefix_is_no_file(bucket, tmp_path):
    """Below an object's name there may be others, as if it were a folder."""
    bucket.delete_object(Bucket="shop", Key="catalogue/v1/images.zip")
    bucket.put_object(Bucket="shop", Key="catalogue/v1/images.zip/a", Body=b"")
    with pytest.raises(SourceError, match=r"images.zip from .*no such file"):
        s3.fetch(URL, tmp_path)


@pytest.mark.usefixtures("bucket")
def test_wrong_credentials(aws, tmp_path):
    post(aws, "/moto-api/reset-auth", "0")  # from now on the server checks signatures
    try:
        with pytest.raises(SourceError, match=r"access refused .*check AWS_ACCESS_KEY_ID"):
            s3.fetch(URL, tmp_path)
    finally:
        post(aws, "/moto-api/reset-auth", "1000000")


@pytest.mark.usefixtures("bucket")
def test_no_credentials(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match=r"redentials.*set AWS_ACCESS_KEY_ID"):
        s3.fetch(URL, tmp_path)


@pytest.mark.usefixtures("aws")
def test_no_server(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceError, match=r"can't be had .*127.0.0.1:9.*check AWS_ENDPOINT_URL"):
        s3.fetch(URL, tmp_path)
