"""The image of the service: built from the Dockerfile, run as it is meant to be run, and asked."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from api import bundle
from api.settings import IN_FILES, PREFIX
from deploy import secret_files
from tests.api import servers
from tests.api.servers import free_port
from tests.api.service import PRODUCTION, RED, ROOT, until
from tests.deploy import composed as compose
from tests.deploy import containers
from tests.deploy.containers import BASE, Store
from tests.stages import tiny_catalogue

STALE = """
import api.main, pathlib, sys
cached = [getattr(module, "__cached__", None) for module in sys.modules.values()]
files = [pathlib.Path(path) for path in cached if path]
print([str(path) for path in files if not path.exists() or path.read_bytes()[4] != 1])
"""
"""Modules whose bytecode is missing, or valid only while its source's time stays (PEP 552)."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
IMAGE = "product-codes-api"
LARGEST = 300
"""Megabytes above the base, unpacked, with a bundle of the committed size."""
REVISION = "0123456789abcdef"
PASSWORD = "a long enough password"


def context(folder: Path) -> Path:
    """What the image is built from: this tree if it holds a bundle, otherwise a copy with one."""
    if (ROOT / "models" / "bundle" / "bundle.json").is_file():
        return ROOT
    for name in ("Dockerfile", ".dockerignore", "requirements", "api", "deploy"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / ".env").write_text("API_SECRET=of nobody\n")
    tiny_catalogue.write_bundle(folder / "models" / "bundle")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """The store, and the version of the bundle in the image."""
    with containers.store() as store:
        source = context(tmp_path_factory.mktemp("context"))
        version = bundle.version(source / "models" / "bundle")
        store.build(source, "api", IMAGE, {"REVISION": REVISION, "BUNDLE_VERSION": version})
        yield store, version


class Running:
    """A container of the image, and where it answers."""

    def __init__(self, store: Store, name: str, port: int) -> None:
        self.store = store
        self.name = name
        self.url = f"http://127.0.0.1:{port}"

    def run(self, *command: str, given: str | None = None) -> str:
        """What a command in the container prints."""
        return self.store.podman("exec", "--interactive", self.name, *command, given=given)

    def ready(self) -> bool:
        """Whether it would classify products."""
        return answers(f"{self.url}/ready")


@contextmanager
def running(
    store: Store, folder: Path, *options: str, command: tuple[str, ...] = ()
) -> Iterator[Running]:
    """As compose.yaml and Kubernetes run it: no rights, nothing to write on but /state and /tmp."""
    secret = folder / "secret"
    secret.write_text(secrets.token_urlsafe(48))
    port = free_port()
    name = f"service-{port}"
    store.podman(
        *("run", "--detach", "--name", name, "--no-healthcheck", "--network", "host"),
        *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all"),
        *("--security-opt", "no-new-privileges", "--volume", f"{secret}:/run/secrets/secret:ro"),
        *("--env", "API_SECRET_FILE=/run/secrets/secret", "--env", f"UVICORN_PORT={port}"),
        *("--env", "UVICORN_HOST=127.0.0.1", *options, IMAGE, *command),
    )
    try:
        yield Running(store, name, port)
    finally:
        store.podman("rm", "--force", "--volumes", name)


