"""The huggingface source against a hub on this machine: transfer, failures, interruptions."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import layout
import pytest
import yaml
from hub_server import COMMIT, Fault, Hub, serving

from stages import huggingface
from stages.raw import SourceError

REPOSITORY = "shop/catalogue"
BYTES = 24_000_000  # the client writes pieces of 10 MB, so that a cut leaves some behind
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return layout.catalogue(BYTES)


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    with serving(REPOSITORY, dict(files)) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _nobody_in_particular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token of the machine that runs the tests, and no word to the public hub."""
    home = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    for name, value in home.items():  # for programs that are started
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "home/token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Runs the source against the hub and gives what arrived; may be called again."""
    target, partial = tmp_path / "files", tmp_path / "partial"
    target.mkdir()
    partial.mkdir()

    def run(repository: str = REPOSITORY, revision: str = "main") -> dict[str, bytes]:
        huggingface.fetch(repository, revision, target, partial, hub.address)
        return layout.contents(target)

    return run


def ranges(hub: Hub, file: str = "images.zip") -> list[str | None]:
    """Which part of a file each request for its content asked for."""
    return [request.headers.get("Range") for request in hub.seen("GET", file, "content")]


def test_brings_the_four_files_of_one_commit(hub, fetch, files):
    """A branch that moves meanwhile can't mix two versions."""
    assert files == fetch()
    assert [request.revision for request in hub.requests if request.method == "HEAD"] == [
        "main",
        COMMIT,
        COMMIT,
        COMMIT,
    ]
    assert {COMMIT} == {request.revision for request in hub.requests if request.method == "GET"}


def test_token_goes_to_the_hub_only(hub, fetch, monkeypatch):
    """Large files come from another origin, which has no business with the token."""
    monkeypatch.setenv("HF_TOKEN", "hf_throwaway")
    fetch()
    by_server = {
        server: {r.headers.get("authorization") for r in hub.requests if r.server == server}
        for server in ("hub", "content")
    }
    assert {"hub": {"Bearer hf_throwaway"}, "content": {None}} == by_server


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_cut_download_goes_on_where_it_stopped(hub, fetch, files, reset):
    hub.fail("GET", "images.zip", Fault(cut_after=15_000_000, reset=reset))
    assert files == fetch()
    assert len(ranges(hub)) == 2
    first, second = ranges(hub)
    assert first is None
    assert second in {"bytes=10485760-", "bytes=15000000-"}


def test_a_server_without_ranges_sends_all_again(hub, fetch, files):
    hub.fail("GET", "images.zip", Fault(cut_after=15_000_000), Fault(ignore_range=True))
    assert files == fetch()


@pytest.mark.usefixtures("quick")
def test_a_later_run_goes_on_where_an_earlier_one_failed(hub, fetch, files):
    """What has arrived is kept for the next run, and what is whole is not fetched again."""
    hub.fail("GET", "images.zip", Fault(cut_after=15_000_000), *[Fault(status=503)] * 99)
    with pytest.raises(SourceError, match=r"images.zip .*HTTP 503.*what has arrived is kept"):
        fetch()
    hub.recover()
    before = len(hub.seen("GET", "images.zip", "content"))
    assert files == fetch()
    assert ranges(hub)[before:] == ["bytes=10485760-"]
    assert len(hub.seen("GET", "X_train_update.csv")) == 1


@pytest.fixture
def quick(monkeypatch) -> list[float]:
    """Lets waits pass at once, and records how long each would have been, in seconds."""
    waits: list[float] = []
    clock = SimpleNamespace(sleep=waits.append)
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    monkeypatch.setattr("huggingface_hub.file_download.time", clock)
    monkeypatch.setattr("stages.download.time", clock)
    return waits


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("file", ["Y_train_CVw08PX.csv", "images.zip"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_hub_is_asked_again_after_longer_and_longer(
    hub, fetch, files, quick, method, file, status
):
    hub.fail(method, file, *[Fault(status=status)] * 4)
    assert files == fetch()
    assert len(quick) >= 3
    assert sorted(quick) == quick
    assert quick[-1] > quick[0]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [429, 503])
def test_waits_as_long_as_the_hub_asks(hub, fetch, files, quick, method, status):
    hub.fail(method, "images.zip", *[Fault(status=status, headers={"Retry-After": "17"})] * 2)
    assert files == fetch()
    assert max(quick) in {17, 18}  # the library rounds up by a second


def test_waits_for_real(hub, fetch, files):
    hub.fail("GET", "images.zip", Fault(status=503, headers={"Retry-After": "1"}))
    start = time.monotonic()
    assert files == fetch()
    assert time.monotonic() - start >= 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [429, 500])
def test_gives_up_after_some_tries(hub, fetch, method, status):
    hub.fail(method, "images.zip", *[Fault(status=status)] * 99)
    with pytest.raises(SourceError, match=r"images\.zip from huggingface shop/catalogue@"):
        fetch()
    assert len(hub.seen(method, "images.zip", "content" if method == "GET" else "hub")) == 6


def test_another_content_than_announced_is_refused_and_forgotten(hub, fetch, files):
    """A download that was damaged is neither used nor resumed."""
    hub.announced["images.zip"] = "0" * 64
    with pytest.raises(SourceError, match=r"images.zip .*sha256 .* expected 0000.*run the stage"):
        fetch()
    hub.announced.clear()
    assert files == fetch()
    assert ranges(hub) == [None, None]


