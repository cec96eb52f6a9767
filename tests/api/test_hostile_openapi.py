"""A real server attacked with what its own document suggests, valid and not, for a minute."""

import itertools
import os
import time
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis import APIOperation, GenerationMode, checks

from tests.api.service import LIMITLESS, Server

SECONDS = float(os.environ.get("ATTACK_SECONDS", "60"))
ROUND = 15
"""Requests to one operation before the next one's turn."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    with Server(folder, batch_limit=LIMITLESS) as started:
        yield started


def attack(operation: APIOperation, headers: dict[str, str], turn: int) -> None:
    """Some valid, and some invalid requests of one operation; others in each turn."""

    @seed(turn)
    @examples(
        max_examples=ROUND, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(GenerationMode))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=60)

    run()


def test_nothing_that_the_document_suggests_breaks_a_server(server: Server) -> None:
    """No 5xx, and no answer that isn't described; each operation has a turn at least."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    headers = server.headers()
    end = time.monotonic() + SECONDS
    for turn in itertools.count():
        for operation in operations:
            attack(operation, headers, turn)
        if time.monotonic() > end:
            break
    assert len(operations) >= 8
    assert server.process.poll() is None
    log = (server.folder / "logs" / "serving_logger.log").read_text()
    assert "traceback" not in log
    assert '"level": "ERROR"' not in log
