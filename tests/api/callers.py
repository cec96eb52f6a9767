"""Callers that ask for predictions without pause, and note what they were told.

A caller ends at its first broken connection: what was sent on it may or may not have been kept.
"""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self
from urllib.parse import urlsplit

from tests.api.service import RED, Server

BOUNDARY = "b0undary"


def form(designation: str, image: bytes = RED) -> bytes:
    """A multipart form of a title and a photo."""
    disposition = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    head = f'{disposition}designation"\r\n\r\n{designation}\r\n{disposition}image"; '
    head += 'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


class Callers:
    """Threads, each on a connection that it keeps, until the end of the block or of the server."""

    def __init__(
        self, server: Server, count: int, images: Sequence[bytes] = (RED,), persistent: bool = False
    ) -> None:
        """`persistent` ones go on, over a new connection, when theirs breaks."""
        self.statuses: Counter[int] = Counter()
        self.acknowledged: set[str] = set()
        """Request ids of predictions that were answered."""
        self.broken = 0
        self._netloc = urlsplit(server.url).netloc
        self._headers = server.headers() | {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"
        }
        self._bodies = [form("livre", image) for image in images]
        self._persistent = persistent
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(count)]

    def __enter__(self) -> Self:
        """Calling."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Silent."""
        self.end()

    def end(self) -> None:
        """Lets each caller have its answer, and ask no more."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Until every caller has ended."""
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection(self._netloc, timeout=60)
            try:
                self._converse(connection)
            except (OSError, http.client.HTTPException):  # a timeout is an OSError too
                with self._lock:
                    self.broken += 1
                if not self._persistent:
                    return
                self._stop.wait(0.05)
            finally:
                connection.close()

    def _converse(self, connection: http.client.HTTPConnection) -> None:
        number = 0
        while not self._stop.is_set():
            body = self._bodies[number % len(self._bodies)]
            number += 1
            connection.request("POST", "/predict", body, self._headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            with self._lock:
                self.statuses[answer.status] += 1
                if answer.status == 200:
                    self.acknowledged.add(told["request_id"])