def test_nothing_is_handed_over_before_all_is_right(hub, fetch, tmp_path):
    hub.announced["images.zip"] = "0" * 64
    with pytest.raises(SourceError):
        fetch()
    assert layout.contents(tmp_path / "files") == {}


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (906_704, "906,704 bytes, expected 906,705"),
        (906_705, "md5 is [0-9a-f]{32}, expected 52d45c998ddc0c10f05987bb233ff5e7"),
    ],
)
def test_known_data_set_must_have_the_known_tables(tmp_path, files, size, message):
    """They are what the figures in this project refer to."""
    repository = next(iter(huggingface.KNOWN))
    other = files | {"Y_train_CVw08PX.csv": bytes(size)}
    with serving(repository, other) as hub, pytest.raises(SourceError) as caught:
        huggingface.fetch(repository, "main", tmp_path, tmp_path, hub.address)
    assert re.search(f"Y_train_CVw08PX.csv from huggingface .*{message}", str(caught.value))
    assert list(tmp_path.glob("*.csv*")) == []


def test_a_file_the_data_set_lacks(hub, fetch):
    del hub.files["X_test_update.csv"]
    with pytest.raises(SourceError, match=r"X_test_update.csv .*no such file .*; it has to hold"):
        fetch()


def test_a_data_set_that_does_not_exist(fetch):
    with pytest.raises(SourceError, match=r"shop/other@main: no such data set.*data.repository"):
        fetch(repository="shop/other")


def test_a_revision_that_does_not_exist(fetch):
    with pytest.raises(SourceError, match=r"@v9: no such revision .*; set data.revision"):
        fetch(revision="v9")


def test_a_name_the_hub_does_not_allow(fetch):
    with pytest.raises(SourceError, match=r"not a name on the hub.*owner/name"):
        fetch(repository="shop/cata--logue..")


def test_a_server_that_is_no_hub(hub, fetch):
    hub.names_commit = False
    with pytest.raises(SourceError, match=r"names no commit.*HF_ENDPOINT"):
        fetch()


def test_a_file_that_ends_before_its_promised_size(hub, fetch, files):
    hub.claimed_sizes["images.zip"] = len(files["images.zip"]) + 1
    with pytest.raises(
        SourceError, match=r"images.zip .*ends early .* 24001245 but has size 24001244"
    ):
        fetch()


def test_a_file_of_unknown_size(hub, fetch, files):
    hub.claimed_sizes["images.zip"] = None
    hub.fail("GET", "images.zip", Fault(no_length=True))
    assert files == fetch()


def test_no_network(hub, fetch, quick):
    hub.hub.shutdown()
    hub.hub.server_close()
    with pytest.raises(SourceError, match=r"no connection .*check the network.*HF_ENDPOINT"):
        fetch()
    assert quick == [1, 2, 4, 8, 8]


def test_too_little_room_is_found_out_before_the_download(hub, fetch):
    hub.claimed_sizes["images.zip"] = 10**15
    with pytest.raises(OSError, match=r"No space|bytes are needed"):
        fetch()
    assert hub.seen("GET", "images.zip") == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a params.yaml, as the stage finds it."""
    data = {"source": "huggingface", "repository": REPOSITORY, "revision": "main"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"data": data}))
    return tmp_path


def command(project: Path, hub: Hub, **options) -> subprocess.Popen[str]:
    """The stage as DVC runs it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.address}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.import_data", "data/raw"],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.slow
def test_a_killed_import_is_finished_by_the_next(hub, files, project):
    """After SIGKILL in the middle of a download there is no data/raw; then the same bytes."""
    hub.fail("GET", "images.zip", Fault(stall_after=15_000_000))
    killed = command(project, hub)
    partial = project / "data/raw.staging/partial"
    wait_until(lambda: any(p.stat().st_size > 10**7 for p in partial.glob("images.zip*")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (project / "data/raw").exists()

    finished = command(project, hub)
    assert finished.wait(60) == 0, finished.stderr.read()
    finished.stderr.close()
    arrived = layout.contents(project / "data/raw")
    assert arrived.pop("source.json")
    assert files == arrived
    assert ranges(hub) == [None, "bytes=10485760-"]
    assert [path.name for path in (project / "data").iterdir()] == ["raw"]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_full_disk_is_named(hub, project):
    """The kernel refuses to write beyond a limit, in the middle of a file of unknown size."""
    hub.claimed_sizes["images.zip"] = None
    hub.fail("GET", "images.zip", Fault(no_length=True))
    limit = (12_000_000, 12_000_000)
    failed = command(
        project, hub, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    _, log = failed.communicate(timeout=60)
    assert failed.returncode == 1
    assert "no room to write it" in log
    assert "free some on the disk" in log
    assert "Traceback" not in log
    assert not (project / "data/raw").exists()


def test_logs_name_no_signed_address(hub, project):
    """Where content is redirected to, the address itself is a credential."""
    hub.fail("GET", "images.zip", Fault(status=503, headers={"Retry-After": "0"}))
    finished = command(project, hub)
    _, log = finished.communicate(timeout=60)
    assert finished.returncode == 0, log
    assert "images.zip: HTTP 503, trying again in 0 s" in log
    assert f":{hub.content.server_port}" not in log
    assert (project / "logs/import_data_logger.log").read_text().count("HTTP 503") == 1