@pytest.fixture(scope="module")
def service(
    built: tuple[Store, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(built[0], tmp_path_factory.mktemp("service")) as made:
        until(made.ready)
        yield made


def test_its_layers_are_small(built: tuple[Store, str], record_testsuite_property) -> None:
    store, _ = built
    above = (store.bytes(IMAGE) - store.bytes(BASE)) / 1e6
    record_testsuite_property("image_megabytes_above_base", f"{above:.1f}")
    print(f"image: {above:.1f} MB above its base")
    assert above < LARGEST


def test_it_says_what_it_is(built: tuple[Store, str]) -> None:
    store, version = built
    config = store.inspect(IMAGE)["Config"]
    assert isinstance(config, dict)
    assert config["Labels"]["org.opencontainers.image.revision"] == REVISION
    assert config["Labels"]["io.product-codes.bundle.version"] == version
    assert config["User"] == "10001:0"
    environment = dict(line.split("=", 1) for line in config["Env"])
    assert PRODUCTION.items() <= environment.items()
    # Whatever a variable says takes precedence over the file that a deployment names.
    assert not {f"{PREFIX}{name.upper()}" for name in IN_FILES} & environment.keys()


def test_it_holds_the_service_and_the_bundle_and_nothing_else(service: Running) -> None:
    assert service.run("ls", "-A", "/app").split() == ["api", "models", "state"]
    assert service.run("ls", "-A", "/app/models").split() == ["bundle"]
    script = "import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    names = ("pip", "uv", "dvc", "tensorflow", "pandas", "stages")
    assert service.run("python", "-c", script.format(names=names)).strip() == "[]"


def test_bytecode_of_all_that_it_loads_is_valid(service: Running) -> None:
    """Layers round times of change, by which Python would take it for stale at each start."""
    assert service.run("python", "-c", STALE).strip() == "[]"


def test_it_has_no_rights_and_a_disk_that_it_cannot_write(service: Running) -> None:
    status = dict(
        line.split(":\t", 1) for line in service.run("cat", "/proc/1/status").splitlines()
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for path in ("/app/written", "/opt/venv/written", "/etc/written"):
        with pytest.raises(containers.ContainerError, match="Read-only file system"):
            service.run("touch", path)


def test_it_signs_in_predicts_and_tells_metrics(service: Running, built: tuple[Store, str]) -> None:
    service.run("python", "-m", "api.users", "add", "alice", given=f"{PASSWORD}\n")
    with httpx.Client(base_url=service.url) as client:
        form = {"username": "alice", "password": PASSWORD}
        token = client.post("/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        files = {"image": ("photo.jpg", RED), "designation": (None, "livre ancien")}
        told = client.post("/predict", files=files)
        assert told.status_code == 200
        assert told.json()["model_version"] == built[1]
        assert client.get("/model").json()["build_revision"] == REVISION
        batch = {"products": ("products.csv", b"designation\nlivre\nmanette\n")}
        assert client.post("/predict/batch", files=batch).status_code == 200
        assert "predictions_total{" in client.get("/metrics").text


def test_its_own_check_of_health_passes(service: Running, built: tuple[Store, str]) -> None:
    config = built[0].inspect(IMAGE)
    check = config["HealthCheck"] if "HealthCheck" in config else config["Healthcheck"]
    assert isinstance(check, dict)
    assert check["Test"][0] == "CMD"
    service.run(*check["Test"][1:])


def test_it_is_ready_soon_and_ends_cleanly(
    built: tuple[Store, str], tmp_path: Path, record_testsuite_property
) -> None:
    """SIGTERM ends it by itself, with code 0."""
    begun = time.perf_counter()
    with running(built[0], tmp_path) as made:
        until(made.ready)
        seconds = time.perf_counter() - begun
        record_testsuite_property("image_start_to_ready_seconds", f"{seconds:.2f}")
        print(f"image: ready {seconds:.2f} s after podman run")
        built[0].podman("stop", "--time", "60", made.name)
        state = built[0].podman("inspect", "--format", "{{.State.ExitCode}}", made.name)
        assert state.strip() == "0"


def test_the_authentication_service_is_the_same_image(
    built: tuple[Store, str], tmp_path: Path
) -> None:
    command = ("python", "-m", "uvicorn", "api.auth_service:app")
    with running(built[0], tmp_path, command=command) as made:
        until(lambda: answers(f"{made.url}/status"))
        assert httpx.post(f"{made.url}/token", data={"username": "a"}).status_code == 422


def test_without_a_secret_it_says_so_and_ends(built: tuple[Store, str]) -> None:
    with pytest.raises(containers.ContainerError, match="API_SECRET: Field required"):
        built[0].podman("run", "--rm", "--no-healthcheck", "--network", "none", IMAGE)


@contextmanager
def composed(store: Store, name: str, folder: Path, hosts: dict[str, str]) -> Iterator[Running]:
    """A service of compose.yaml, by its own definition; hosts and port are others."""
    port = free_port()
    store.podman(
        *("run", "--detach", "--name", name, "--no-healthcheck", "--network", "host"),
        *compose.options(name, folder, hosts),
        *("--env", f"UVICORN_PORT={port}", "--env", "UVICORN_HOST=127.0.0.1", IMAGE),
        *compose.command(name),
    )
    try:
        yield Running(store, name, port)
    finally:
        store.podman("rm", "--force", "--volumes", name)


def test_the_profile_serve_works_on_real_postgresql_and_redis(
    built: tuple[Store, str], tmp_path: Path
) -> None:
    """A token of one is good for the other; counts and answers are shared."""
    secret_files.write(tmp_path)
    with ExitStack() as stack:
        postgresql = stack.enter_context(servers.postgresql())
        redis = stack.enter_context(servers.redis_server())
        with psycopg.connect(postgresql.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE product_codes LOGIN SUPERUSER")
            connection.execute("CREATE DATABASE product_codes OWNER product_codes")
        place = redis.url.removeprefix("redis://").removesuffix("/0")
        hosts = {"postgres:5432": f"127.0.0.1:{postgresql.port}", "redis:6379": place}
        compose.rewrite(tmp_path, hosts)
        auth = stack.enter_context(composed(built[0], "auth", tmp_path, hosts))
        service = stack.enter_context(composed(built[0], "api", tmp_path, hosts))
        until(lambda: service.ready() and answers(f"{auth.url}/status"))
        auth.run("python", "-m", "api.users", "add", "alice", given=f"{PASSWORD}\n")
        form = {"username": "alice", "password": PASSWORD}
        token = httpx.post(f"{auth.url}/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        body = {"designation": "livre"}
        told = [httpx.post(f"{service.url}/predict", json=body, headers=headers) for _ in range(11)]
        assert [answer.status_code for answer in told] == [200] * 10 + [429], told[0].text
        with psycopg.connect(postgresql.url("product_codes")) as connection:
            assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (10,)
        with redis.client() as client:
            assert client.keys("*predict*")


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False
