"""A hub on this machine that answers huggingface_hub as the real one does, and fails on request.

Two servers, as in reality: the hub knows commits and checksums and sends large files' readers on
to a content server on another origin, which knows only bytes and ranges.
"""

import hashlib
import re
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 100_000  # bytes from which a file is stored apart, as Git LFS does
PIECE = 65_536

_FILE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of a right answer.

    `status` answers with an error. `cut_after` ends the connection after so many bytes of the
    body, by a reset if `reset`. `stall_after` stops there until the hub closes. `ignore_range`
    sends the whole file. `no_length` sends it in chunks of unknown number.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    reset: bool = False
    stall_after: int | None = None
    ignore_range: bool = False
    no_length: bool = False


@dataclass(frozen=True)
class Request:
    """One request as a server saw it."""

    server: str
    method: str
    file: str
    revision: str
    headers: dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: "Hub", name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.name = name


class Hub:
    """The state of both servers; `address` is what HF_ENDPOINT takes."""

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        self.repository = repository
        self.files = files
        self.revisions = {"main", COMMIT}
        self.announced: dict[str, str] = {}  # sha256 to claim for a file, instead of its own
        self.claimed_sizes: dict[str, int | None] = {}
        self.names_commit = True
        self.requests: list[Request] = []
        self.released = threading.Event()
        self._faults: dict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self.hub = _Server(self, "hub")
        self.content = _Server(self, "content")
        self.address = f"http://127.0.0.1:{self.hub.server_port}"

    def fail(self, method: str, file: str, *faults: Fault) -> None:
        """Makes the next requests for a file fail, one fault each.

        A large file's GET fails at the content server, every other request at the hub.
        """
        self._faults[method, file].extend(faults)

    def recover(self) -> None:
        """Forgets the faults that are still due."""
        self._faults.clear()

    def next_fault(self, method: str, file: str) -> Fault:
        """The fault that is due, or one that changes nothing."""
        due = self._faults[method, file]
        return due.popleft() if due else Fault()

    def seen(self, method: str, file: str, server: str | None = None) -> list[Request]:
        """The requests that arrived for a file, in order."""
        return [
            request
            for request in self.requests
            if (request.method, request.file) == (method, file) and server in {None, request.server}
        ]


@contextmanager
def serving(repository: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """Runs both servers for the length of a block."""
    hub = Hub(repository, files)
    servers = [hub.hub, hub.content]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.released.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, name = self.server.hub, self.server.name
        asked = _FILE.fullmatch(self.path)
        if asked is None:  # the client looks for more than files
            self._refuse(404, {})
            return
        repository, revision, file = asked.groups()
        headers = dict(self.headers.items())
        hub.requests.append(Request(name, self.command, file, revision, headers))
        redirects = name == "hub" and len(hub.files.get(file, b"")) >= LARGE
        sends_on = redirects and self.command == "GET"
        fault = Fault() if sends_on else hub.next_fault(self.command, file)
        missing = self._missing(repository, revision, file)
        if fault.status:
            self._refuse(fault.status, fault.headers)
        elif missing:
            self._refuse(404, {"X-Error-Code": missing})
        elif redirects:
            self._redirect(file)
        else:
            self._send(hub.files[file], fault)

    def _missing(self, repository: str, revision: str, file: str) -> str | None:
        """The code by which the hub tells what it doesn't have."""
        if repository != self.server.hub.repository:
            return "RepoNotFound"
        if revision not in self.server.hub.revisions:
            return "RevisionNotFound"
        return None if file in self.server.hub.files else "EntryNotFound"

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self, file: str) -> None:
        hub = self.server.hub
        content = hub.files[file]
        sha256 = hub.announced.get(file, hashlib.sha256(content).hexdigest())
        size = hub.claimed_sizes.get(file, len(content))
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{hub.content.server_port}{self.path}")
        self._send_commit()
        self.send_header("X-Linked-Etag", f'"{sha256}"')
        if size is not None:
            self.send_header("X-Linked-Size", str(size))
        self.send_header("X-Xet-Hash", sha256)  # a client may use xet, and need not
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_commit(self) -> None:
        if self.server.hub.names_commit:
            self.send_header("X-Repo-Commit", COMMIT)

    def _send(self, content: bytes, fault: Fault) -> None:
        wanted = None if fault.ignore_range else self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if self.server.name == "hub":
            self._send_commit()
            blob = b"blob %d\0" % len(content) + content
            self.send_header("ETag", f'"{hashlib.sha1(blob).hexdigest()}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if fault.no_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "GET":
            self._write(content[start:], fault)

    def _write(self, body: bytes, fault: Fault) -> None:
        stop = min(
            size for size in (fault.cut_after, fault.stall_after, len(body)) if size is not None
        )
        try:
            for offset in range(0, stop, PIECE):
                self.wfile.write(body[offset : min(offset + PIECE, stop)])
        except OSError:  # the client is gone: killed, or out of room
            self.close_connection = True
            return
        if fault.stall_after is not None:
            self.server.hub.released.wait(60)
        if stop < len(body) or fault.no_length:
            self._hang_up(fault.reset)

    def _hang_up(self, reset: bool) -> None:
        if reset:  # a linger time of zero turns closing into a reset
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Keeps the terminal quiet: requests are recorded."""
