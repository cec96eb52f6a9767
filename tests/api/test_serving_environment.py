"""The environment of the served image, really built: slim, complete, and without what trains."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import servers
from tests.api.service import PRODUCTION, RED, ROOT, Server
from tests.api.serving_environment import Environment

LARGEST = 260
"""Megabytes, bytecode of all that is ever loaded included."""
ABSENT = ("tensorflow", "keras", "pandas", "pyarrow", "sklearn", "scipy", "dvc", "mlflow", "stages")
SCRIPT = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("serving"))


def test_it_is_small(environment: Environment, record_testsuite_property) -> None:
    sizes = environment.megabytes()
    total = sum(sizes.values())
    record_testsuite_property("serving_environment_megabytes", f"{total:.1f}")
    largest = ", ".join(f"{name} {size:.1f}" for name, size in list(sizes.items())[:8])
    print(f"serving environment: {total:.1f} MB; {largest}")
    assert total < LARGEST


def test_nothing_that_trains_can_be_imported(environment: Environment) -> None:
    assert environment.run("-c", SCRIPT, "api.main", "onnxruntime").split() == [
        "api.main",
        "onnxruntime",
    ]
    assert environment.run("-c", SCRIPT, *ABSENT).split() == []


@pytest.fixture(params=["sqlite and memory", "postgresql and redis"])
def backing(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "sqlite and memory":
        yield {}
        return
    with servers.postgresql() as database, servers.redis_server() as redis:
        yield {"database_url": database.url(), "limits_storage": redis.url}


def test_it_serves_and_finds_all_bytecode(
    environment: Environment, tmp_path: Path, backing: dict[str, str]
) -> None:
    """What was compiled beforehand is all that a start, sign-in, prediction and feedback need."""
    compiled = environment.bytecode()
    with Server(
        tmp_path, environment=environment.variables, python=environment.python, **backing
    ) as server:
        headers = server.headers()
        with httpx.Client(base_url=server.url, headers=headers) as client:
            files = {"image": ("photo.jpg", RED), "designation": (None, "livre")}
            told = client.post("/predict", files=files)
            assert (told.status_code, told.json()["predicted"]) == (200, 10)
            given = {"request_id": told.json()["request_id"], "code": 40}
            assert client.post("/feedback", json=given).status_code == 201
            form = {"username": "alice", "password": "a long enough password"}
            assert client.post("/token", data=form).status_code == 200
            for path in ("/ready", "/model", "/metrics", "/openapi.json", "/docs"):
                assert client.get(path).status_code == 200
    late = [str(path)[-70:] for path in sorted(environment.bytecode() - compiled)]
    assert late == []


def test_the_documented_environment_is_the_tested_one() -> None:
    page = (ROOT / "docs" / "decisions" / "serving.md").read_text()
    block = page.split("```bash\n")[1].split("```")[0]
    assert dict(line.split("=", 1) for line in block.splitlines()) == PRODUCTION
