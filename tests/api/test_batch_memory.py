"""Memory of a server that answers batches: as much for many rows as for few."""

import base64
import json
import re
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.api.batch_files import CSV_TYPE, JSON_TYPE, challenge, read
from tests.api.photos import PNG
from tests.api.service import LIMITLESS, Server

MANY = 20_000


def peak(server: Server) -> int:
    """The most memory that the server ever had, in kB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows_even_for_a_slow_reader(tmp_path: Path) -> None:
    """Ten times the rows; a reader who stops also stops the work, rather than fill the memory."""
    narrow = httpx.HTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)])
    with (
        Server(tmp_path, batch_limit=LIMITLESS) as server,
        httpx.Client(transport=narrow, timeout=120) as client,
    ):
        url, headers = f"{server.url}/predict/batch", server.headers() | CSV_TYPE
        assert client.post(url, content=challenge(MANY // 10), headers=headers).status_code == 200
        before = peak(server)
        done = server.metric("predictions_total")
        with client.stream("POST", url, content=challenge(MANY), headers=headers) as answer:
            lines = answer.iter_lines()
            next(lines)
            halted = stands_still(server)
            last = json.loads(list(lines)[-1])
        assert last["summary"]["predicted"] == MANY
        assert halted - done < MANY
        after = peak(server)
    print(f"peak memory: {before} kB after {MANY // 10} rows, {after} kB after {MANY} more")
    assert after / before < 1.1


def stands_still(server: Server) -> float:
    """Predictions, once their number no longer grows."""
    last = -1.0
    while (found := server.metric("predictions_total")) != last:
        last = found
        time.sleep(1)
    return found


@pytest.mark.slow
def test_memory_does_not_grow_with_images_in_json(tmp_path: Path) -> None:
    """Rows of 600 kB: what is read ahead is bounded by its bytes, not only by its rows."""
    image = base64.b64encode(PNG).decode()

    def peak_after(rows: int) -> int:
        row = json.dumps({"designation": "livre", "image": image}).encode() + b"\n"
        answer = httpx.post(
            f"{server.url}/predict/batch",
            content=row * rows,
            headers=server.headers() | JSON_TYPE,
            timeout=120,
        )
        assert read(answer.content)[-1]["summary"]["predicted"] == rows
        return peak(server)

    with Server(tmp_path, batch_limit=LIMITLESS, max_batch_bytes=300_000_000) as server:
        few, many = peak_after(30), peak_after(300)
    print(f"peak memory: {few} kB after 30 rows, {many} kB after 300 more")
    assert many / few < 1.1
